package browser_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evanw/esbuild/pkg/api"

	"github.com/tandem-auth/tandem/internal/proof/clientsuite"
	"github.com/tandem-auth/tandem/internal/testkit/chrome"
	"github.com/tandem-auth/tandem/internal/testkit/need"
)

// A host is where clients run: tabs of a browser, or a process of Node.js.
type host interface {
	// call has a client of a scenario do something (test/conformance/client.ts), and decodes
	// the value into value.
	call(client, method string, value any, args ...any) error
	// reset makes the host ready for the next scenario.
	reset()
	// repeats reports whether the host itself sends a call again whose connection was cut or
	// that was answered 408, so that the number of such calls is not the client's.
	repeats() bool
}

// patience is how long a call of a client may take. Only a client that leaves its callers
// hanging gets to feel it.
const patience = 2 * time.Minute

func scenarios(t *testing.T) []clientsuite.Scenario {
	t.Helper()
	all, err := clientsuite.Load(os.DirFS("../testdata/vectors/client"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// serveSuite serves the suite, and returns the URL of its control.
func serveSuite(t *testing.T) string {
	t.Helper()
	listen := func() *httptest.Server {
		return &httptest.Server{Listener: listener(t), Config: &http.Server{}} //nolint:gosec // a test's own server
	}
	auth, api, elsewhere := listen(), listen(), listen()
	address := func(s *httptest.Server) string { return "http://" + s.Listener.Addr().String() }
	suite, err := clientsuite.New(scenarios(t), clientsuite.Origins{Auth: address(auth), API: address(api), Elsewhere: address(elsewhere)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { suite.Close() })
	control := listen()
	for s, handler := range map[*httptest.Server]http.Handler{
		auth: suite.Auth, api: suite.API, elsewhere: suite.Elsewhere, control: suite.Control,
	} {
		s.Config.Handler = handler
		s.Start()
		t.Cleanup(func() {
			s.CloseClientConnections()
			s.Close()
		})
	}
	return control.URL
}

func listener(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A player plays one scenario with clients of a host.
type player struct {
	*testing.T
	host    host
	control string    // URL
	now     time.Time // by the clients' clocks
	run     clientsuite.Run
	clients []string
	started map[string]clientsuite.Step
}

func play(t *testing.T, h host, control, name string) {
	t.Helper()
	h.reset()
	p := &player{T: t, host: h, control: control, now: time.Now(), started: map[string]clientsuite.Step{}}
	p.send(http.MethodPost, "/runs", map[string]string{"scenario": name}, &p.run)
	run := "/runs/" + p.run.ID
	for i, step := range p.run.Scenario.Steps {
		if step.IsServers() {
			p.send(http.MethodPost, run+"/steps", step, nil)
		} else {
			p.do(i, step)
		}
		if t.Failed() {
			t.Errorf("at step %d: %s", i+1, step.Do)
			break
		}
	}
	p.compare(run)
	p.send(http.MethodDelete, run, nil, nil)
}

// send makes a call of the suite's control API.
func (p *player) send(method, path string, body, answer any) {
	p.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		p.Fatal(err)
	}
	req, err := http.NewRequestWithContext(p.Context(), method, p.control+path, bytes.NewReader(text))
	if err != nil {
		p.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.Fatal(err)
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= http.StatusMultipleChoices {
		p.Errorf("the suite says: %s %v", text, err)
		return
	}
	if answer != nil {
		if err := json.Unmarshal(text, answer); err != nil {
			p.Fatal(err)
		}
	}
}

// call has a client do something. A client is opened when it is first named.
func (p *player) call(client, method string, value any, args ...any) {
	p.Helper()
	if !slices.Contains(p.clients, client) {
		p.clients = append(p.clients, client)
		settings := map[string]any{"url": p.run.URL, "key": p.key(), "now": p.now.UnixMilli(), "users": p.run.Users, "client": p.run.Scenario.Client}
		if err := p.host.call(client, "open", nil, settings); err != nil {
			p.Fatal(err)
		}
	}
	if err := p.host.call(client, method, value, args...); err != nil {
		p.Fatalf("%s %s: %v", client, method, err)
	}
}

// key names the store of the run.
func (p *player) key() string { return "run " + p.run.ID }

func (p *player) do(i int, step clientsuite.Step) {
	p.Helper()
	switch step.Do {
	case "signIn":
		password := step.Password
		if password == "" {
			password = p.run.Users[step.User]
		}
		var outcome string
		p.call(step.Client, "signIn", &outcome, step.User, password)
		p.expect(step.Expect, outcome)
	case "signOut":
		var outcome string
		p.call(step.Client, "signOut", &outcome)
		p.expect(step.Expect, outcome)
	case "request":
		if step.As == "" {
			step.As = "step " + strconv.Itoa(i+1)
		}
		if step.URL == "" {
			step.URL = p.run.URL + "/api/hello"
		}
		step.Count = max(step.Count, 1)
		p.started[step.As] = step
		p.call(step.Client, "start", nil, step)
		if !step.Background {
			p.join(step.As)
		}
	case "join":
		p.join(step.As)
	case "cancel":
		p.call(p.started[step.As].Client, "cancel", nil, step.As)
		p.join(step.As)
	case "wait":
		for _, client := range p.clients {
			p.call(client, "settled", nil)
		}
		p.now = p.now.Add(time.Duration(step.Seconds) * time.Second)
		for _, client := range p.clients {
			p.call(client, "setClock", nil, p.now.UnixMilli())
		}
	default:
		p.Errorf("the player cannot %q", step.Do)
	}
}

// join waits for the requests of a step.
func (p *player) join(name string) {
	p.Helper()
	step := p.started[name]
	var outcomes []string
	p.call(step.Client, "join", &outcomes, name)
	if len(outcomes) != step.Count {
		p.Errorf("%d outcomes of %d requests", len(outcomes), step.Count)
	}
	for _, outcome := range outcomes {
		p.expect(step.Expect, outcome)
	}
}

func (p *player) expect(want, got string) {
	p.Helper()
	if got != want {
		p.Errorf("came out as %s, want %s", got, want)
	}
}

// compare looks at what has come of it all.
func (p *player) compare(run string) {
	p.Helper()
	want := p.run.Scenario.Expect
	var ends []string
	for _, client := range p.clients {
		var its []string
		p.call(client, "ends", &its)
		ends = append(ends, its...)
	}
	if !slices.Equal(ends, want.Ends) {
		p.Errorf("the application heard of the ends %q, want %q", ends, want.Ends)
	}
	var user string
	if len(p.clients) > 0 {
		p.call(p.clients[0], "signedIn", &user, p.key())
	}
	if user != want.SignedIn {
		p.Errorf("%q is signed in, want %q", user, want.SignedIn)
	}
	for _, client := range p.clients {
		p.call(client, "close", nil)
	}
	var report clientsuite.Report
	p.send(http.MethodGet, run, nil, &report)
	for _, wrong := range report.Wrong {
		if !p.host.repeats() || !isCutOff(p.run.Scenario.Server) || !strings.HasSuffix(wrong, "calls of refresh, want 2 to 4") {
			p.Error(wrong)
		}
	}
	if p.Failed() {
		for _, call := range report.Calls[:min(len(report.Calls), 20)] {
			p.Logf("%+v", call)
		}
	}
}

// isCutOff reports whether calls get no answer, or 408, which stands for that.
func isCutOff(script clientsuite.Script) bool {
	return slices.ContainsFunc(script.Answers, func(a clientsuite.Answer) bool {
		return a.Lose == "call" || a.Status == http.StatusRequestTimeout
	})
}

// A nodeHost is a process of Node.js. It does one call after the other.
type nodeHost struct {
	in  io.WriteCloser
	out *bufio.Scanner
	mu  sync.Mutex
}

func newNodeHost(t *testing.T) *nodeHost {
	t.Helper()
	node := need.Program(t, "node")
	if _, err := os.Stat("node_modules/fake-indexeddb"); err != nil {
		need.Missing(t, "fake-indexeddb")
	}
	process := exec.CommandContext(t.Context(), node, "--enable-source-maps", buildTest(t, "test/conformance/node.ts"))
	in, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	process.Stderr = os.Stderr
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = process.Wait()
	})
	h := &nodeHost{in: in, out: bufio.NewScanner(out)}
	h.out.Buffer(nil, 1<<20)
	return h
}

func (h *nodeHost) call(client, method string, value any, args ...any) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { h.in.Close() })
	defer stop()
	if args == nil {
		args = []any{}
	}
	line, err := json.Marshal(map[string]any{"client": client, "call": method, "args": args})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(h.in, "%s\n", line); err != nil {
		return err
	}
	if !h.out.Scan() {
		return fmt.Errorf("the process does not answer: %w", errors.Join(h.out.Err(), ctx.Err()))
	}
	var answer struct {
		Value json.RawMessage
		Error string
	}
	if err := json.Unmarshal(h.out.Bytes(), &answer); err != nil {
		return err
	}
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	if value == nil {
		return nil
	}
	return json.Unmarshal(answer.Value, value)
}

func (h *nodeHost) reset() {}

func (h *nodeHost) repeats() bool { return false }

func TestConformanceInNode(t *testing.T) {
	if testing.Short() {
		t.Skip("plays for seconds")
	}
	control := serveSuite(t)
	h := newNodeHost(t)
	for _, scenario := range scenarios(t) {
		t.Run(scenario.Name, func(t *testing.T) { play(t, h, control, scenario.Name) })
	}
}

// A chromeHost has a tab of one browser for each client.
type chromeHost struct {
	first *chrome.Tab
	url   string // of the page
	tabs  map[string]*chrome.Tab
	spare []*chrome.Tab
}

func newChromeHost(t *testing.T, b *chrome.Tab) *chromeHost {
	t.Helper()
	h := &chromeHost{first: b.NewTabFor(t), tabs: map[string]*chrome.Tab{}}
	h.url = servePage(t, build(t, api.BuildOptions{
		EntryPoints: []string{"test/conformance/tab.ts"},
		Platform:    api.PlatformBrowser,
		Format:      api.FormatIIFE,
	}))
	h.spare = []*chrome.Tab{h.first}
	h.first.Go(h.url)
	return h
}

// servePage serves a page that runs a script, and returns its URL.
func servePage(t *testing.T, script string) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<!doctype html><title>test</title><link rel="icon" href="data:,"><script src="/script.js"></script>`)
	})
	mux.HandleFunc("GET /script.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprint(w, script)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

func (h *chromeHost) call(client, method string, value any, args ...any) error {
	tab, ok := h.tabs[client]
	if !ok {
		if len(h.spare) == 0 {
			tab = h.first.NewTab()
			tab.Go(h.url)
		} else {
			tab, h.spare = h.spare[0], h.spare[1:]
		}
		h.tabs[client] = tab
	}
	object := "suite.client"
	switch method {
	case "open", "setClock", "signedIn":
		object = "suite"
	}
	if args == nil {
		args = []any{}
	}
	list, err := json.Marshal(args)
	if err != nil {
		return err
	}
	text := chrome.Eval[string](tab, fmt.Sprintf(
		`Promise.resolve(%s.%s(...%s)).then((value) => JSON.stringify(value === undefined ? null : value))`, object, method, list))
	if value == nil {
		return nil
	}
	return json.Unmarshal([]byte(text), value)
}

// reset gives the tabs to the clients of the next scenario.
func (h *chromeHost) reset() {
	for _, tab := range h.tabs {
		h.spare = append(h.spare, tab)
	}
	h.tabs = map[string]*chrome.Tab{}
}

func (h *chromeHost) repeats() bool { return true }

func conformance(t *testing.T, b *chrome.Tab) {
	t.Helper()
	control := serveSuite(t)
	h := newChromeHost(t, b)
	for _, scenario := range scenarios(t) {
		if slices.Contains(scenario.Needs, "streams") {
			continue // Chromium streams bodies over HTTP/2 alone
		}
		t.Run(scenario.Name, func(t *testing.T) { play(t, h, control, scenario.Name) })
	}
}
