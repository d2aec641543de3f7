package deploy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/clients"
	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/internal/daemon"
	"github.com/tandem-auth/tandem/internal/storage"
	"github.com/tandem-auth/tandem/internal/testkit/await"
	"github.com/tandem-auth/tandem/internal/testkit/certtest"
	"github.com/tandem-auth/tandem/internal/testkit/daemontest"
	"github.com/tandem-auth/tandem/internal/testkit/engines/enginetest"
	"github.com/tandem-auth/tandem/internal/testkit/need"
	"github.com/tandem-auth/tandem/keys"
	"github.com/tandem-auth/tandem/server"
)

// A proxied is two servers on one store behind a proxy with the configuration of the compose
// file, and a client with an address of its own.
type proxied struct {
	*testing.T
	url       string    // of the proxy
	addresses [2]string // of the servers
	http      *http.Client
	stop      [2]func()
	secret    string // of the API "shop", which follows the feed

	mu  sync.Mutex
	ips map[string]bool // of events
}

const clientAddress = "127.0.0.5"

// The proxies of the compose files do what servers and clients need of them.
func TestProxies(t *testing.T) {
	for name, start := range map[string]func(p *proxied){"nginx": (*proxied).nginx, "caddy": (*proxied).caddy} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() {
				t.Skip("starts PostgreSQL and a proxy")
			}
			p := newProxied(t)
			start(p)
			if err := await.OKBy(p.http, p.url+"/readyz"); err != nil {
				t.Fatal(err)
			}
			p.addressOfTheClient()
			p.cookies()
			p.administrators()
			p.largeBodies()
			p.feed()
			p.aServerThatStops()
		})
	}
}

func newProxied(t *testing.T) *proxied {
	t.Helper()
	p := &proxied{T: t, ips: map[string]bool{}, url: "https://localhost:" + port(freeAddress(t))}
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(clientAddress)}}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the proxy's certificate is for the test alone
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp4", address)
		},
	}
	p.http = &http.Client{Transport: transport, Timeout: 30 * time.Second}
	t.Cleanup(transport.CloseIdleConnections)

	location, err := storage.Parse(enginetest.Database(t, enginetest.Postgres(t)))
	if err != nil {
		t.Fatal(err)
	}
	store, err := location.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	users := directory.Config{Memory: 64, Iterations: 1}
	if err := directory.New(store, users).Add(t.Context(), "ann", "correct horse"); err != nil {
		t.Fatal(err)
	}
	if p.secret, err = clients.New(store).Add(t.Context(), clients.Client{ID: "shop", MayIntrospect: true}); err != nil {
		t.Fatal(err)
	}
	master, err := keys.NewMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	for i := range p.stop {
		d, err := daemon.Open(t.Context(), daemon.Config{
			Store: location, MasterKeys: []keys.MasterKey{master}, Listen: "127.0.0.1:0", Issuer: p.url, Users: users,
			TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
			OnEvent: func(e server.Event) {
				p.mu.Lock()
				defer p.mu.Unlock()
				p.ips[e.IP] = true
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		p.stop[i] = daemontest.Serve(t, d)
		p.addresses[i] = d.Address()
	}
	return p
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func port(address string) string { return address[strings.LastIndex(address, ":")+1:] }

// adapted returns a configuration with parts replaced that are different in the test. Each
// must be there.
func (p *proxied) adapted(name string, replaced ...string) string {
	p.Helper()
	text := read(p.T, name)
	for i := 0; i < len(replaced); i += 2 {
		if !strings.Contains(text, replaced[i]) {
			p.Fatalf("%s does not have %s", name, replaced[i])
		}
		text = strings.ReplaceAll(text, replaced[i], replaced[i+1])
	}
	return text
}

// start starts the proxy, which the end of the test stops.
func (p *proxied) start(home, program string, args ...string) {
	p.Helper()
	var log bytes.Buffer
	cmd := exec.CommandContext(context.Background(), program, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), "TANDEM_HOST=localhost", "HOME="+home), &log, &log
	if err := cmd.Start(); err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if p.Failed() {
			p.Log(log.String())
		}
	})
}

func (p *proxied) nginx() {
	nginx := need.Program(p.T, "nginx", "/usr/sbin/nginx")
	dir := p.TempDir()
	cert, key := certtest.Make(p.T, "localhost")
	text := p.adapted("compose/nginx.conf",
		"/etc/nginx/tls.crt", write(p.T, filepath.Join(dir, "tls.crt"), cert),
		"/etc/nginx/tls.key", write(p.T, filepath.Join(dir, "tls.key"), key),
		"tandem-1:8080", p.addresses[0], "tandem-2:8080", p.addresses[1],
		"listen 443 ", "listen 127.0.0.1:"+port(p.url)+" ", "listen 80;", "listen "+freeAddress(p.T)+";",
		"http {\n", "http {\n"+strings.ReplaceAll(`
	client_body_temp_path DIR/body;
	proxy_temp_path DIR/proxy;
	fastcgi_temp_path DIR/fastcgi;
	uwsgi_temp_path DIR/uwsgi;
	scgi_temp_path DIR/scgi;
`, "DIR", dir))
	file := write(p.T, filepath.Join(dir, "nginx.conf"), []byte("daemon off;\nmaster_process off;\npid "+dir+"/pid;\nerror_log stderr;\n"+text))
	run(p.T, nil, nginx, "-t", "-p", dir, "-c", file)
	p.start(dir, nginx, "-p", dir, "-c", file)
}

