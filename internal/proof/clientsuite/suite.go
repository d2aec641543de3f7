package clientsuite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/rs/cors"
)

// Origins are the addresses, without a path, at which clients reach the handlers of a
// [Suite].
type Origins struct{ Auth, API, Elsewhere string }

// A Suite plays the scenarios of a table. Its handlers may serve any number of runs
// at once. Pages of every origin may call them.
type Suite struct {
	// Control starts runs, takes their steps and reports.
	Control http.Handler
	// Auth is the server and an API at the same origin; API is an API at another origin
	// that clients may trust; Elsewhere is an origin to which a client must send no token.
	Auth, API, Elsewhere http.Handler

	table   []Scenario
	origins Origins
	folder  string

	mu     sync.Mutex
	runs   map[string]*run
	begun  int
	closed bool
}

// New returns a suite that plays the given scenarios. Its runs keep files in a
// temporary folder until it is closed.
func New(table []Scenario, origins Origins) (*Suite, error) {
	for _, origin := range []string{origins.Auth, origins.API, origins.Elsewhere} {
		if u, err := url.Parse(origin); err != nil || u.Host == "" || u.Path != "" {
			return nil, fmt.Errorf("clientsuite: %q is not an origin", origin)
		}
	}
	folder, err := os.MkdirTemp("", "tandem-clientsuite-")
	if err != nil {
		return nil, err
	}
	s := &Suite{table: table, origins: origins, folder: folder, runs: map[string]*run{}}
	s.Control = open(s.control())
	s.Auth = open(s.inRun((*run).serveAuth))
	s.API = open(s.inRun((*run).serveAPI))
	s.Elsewhere = open(s.inRun((*run).serveElsewhere))
	return s, nil
}

// open allows pages of every origin to call next.
func open(next http.Handler) http.Handler {
	return cors.New(cors.Options{
		AllowedOrigins: []string{"*"},
		AllowedMethods: []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete},
		AllowedHeaders: []string{"*"},
		ExposedHeaders: []string{"WWW-Authenticate", "Retry-After"},
		MaxAge:         600, // or a browser asks before each request
	}).Handler(next)
}

// Close ends all runs and removes their files. It may be called twice.
func (s *Suite) Close() error {
	s.mu.Lock()
	s.closed = true
	runs := s.runs
	s.runs = map[string]*run{}
	s.mu.Unlock()
	var errs []error
	for _, r := range runs {
		errs = append(errs, r.close())
	}
	return errors.Join(append(errs, os.RemoveAll(s.folder))...)
}

func (s *Suite) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /scenarios", func(w http.ResponseWriter, _ *http.Request) { respond(w, http.StatusOK, s.table) })
	mux.HandleFunc("POST /runs", s.begin)
	mux.HandleFunc("POST /runs/{id}/steps", s.step)
	mux.HandleFunc("GET /runs/{id}", s.report)
	mux.HandleFunc("DELETE /runs/{id}", s.end)
	return mux
}

// A Run is what a runner needs to play a scenario: the server's URL, the users with
// their passwords, and the scenario with all addresses filled in.
type Run struct {
	ID       string            `json:"id"`
	URL      string            `json:"url"`
	Users    map[string]string `json:"users"`
	Scenario Scenario          `json:"scenario"`
}

func (s *Suite) begin(w http.ResponseWriter, req *http.Request) {
	var body struct {
		Scenario string `json:"scenario"`
	}
	if err := read(req, &body); err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	r, err := s.newRun(body.Scenario)
	if err != nil {
		fail(w, http.StatusConflict, err)
		return
	}
	respond(w, http.StatusCreated, Run{
		ID:       r.id,
		URL:      s.origins.Auth + "/runs/" + r.id,
		Users:    map[string]string{"ann": "nna", "bob": "bbo"},
		Scenario: r.scenario,
	})
}

