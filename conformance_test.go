package tandem_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/proof/clientsuite"
	"github.com/tandem-auth/tandem/internal/testkit/inproc"
)

// The Go client plays the table that every client plays: docs/conformance.md. It
// does so in a bubble, where time passes when all wait: no back-off is too long.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, scenario := range scenarios(t) {
		t.Run(scenario.Name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				network := inproc.NewNetwork()
				listen := func(host string) (net.Listener, string) {
					return network.Listen(host + ":8080"), "http://" + host + ":8080"
				}
				play(t, scenario.Name, listen, network.DialContext)
			})
		})
	}
}

// What needs no time to pass is played over sockets as well, as clients in other
// languages do.
func TestConformanceOverSockets(t *testing.T) {
	t.Parallel()
	for _, scenario := range scenarios(t) {
		if slices.ContainsFunc(scenario.Steps, func(s clientsuite.Step) bool { return s.Do == "wait" }) {
			continue
		}
		t.Run(scenario.Name, func(t *testing.T) {
			t.Parallel()
			listen := func(string) (net.Listener, string) {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				return l, "http://" + l.Addr().String()
			}
			play(t, scenario.Name, listen, (&net.Dialer{}).DialContext)
		})
	}
}

func scenarios(t *testing.T) []clientsuite.Scenario {
	t.Helper()
	all, err := clientsuite.Load(os.DirFS("testdata/vectors/client"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A player plays one scenario. All that it knows of the suite is what the control
// API tells it.
type player struct {
	*testing.T
	ctx       context.Context
	control   *http.Client
	runURL    string
	run       clientsuite.Run
	transport *http.Transport
	store     *tandem.MemoryStore
	clients   map[string]*tandem.Session
	requests  map[string]*requests

	mu   sync.Mutex
	ends []string
}

// patience is how long a scenario may take. Only a client that leaves its callers
// hanging gets to feel it.
const patience = time.Minute

// requests are those of one step.
type requests struct {
	want     string
	cancel   context.CancelFunc
	outcomes chan string
	count    int
}

func play(t *testing.T, name string, listen func(host string) (net.Listener, string), dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	t.Helper()
	control := serveSuite(t, scenarios(t), listen)
	// As many connections to a server as a browser opens.
	transport := &http.Transport{DialContext: dial, MaxConnsPerHost: 6}
	controlTransport := &http.Transport{DialContext: dial}
	defer transport.CloseIdleConnections()
	defer controlTransport.CloseIdleConnections()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p := &player{
		T: t, ctx: ctx, control: &http.Client{Transport: controlTransport}, transport: transport,
		store: tandem.NewMemoryStore(), clients: map[string]*tandem.Session{}, requests: map[string]*requests{},
	}
	p.call(http.MethodPost, control+"/runs", map[string]string{"scenario": name}, &p.run)
	p.runURL = control + "/runs/" + p.run.ID
	for i, step := range p.run.Scenario.Steps {
		if step.IsServers() {
			p.call(http.MethodPost, p.runURL+"/steps", step, nil)
		} else {
			p.do(i, step)
		}
		if t.Failed() {
			t.Errorf("at step %d: %s", i+1, step.Do)
			break
		}
	}
	for _, s := range p.clients {
		s.Close()
	}
	p.compare()
	p.call(http.MethodDelete, p.runURL, nil, nil)
}

// serveSuite serves the suite on four hosts and returns the URL of its control.
func serveSuite(t *testing.T, table []clientsuite.Scenario, listen func(host string) (net.Listener, string)) string {
	t.Helper()
	controls, control := listen("control.test")
	auths, auth := listen("auth.test")
	apis, api := listen("api.test")
	elsewheres, elsewhere := listen("elsewhere.test")
	suite, err := clientsuite.New(table, clientsuite.Origins{Auth: auth, API: api, Elsewhere: elsewhere})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { suite.Close() })
	for listener, handler := range map[net.Listener]http.Handler{
		controls: suite.Control, auths: suite.Auth, apis: suite.API, elsewheres: suite.Elsewhere,
	} {
		server := &http.Server{Handler: handler}
		var served sync.WaitGroup
		served.Go(func() { _ = server.Serve(listener) })
		t.Cleanup(func() {
			server.Close()
			served.Wait()
		})
	}
	return control
}

// call makes a call of the control API.
func (p *player) call(method, url string, body, answer any) {
	p.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		p.Fatal(err)
	}
	req, err := http.NewRequest(method, url, bytes.NewReader(text))
	if err != nil {
		p.Fatal(err)
	}
	resp, err := p.control.Do(req)
	if err != nil {
		p.Error(err)
		return
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		p.Errorf("the suite says: %s %v", text, err)
		return
	}
	if answer != nil {
		if err := json.Unmarshal(text, answer); err != nil {
			p.Fatal(err)
		}
	}
}

// do does one of the client's steps.
func (p *player) do(i int, step clientsuite.Step) {
	p.Helper()
	switch step.Do {
	case "signIn":
		password := step.Password
		if password == "" {
			password = p.run.Users[step.User]
		}
		p.expect(step.Expect, outcomeOf(0, p.client(step.Client).SignIn(p.ctx, step.User, password)))
	case "signOut":
		p.expect(step.Expect, outcomeOf(0, p.client(step.Client).SignOut(p.ctx)))
	case "request":
		if step.As == "" {
			step.As = "step " + strconv.Itoa(i+1)
		}
		p.start(step)
		if !step.Background {
			p.join(step.As)
		}
	case "join":
		p.join(step.As)
	case "cancel":
		p.requests[step.As].cancel()
		p.join(step.As)
	case "wait":
		time.Sleep(time.Duration(step.Seconds) * time.Second)
	default:
		p.Errorf("the player cannot %q", step.Do)
	}
}

// client returns the client of a name, which shares its store with the others.
func (p *player) client(name string) *tandem.Session {
	p.Helper()
	if s, ok := p.clients[name]; ok {
		return s
	}
	settings := p.run.Scenario.Client
	var rejected func(*http.Response) bool
	if settings.RejectedBody != "" {
		rejected = func(resp *http.Response) bool {
			text, _ := io.ReadAll(resp.Body)
			return strings.Contains(string(text), settings.RejectedBody)
		}
	}
	s, err := tandem.Open(p.ctx, p.store, tandem.Config{
		Rejected:       rejected,
		URL:            p.run.URL,
		Origins:        settings.Origins,
		Transport:      p.transport,
		RefreshAhead:   time.Duration(settings.RefreshAhead) * time.Second,
		RefreshTimeout: time.Duration(settings.RefreshTimeout) * time.Second,
		OnEnd: func(ctx context.Context, s *tandem.Session, end *tandem.EndedError) {
			p.mu.Lock()
			p.ends = append(p.ends, string(end.Reason))
			p.mu.Unlock()
			if user := settings.OnEnd; user != "" {
				if err := s.SignIn(ctx, user, p.run.Users[user]); err != nil {
					p.Errorf("sign in at the end: %v", err)
				}
			}
		},
	})
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { s.Close() })
	p.clients[name] = s
	return s
}