func (p *proxied) caddy() {
	caddy := need.Program(p.T, "caddy")
	run(p.T, []string{"TANDEM_HOST=auth.example.com", "HOME=" + p.TempDir()}, caddy, "validate", "--adapter", "caddyfile", "--config", "compose/Caddyfile")
	dir := p.TempDir()
	text := p.adapted("compose/Caddyfile", "tandem-1:8080", p.addresses[0], "tandem-2:8080", p.addresses[1])
	text = fmt.Sprintf("{\n\tadmin off\n\tskip_install_trust\n\thttp_port %s\n\thttps_port %s\n\tdefault_bind 127.0.0.1\n\tstorage file_system %s\n}\n",
		port(freeAddress(p.T)), port(p.url), dir) + text
	p.start(dir, caddy, "run", "--adapter", "caddyfile", "--config", write(p.T, filepath.Join(dir, "Caddyfile"), []byte(text)))
}

// A reply is what the servers answered.
type reply struct {
	status int
	header http.Header
	text   []byte

	AccessToken, RefreshToken, SessionID string
}

// send sends a request through the proxy. Header has names and values in turn.
func (p *proxied) send(method, path string, body any, header ...string) (reply, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return reply{}, err
	}
	request, err := http.NewRequestWithContext(p.Context(), method, p.url+path, bytes.NewReader(text))
	if err != nil {
		return reply{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := p.http.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	r := reply{status: response.StatusCode, header: response.Header}
	if r.text, err = io.ReadAll(response.Body); err != nil {
		return reply{}, err
	}
	_ = json.Unmarshal(r.text, &r) // a proxy's own errors are no JSON
	return r, nil
}

// want is send with the status that the answer must have.
func (p *proxied) want(status int, method, path string, body any, header ...string) reply {
	p.Helper()
	r, err := p.send(method, path, body, header...)
	if err != nil || r.status != status {
		p.Fatalf("%s %s: %d %s, %v; want %d", method, path, r.status, r.text, err, status)
	}
	return r
}

func (p *proxied) signIn(header ...string) reply {
	p.Helper()
	return p.want(http.StatusOK, "POST", "/auth/login", map[string]string{"username": "ann", "password": "correct horse"}, header...)
}

// The server sees the client's address, and not the one that the client says it has.
func (p *proxied) addressOfTheClient() {
	p.Helper()
	for range 4 { // both servers
		p.signIn("X-Forwarded-For", "203.0.113.7", "X-Real-Ip", "203.0.113.8", "Forwarded", "for=203.0.113.9")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ips) != 1 || !p.ips[clientAddress] {
		p.Errorf("the servers saw %v, want %s alone", p.ips, clientAddress)
	}
}

// Cookies come through, and are Secure.
func (p *proxied) cookies() {
	p.Helper()
	r := p.signIn("Tandem-Cookie", "1")
	cookies := r.header.Values("Set-Cookie")
	if len(cookies) == 0 || slices.ContainsFunc(cookies, func(c string) bool { return !strings.Contains(c, "; Secure") }) {
		p.Errorf("cookies %q, want them to be Secure", cookies)
	}
}

// The API for administrators is reached from a private address, and asks for a key.
func (p *proxied) administrators() {
	p.Helper()
	r := p.want(http.StatusUnauthorized, "GET", "/admin/v1/users", nil)
	if r.header.Get("X-Request-Id") == "" {
		p.Errorf("the answer is not the server's: %s", r.text)
	}
}

// The proxy refuses a body that is too large, and takes no server away from others for it.
func (p *proxied) largeBodies() {
	p.Helper()
	for range 8 {
		_, _ = p.send("POST", "/auth/login", strings.Repeat("x", 3<<20)) // 413, or the connection breaks
	}
	for range 4 {
		p.signIn()
	}
}

// The feed of ended sessions comes at once, not when a buffer is full.
func (p *proxied) feed() {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/oauth/ended", nil)
	if err != nil {
		p.Fatal(err)
	}
	request.SetBasicAuth("shop", p.secret)
	request.Header.Set("Accept", "text/event-stream")
	response, err := p.http.Do(request)
	if err != nil {
		p.Fatal(err)
	}
	defer response.Body.Close()
	session := p.signIn()
	p.want(http.StatusNoContent, "POST", "/auth/logout", map[string]string{"refreshToken": session.RefreshToken})
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if strings.Contains(lines.Text(), session.SessionID) {
			return
		}
	}
	p.Errorf("%s: the end of the session did not come: %v", response.Status, lines.Err())
}

// One of the two servers stops, and no session is lost: what the proxy answers by itself
// meanwhile, a client tries again with the same token.
func (p *proxied) aServerThatStops() {
	p.Helper()
	token := p.signIn().RefreshToken
	refresh := func() {
		p.Helper()
		for range 10 {
			r, err := p.send("POST", "/auth/refresh-token", map[string]string{"refreshToken": token})
			switch {
			case err == nil && r.status == http.StatusOK:
				token = r.RefreshToken
				return
			case err == nil && r.status < http.StatusInternalServerError:
				p.Fatalf("the session is lost: %d %s", r.status, r.text)
			}
		}
		p.Fatal("the proxy does not go on with the other server")
	}
	for range 10 {
		refresh()
	}
	p.stop[0]()
	for range 20 {
		refresh()
	}
}