func (s *Suite) newRun(name string) (*run, error) {
	i := slices.IndexFunc(s.table, func(scenario Scenario) bool { return scenario.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("no scenario is named %q", name)
	}
	s.mu.Lock()
	s.begun++
	id := strconv.Itoa(s.begun)
	s.mu.Unlock()
	filled, err := s.fill(s.table[i], id)
	if err != nil {
		return nil, err
	}
	r, err := startRun(id, filled, s.folder)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.runs[id] = r
	}
	s.mu.Unlock()
	if closed {
		return nil, errors.Join(errors.New("the suite is closed"), r.close())
	}
	return r, nil
}

// fill puts the addresses of a run into a scenario.
func (s *Suite) fill(scenario Scenario, id string) (filled Scenario, err error) {
	text, err := json.Marshal(scenario)
	if err != nil {
		return Scenario{}, err
	}
	_, host, _ := strings.Cut(s.origins.Elsewhere, "://")
	replaced := strings.NewReplacer(
		"{auth}", s.origins.Auth+"/runs/"+id,
		"{api}", s.origins.API+"/runs/"+id,
		"{apiOrigin}", s.origins.API,
		"{elsewhere}", s.origins.Elsewhere+"/runs/"+id,
		"{elsewhereHost}", host,
	).Replace(string(text))
	err = unmarshal([]byte(replaced), &filled)
	return filled, err
}

func (s *Suite) run(id string) (*run, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.runs[id]
	return r, ok
}

// inRun passes a request to the run that its path names.
func (s *Suite) inRun(serve func(r *run, w http.ResponseWriter, req *http.Request)) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/runs/{id}/", func(w http.ResponseWriter, req *http.Request) {
		r, ok := s.run(req.PathValue("id"))
		if !ok {
			fail(w, http.StatusNotFound, errors.New("there is no such run, or not any more"))
			return
		}
		http.StripPrefix("/runs/"+r.id, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			serve(r, w, req)
		})).ServeHTTP(w, req)
	})
	return mux
}

func (s *Suite) step(w http.ResponseWriter, req *http.Request) {
	r, ok := s.run(req.PathValue("id"))
	var step Step
	err := read(req, &step)
	switch {
	case !ok:
		fail(w, http.StatusNotFound, errors.New("there is no such run, or not any more"))
	case err != nil:
		fail(w, http.StatusBadRequest, err)
	default:
		if err := r.do(req.Context(), step); err != nil {
			fail(w, http.StatusConflict, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *Suite) report(w http.ResponseWriter, req *http.Request) {
	r, ok := s.run(req.PathValue("id"))
	if !ok {
		fail(w, http.StatusNotFound, errors.New("there is no such run, or not any more"))
		return
	}
	respond(w, http.StatusOK, r.report())
}

func (s *Suite) end(w http.ResponseWriter, req *http.Request) {
	s.mu.Lock()
	r, ok := s.runs[req.PathValue("id")]
	delete(s.runs, req.PathValue("id"))
	s.mu.Unlock()
	if ok {
		if err := r.close(); err != nil {
			fail(w, http.StatusInternalServerError, err)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// do performs one of the server's steps.
func (r *run) do(ctx context.Context, step Step) error {
	if err := step.validateFields(); err != nil {
		return err
	}
	switch step.Do {
	case "script":
		r.setScript(step.Answers)
		return nil
	case "await":
		return r.await(ctx, step.On, step.Calls)
	case "release":
		return r.release(step.Gate)
	case "end":
		_, err := r.server.Store.EndSubject(ctx, "user-"+step.User, "revoked", r.now())
		return err
	}
	return fmt.Errorf("%q is for the client to do", step.Do)
}

const maxBody = 4 << 20

func read(req *http.Request, into any) error {
	text, err := io.ReadAll(io.LimitReader(req.Body, maxBody))
	if err != nil {
		return err
	}
	return unmarshal(text, into)
}

func respond(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func fail(w http.ResponseWriter, status int, err error) {
	respond(w, status, map[string]string{"error": err.Error()})
}
