package clientsuite

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/server"
)

const (
	// accessTTL is so long that the server itself never refuses an expired token.
	accessTTL = 60 * 24 * time.Hour
	// expiresIn is the lifetime in seconds that answers state unless the scenario sets
	// one.
	expiresIn = 3600
	// patience is how long await waits for calls.
	patience = 10 * time.Second
	// maxCalls is how many calls the suite answers; then it closes the connections of the
	// client, which is in a loop.
	maxCalls = 2500
)

// A run plays one scenario: it has its own server, the script and a record.
type run struct {
	id       string
	scenario Scenario
	server   *testserver.Server
	folder   string
	over     chan struct{}
	closing  sync.Once

	mu      sync.Mutex
	script  []Answer
	gates   map[string]*gate
	rested  map[Endpoint]int // calls that are held, or that are past it
	changed chan struct{}    // closed when rested changes
	record  record
}

// A gate holds calls until it is opened; it stays open.
type gate struct {
	opened  chan struct{}
	holding int
}

func startRun(id string, scenario Scenario, folder string) (*run, error) {
	r := &run{
		id:       id,
		scenario: scenario,
		folder:   filepath.Join(folder, id),
		over:     make(chan struct{}),
		gates:    map[string]*gate{},
		rested:   map[Endpoint]int{},
		changed:  make(chan struct{}),
		record:   newRecord(),
	}
	r.setScript(scenario.Server.Answers)
	err := os.Mkdir(r.folder, 0o700)
	if err != nil {
		return nil, err
	}
	r.server, err = testserver.Start(r.folder, func(c *server.Config) {
		c.AccessTTL = accessTTL
		c.Now = r.now
	})
	return r, err
}

// now is the time by the server's clock.
func (r *run) now() time.Time {
	return time.Now().Add(time.Duration(r.scenario.Server.Clock) * time.Second)
}

func (r *run) close() (err error) {
	r.closing.Do(func() {
		close(r.over)
		err = errors.Join(r.server.Close(), os.RemoveAll(r.folder))
	})
	return err
}

func (r *run) setScript(answers []Answer) {
	script := slices.Clone(answers)
	for i := range script {
		script[i].Times = max(script[i].Times, 1)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.script = script
}

func (r *run) serveAuth(w http.ResponseWriter, req *http.Request) {
	switch req.URL.Path {
	case testserver.Login:
		r.serve(w, req, SignIn)
	case testserver.Refresh:
		r.serve(w, req, Refresh)
	case testserver.Logout:
		r.serve(w, req, SignOut)
	default:
		r.serveAPI(w, req)
	}
}

func (r *run) serveAPI(w http.ResponseWriter, req *http.Request) {
	if !strings.HasPrefix(req.URL.Path, "/api/") {
		fail(w, http.StatusNotFound, errors.New("there is nothing here"))
		return
	}
	r.serve(w, req, API)
}

func (r *run) serveElsewhere(w http.ResponseWriter, req *http.Request) { r.serve(w, req, Elsewhere) }

// serve answers a call with the server's answer, unless the script has another one. It
// reads the body first, so that it notices when a client disconnects.
func (r *run) serve(w http.ResponseWriter, req *http.Request, endpoint Endpoint) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	answer := r.arrive(req, endpoint, body)
	defer r.leave(req)
	r.hold(req.Context(), answer.HoldCall)
	if answer.Lose == "call" {
		panic(http.ErrAbortHandler)
	}
	reply := r.reply(req, endpoint, body, answer)
	if answer.HoldReply != "" {
		r.rest(endpoint)
	}
	r.hold(req.Context(), answer.HoldReply)
	if answer.Lose == "reply" {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), reply.Header())
	w.WriteHeader(reply.Code)
	_, _ = w.Write(reply.Body.Bytes())
}