// start makes the requests of a step, all at once.
func (p *player) start(step clientsuite.Step) {
	p.Helper()
	client := p.client(step.Client).Client()
	ctx, cancel := context.WithCancel(p.ctx)
	r := &requests{want: step.Expect, cancel: cancel, count: max(step.Count, 1)}
	r.outcomes = make(chan string, r.count)
	p.requests[step.As] = r
	for n := range r.count {
		req := p.request(ctx, step, n+1)
		go func() {
			resp, err := client.Do(req)
			if err != nil {
				r.outcomes <- outcomeOf(0, err)
				return
			}
			defer resp.Body.Close()
			_, err = io.Copy(io.Discard, resp.Body)
			r.outcomes <- outcomeOf(resp.StatusCode, err)
		}()
	}
}

func (p *player) request(ctx context.Context, step clientsuite.Step, n int) *http.Request {
	p.Helper()
	url, method := step.URL, step.Method
	if url == "" {
		url = p.run.URL + "/api/hello"
	}
	var body io.Reader
	kind, length := "", 0
	if step.Body != nil {
		if method == "" {
			method = http.MethodPost
		}
		length = step.Body.Length
		body, kind = bodyOf(*step.Body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		p.Fatal(err)
	}
	req.Header.Set(clientsuite.RequestHeader, fmt.Sprintf("%s #%d", step.As, n))
	req.Header.Set(clientsuite.LengthHeader, strconv.Itoa(length))
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	return req
}

func bodyOf(b clientsuite.Body) (body io.Reader, kind string) {
	switch b.Kind {
	case "form":
		var text bytes.Buffer
		form := multipart.NewWriter(&text)
		part, _ := form.CreateFormField("body")
		_, _ = part.Write(b.Text())
		_ = form.Close()
		return &text, form.FormDataContentType()
	case "stream":
		return io.MultiReader(bytes.NewReader(b.Text())), "application/octet-stream"
	}
	return bytes.NewReader(b.Text()), "text/plain"
}

// join waits for the requests of a step.
func (p *player) join(name string) {
	p.Helper()
	r := p.requests[name]
	for range r.count {
		select {
		case got := <-r.outcomes:
			p.expect(r.want, got)
		case <-p.ctx.Done():
			p.Fatalf("a request hangs, want %s", r.want)
		}
	}
	r.cancel()
}

func (p *player) expect(want, got string) {
	p.Helper()
	if got != want {
		p.Errorf("came out as %s, want %s", got, want)
	}
}

// outcomeOf says in the table's words how a call came out.
func outcomeOf(status int, err error) string {
	if end, ok := errors.AsType[*tandem.EndedError](err); ok {
		return "ended " + string(end.Reason)
	}
	if _, ok := errors.AsType[*tandem.TemporaryError](err); ok {
		return "temporary"
	}
	if _, ok := errors.AsType[*tandem.BodyNotReplayableError](err); ok {
		return "bodyNotReplayable"
	}
	switch {
	case errors.Is(err, tandem.ErrUserChanged):
		return "userChanged"
	case errors.Is(err, tandem.ErrInvalidCredentials):
		return "wrongCredentials"
	case errors.Is(err, context.Canceled):
		return "aborted"
	case err != nil:
		return "failed"
	case status != 0:
		return strconv.Itoa(status)
	}
	return "ok"
}

// compare looks at what has come of it all.
func (p *player) compare() {
	p.Helper()
	want := p.run.Scenario.Expect
	kept, err := p.store.Load(context.Background())
	if err != nil || kept.Username != want.SignedIn {
		p.Errorf("%q is signed in, want %q", kept.Username, want.SignedIn)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.ends, want.Ends) {
		p.Errorf("the application heard of the ends %q, want %q", p.ends, want.Ends)
	}
	var report clientsuite.Report
	p.call(http.MethodGet, p.runURL, nil, &report)
	for _, wrong := range report.Wrong {
		p.Error(wrong)
	}
	if p.Failed() {
		for _, call := range report.Calls[:min(len(report.Calls), 20)] {
			p.Logf("%+v", call)
		}
	}
}
