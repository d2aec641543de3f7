package daemon_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/browser"
	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/internal/daemon"
	"github.com/tandem-auth/tandem/internal/storage"
	"github.com/tandem-auth/tandem/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const password = "correct horse"

func config(dir string) daemon.Config {
	return daemon.Config{Store: storage.Folder(dir), Listen: "localhost:0", Users: directory.Config{Memory: 64, Iterations: 1}}
}

func open(t *testing.T, config daemon.Config) *daemon.Daemon {
	t.Helper()
	d, err := daemon.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 2 { // may be closed twice
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return d
}

// serve serves until stop is called, which returns what Serve did.
func serve(t *testing.T, d *daemon.Daemon) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Serve(ctx) }()
	stop = func() error {
		cancel()
		err := <-done
		done <- nil
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

func TestASessionSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	first := open(t, config(dir))
	if err := first.Directory().Add(t.Context(), "ann", password); err != nil {
		t.Fatal(err)
	}
	stop := serve(t, first)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	session, err := tandem.Open(t.Context(), tandem.NewMemoryStore(), tandem.Config{URL: first.URL(), Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if err := session.SignIn(t.Context(), "ann", password); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	again := config(dir)
	again.Listen = first.Address()
	serve(t, open(t, again))
	token, err := session.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	session.Invalidate(token) // so that the next call refreshes
	if refreshed, err := session.Token(t.Context()); err != nil || refreshed == token {
		t.Errorf("after the restart: %v", err)
	}
	resp, err := session.Client().Get(first.URL() + "/auth/me")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestOpenNamesWhatIsInTheWay(t *testing.T) {
	dir := t.TempDir()
	running := open(t, config(dir))
	taken := config(t.TempDir())
	taken.Listen = running.Address()
	nonsense := config(t.TempDir())
	nonsense.Listen = "everywhere"
	unknown := config(t.TempDir())
	unknown.Algorithm = "none"
	for name, c := range map[string]struct {
		config daemon.Config
		want   string
	}{
		"a second server on the folder": {config(dir), "another server is running on the database " + dir},
		"a second server on the port":   {taken, running.Address() + " is in use by another program"},
		"no address":                    {nonsense, "want HOST:PORT"},
		"no such algorithm":             {unknown, "ES256, EdDSA and RS256"},
	} {
		d, err := daemon.Open(t.Context(), c.config)
		if err == nil {
			_ = d.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// The daemon warns if other machines can reach its address, unless a proxy with TLS is in
// front of it.
func TestClearTextIsWarnedOf(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*daemon.Config)
		want   bool
	}{
		"loopback":        {func(c *daemon.Config) { c.Listen = "127.0.0.1:0" }, false},
		"every interface": {func(c *daemon.Config) { c.Listen = ":0" }, true},
		"an http issuer":  {func(c *daemon.Config) { c.Listen, c.Issuer = ":0", "http://auth.example.com" }, true},
		"an https issuer": {func(c *daemon.Config) { c.Listen, c.Issuer = ":0", "https://auth.example.com" }, false},
		"behind a proxy": {func(c *daemon.Config) {
			c.Listen, c.TrustedProxies = ":0", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		}, false},
		"loopback, and https": {func(c *daemon.Config) { c.Issuer = "https://auth.example.com" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			config := config(t.TempDir())
			config.Logger = slog.New(slog.NewTextHandler(&log, nil))
			c.change(&config)
			if err := open(t, config).Close(); err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(log.String(), "level=WARN msg=\"passwords and tokens cross the network in clear text"); got != c.want {
				t.Errorf("a warning: %t, want %t\n%s", got, c.want, &log)
			}
		})
	}
}

// The daemon answers at the URL that it prints. localhost is not every address of this
// machine.
func TestTheAddressThatIsPrintedAnswers(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:0": "http://localhost:", ":0": "http://localhost:", "127.0.1.1:0": "http://127.0.1.1:",
	} {
		c := config(t.TempDir())
		c.Listen = listen
		d, err := daemon.Open(t.Context(), c)
		if err != nil && listen == "127.0.1.1:0" {
			t.Logf("this system has no %s: %v", listen, err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		stop := serve(t, d)
		if got := fetch(d.URL() + "/healthz"); !strings.HasPrefix(d.URL(), want) || !strings.Contains(got, "ok") {
			t.Errorf("%s: %s answers %s", listen, d.URL(), got)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
}

// slow is a page that does not answer until the test tells it to.
func slow(began chan<- struct{}, goOn <-chan struct{}) func(*server.Server) http.Handler {
	return func(*server.Server) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			began <- struct{}{}
			<-goOn
			_, _ = io.WriteString(w, "done")
		})
	}
}

func TestRequestsUnderWayAreFinished(t *testing.T) {
	began, goOn := make(chan struct{}), make(chan struct{})
	c := config(t.TempDir())
	c.Site = slow(began, goOn)
	d := open(t, c)
	stop := serve(t, d)

	answer := make(chan string, 1)
	go func() { answer <- fetch(d.URL()) }()
	<-began
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	untilRefused(t, d.Address())
	close(goOn)
	if got := <-answer; got != "done" {
		t.Errorf("the request under way got %q", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// A load balancer sends requests until it has read the 503 of /readyz.
func TestTheDrainDelayGivesALoadBalancerTime(t *testing.T) {
	c := config(t.TempDir())
	c.DrainDelay = 2 * time.Second
	d := open(t, c)
	stop := serve(t, d)
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	for !strings.Contains(fetch(d.URL()+"/readyz"), "shutting down") {
		if len(stopped) > 0 {
			t.Fatal("it has stopped, and /readyz never said so")
		}
	}
	if got := fetch(d.URL() + "/healthz"); !strings.Contains(got, "ok") {
		t.Errorf("while it drains: %s", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestARequestThatNeverEndsIsCutInTheEnd(t *testing.T) {
	began, goOn := make(chan struct{}), make(chan struct{})
	c := config(t.TempDir())
	c.Site = slow(began, goOn)
	c.DrainTimeout = time.Millisecond
	d := open(t, c)
	stop := serve(t, d)
	answer := make(chan string, 1)
	go func() { answer <- fetch(d.URL()) }()
	<-began
	err := stop()
	close(goOn)
	if err == nil || !strings.Contains(err.Error(), "requests were still under way after 1ms") {
		t.Errorf("Serve: %v", err)
	}
	if got := <-answer; got == "done" {
		t.Error("the request was not cut")
	}
}

// fetch returns the body, or the error as text.
func fetch(url string) string {
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Get(url)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

// untilRefused waits until nobody listens at the address any more.
func untilRefused(t *testing.T, address string) {
	t.Helper()
	for t.Context().Err() == nil {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		_ = conn.Close()
	}
}

// A front end may have a page /auth/login of its own.
func TestEndpointsUnderAPrefix(t *testing.T) {
	c := config(t.TempDir())
	c.Prefix = "/api/v1"
	c.Site = func(*server.Server) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "site") })
	}
	d := open(t, c)
	if err := d.Directory().Add(t.Context(), "ann", password); err != nil {
		t.Fatal(err)
	}
	serve(t, d)
	if !strings.HasSuffix(d.URL(), "/api/v1") {
		t.Errorf("the URL is %s", d.URL())
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	session, err := tandem.Open(t.Context(), tandem.NewMemoryStore(), tandem.Config{URL: d.URL(), Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if err := session.SignIn(t.Context(), "ann", password); err != nil {
		t.Fatal(err)
	}
	base := "http://" + d.Address()
	for path, site := range map[string]bool{
		"/auth/login": true, "/auth/me": true, "/api": true,
		"/healthz": false, "/readyz": false, "/.well-known/jwks.json": false, "/api/v1/auth/me": false, "/api/v1/.well-known/jwks.json": false,
	} {
		if got := fetch(base + path); (got == "site") != site {
			t.Errorf("%s: %q", path, got)
		}
	}
	for _, prefix := range []string{"api", "/", "/api/", "/a/../b", "/{x}", "/a b"} {
		c := config(t.TempDir())
		c.Prefix = prefix
		if d, err := daemon.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "--path-prefix") {
			t.Errorf("the prefix %q: %v", prefix, err)
			_ = d.Close()
		}
	}
}

// A page without a build step loads the SDK from the server, with or without a site, and
// behind a prefix.
func TestTheSDKIsServed(t *testing.T) {
	for _, prefix := range []string{"", "/api"} {
		c := config(t.TempDir())
		c.Prefix = prefix
		d := open(t, c)
		serve(t, d)
		if got := fetch(d.URL() + "/sdk/tandem.js"); got != string(browser.Script) {
			t.Errorf("with the prefix %q it is %.60q", prefix, got)
		}
		if got := fetch(d.URL() + "/sdk/"); !strings.Contains(got, browser.Integrity()) {
			t.Errorf("with the prefix %q the hash is not in %q", prefix, got)
		}
	}
}

func TestTheSiteIsBeneathTheServersOwnPaths(t *testing.T) {
	c := config(t.TempDir())
	c.Site = func(*server.Server) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "site") })
	}
	d := open(t, c)
	serve(t, d)
	for path, site := range map[string]bool{
		"/": true, "/anything": true,
		"/healthz": false, "/readyz": false, "/.well-known/jwks.json": false, "/auth/me": false, "/auth/nothing": false,
	} {
		if got := fetch(d.URL() + path); (got == "site") != site {
			t.Errorf("%s: %q", path, got)
		}
	}
}

// A client that joins URL and path wrongly gets 404. After a redirect it would send the
// password a second time.
func TestAPasswordIsNotRedirected(t *testing.T) {
	site := func(*server.Server) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	}
	for name, change := range map[string]func(*daemon.Config){
		"alone":                 func(*daemon.Config) {},
		"with a site":           func(c *daemon.Config) { c.Site = site },
		"with a prefix":         func(c *daemon.Config) { c.Prefix = "/api" },
		"with a site, a prefix": func(c *daemon.Config) { c.Site, c.Prefix = site, "/api" },
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t.TempDir())
			change(&c)
			d := open(t, c)
			serve(t, d)
			transport := &http.Transport{DisableKeepAlives: true}
			for _, path := range []string{"//auth/login", "/auth//login", "/x/../auth/login", "/auth", c.Prefix, c.Prefix + "//auth/login", "/.well-known"} {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+d.Address(), strings.NewReader("{}"))
				if err != nil {
					t.Fatal(err)
				}
				req.URL.Opaque = "//" + d.Address() + path // as it is, and not joined with the host's
				resp, err := transport.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				if want := resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusTeapot; !want {
					t.Errorf("%s: %d, want 404 or the site's answer", path, resp.StatusCode)
				}
			}
		})
	}
}