// arrive records a call and returns the script's answer to it.
func (r *run) arrive(req *http.Request, endpoint Endpoint, body []byte) Answer {
	r.mu.Lock()
	if len(r.record.calls) == maxCalls {
		r.record.blame("the client made more than %d calls", maxCalls)
		r.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	call := r.record.note(req, endpoint, body)
	answer := r.next(call)
	if name := answer.HoldCall + answer.HoldReply; name != "" {
		if r.gates[name] == nil {
			r.gates[name] = &gate{opened: make(chan struct{})}
		}
		r.gates[name].holding++
	}
	r.mu.Unlock()
	if answer.HoldReply == "" {
		r.rest(endpoint)
	}
	return answer
}

// next removes the script's first answer for the call and returns it. The caller holds
// r.mu.
func (r *run) next(call Call) Answer {
	for i := range r.script {
		a := &r.script[i]
		if a.On != call.Endpoint || a.Access != 0 && a.Access != call.Access || a.Times == 0 {
			continue
		}
		if !a.Always {
			a.Times--
		}
		return *a
	}
	return Answer{}
}

func (r *run) leave(req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.record.leave(req)
}

// rest counts a call that await may see.
func (r *run) rest(endpoint Endpoint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rested[endpoint]++
	close(r.changed)
	r.changed = make(chan struct{})
}

// hold waits until the gate is opened. It does not return if the client disconnects, or
// the run ends, first.
func (r *run) hold(ctx context.Context, name string) {
	if name == "" {
		return
	}
	r.mu.Lock()
	g := r.gates[name]
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		g.holding--
	}()
	select {
	case <-g.opened:
	case <-ctx.Done():
		panic(http.ErrAbortHandler)
	case <-r.over:
		panic(http.ErrAbortHandler)
	}
}

func (r *run) release(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.gates[name]
	if g == nil || g.holding == 0 {
		return fmt.Errorf("no call is held at the gate %q: it has not come, or the client has given it up", name)
	}
	select {
	case <-g.opened:
	default:
		close(g.opened)
	}
	return nil
}

// await waits until that many calls of an endpoint have arrived in total, and have reached
// their gates if the script holds them.
func (r *run) await(ctx context.Context, endpoint Endpoint, calls int) error {
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		r.mu.Lock()
		rested, changed := r.rested[endpoint], r.changed
		r.mu.Unlock()
		if rested >= calls {
			return nil
		}
		select {
		case <-changed:
		case <-late.C:
			return fmt.Errorf("%d calls of %s have come, and %d are awaited", rested, endpoint, calls)
		case <-ctx.Done():
			return ctx.Err()
		case <-r.over:
			return errors.New("the run is over")
		}
	}
}

// reply makes the answer to a call. The real server makes it, unless the script specifies
// it.
func (r *run) reply(req *http.Request, endpoint Endpoint, body []byte, answer Answer) *httptest.ResponseRecorder {
	reply := httptest.NewRecorder()
	if answer.Status != 0 {
		for name, value := range answer.Headers {
			reply.Header().Set(name, value)
		}
		reply.WriteHeader(answer.Status)
		reply.Body.WriteString(answer.Body)
		return reply
	}
	if endpoint == Elsewhere {
		respond(reply, http.StatusOK, struct{}{})
		return reply
	}
	inner := req.Clone(req.Context())
	inner.Body = io.NopCloser(bytes.NewReader(body))
	r.server.ServeHTTP(reply, inner)
	if reply.Code == http.StatusOK && (endpoint == SignIn || endpoint == Refresh) {
		var given struct {
			Username string `json:"username"`
		}
		_ = json.Unmarshal(body, &given)
		r.edit(reply, given.Username, answer.Edit)
	}
	return reply
}

// edit records the tokens of the server's answer, then changes the answer: a null removes
// a field.
func (r *run) edit(reply *httptest.ResponseRecorder, user string, changes map[string]any) {
	fields := map[string]any{}
	if err := json.Unmarshal(reply.Body.Bytes(), &fields); err != nil {
		return
	}
	r.mu.Lock()
	r.record.issue(fields, user)
	r.mu.Unlock()
	fields["expiresIn"] = cmp.Or(r.scenario.Server.ExpiresIn, expiresIn)
	for name, value := range changes {
		fields[name] = value
		if value == nil {
			delete(fields, name)
		}
	}
	reply.Header().Del("Content-Length")
	reply.Body.Reset()
	_ = json.NewEncoder(reply.Body).Encode(fields)
}
