package server

import (
	"context"
	"net/http"
)

// A WorkKind is a kind of [Work].
type WorkKind string

// The kinds of work.
const (
	// WorkRequest: the server answers a request. Work.Name is the pattern of the path, such
	// as "/auth/sessions/{id}".
	WorkRequest WorkKind = "request"

	// WorkStore: the server calls the store. Work.Name is the method, such as "Confirm".
	WorkStore WorkKind = "store"

	// WorkQueue: a sign-in waits for its turn. Work.Name is empty.
	WorkQueue WorkKind = "queue"

	// WorkPassword: the directory checks a password. Work.Name is empty.
	WorkPassword WorkKind = "password"
)

// Work is a piece of work of the server, for [Config] Observe.
type Work struct {
	Kind WorkKind
	Name string
	// Request is set for WorkRequest. Its path, its query and its headers may be secret.
	Request *http.Request
}

// A Result says how a piece of work ended.
type Result struct {
	// Outcome of a request is set for sign-ins and refreshes. Of a sign-in it is signed_in,
	// failed, limited, refused, unavailable or invalid; of a refresh refreshed, retried,
	// stale, reuse_detected, refused, unavailable or invalid.
	Outcome string
	// Status is that of the answer to a request.
	Status int
	// Err is the error of other work, or nil.
	Err error
}

// An ObserveFunc is called when a piece of work begins. It returns the context for the work,
// and a function that is called once, when the work has ended.
type ObserveFunc func(ctx context.Context, work Work) (context.Context, func(Result))

// begin tells the observer that work begins, if there is an observer.
func (f ObserveFunc) begin(ctx context.Context, work Work) (context.Context, func(Result)) {
	if f == nil {
		return ctx, func(Result) {}
	}
	return f(ctx, work)
}

// A requestState is what the server learns about a request while it answers it.
type requestState struct {
	id      string
	outcome string
}

// mayChange reports whether an answer that is an error has another outcome: so far there is
// none, or one that the client does not get.
func (s *requestState) mayChange() bool {
	switch s.outcome {
	case "", "signed_in", "refreshed", "retried":
		return true
	}
	return false
}

type requestStateKey struct{}

func requestStateOf(ctx context.Context) *requestState {
	state, _ := ctx.Value(requestStateKey{}).(*requestState)
	return state
}

// outcomes are the outcomes of a request that emits an event of that kind.
var outcomes = map[EventKind]string{
	EventSignedIn:       "signed_in",
	EventSignInFailed:   "failed",
	EventSignInLimited:  "limited",
	EventSignInRefused:  "refused",
	EventRefreshed:      "refreshed",
	EventRefreshRetried: "retried",
	EventRefreshStale:   "stale",
	EventReuseDetected:  "reuse_detected",
	EventRefreshRefused: "refused",
}

// outcomeOf returns the outcome of a sign-in or a refresh, or "" of any other request.
func outcomeOf(path string, state *requestState, status int) string {
	switch path {
	case "/auth/login", "/auth/refresh-token", "/oauth/token":
	default:
		return ""
	}
	switch {
	case !state.mayChange():
		return state.outcome
	case status >= http.StatusInternalServerError:
		return "unavailable"
	case status >= http.StatusBadRequest:
		return "invalid"
	}
	return state.outcome // "" for OPTIONS
}

// A statusWriter remembers the status of the answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 || w.status < http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(text []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(text)
}

// Unwrap lets [http.ResponseController] find the methods of the writer.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// observed has the observer follow requests to a path.
func (s *Server) observed(path string, next http.Handler) http.Handler {
	if s.cfg.Observe == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, done := s.cfg.Observe(r.Context(), Work{Kind: WorkRequest, Name: path, Request: r})
		answer := &statusWriter{ResponseWriter: w}
		defer func() { // also if the handler panics
			if answer.status == 0 {
				answer.status = http.StatusInternalServerError
			}
			done(Result{Status: answer.status, Outcome: outcomeOf(path, requestStateOf(ctx), answer.status)})
		}()
		next.ServeHTTP(answer, r.WithContext(ctx))
	})
}

// Stats is what a server is busy with at a moment.
type Stats struct {
	// SignInsWaiting wait for their turn, and SignInsRunning are at the directory, which
	// takes SignInTurns at once.
	SignInsWaiting, SignInsRunning, SignInTurns int
	// FeedFollowers follow the feed of ended sessions.
	FeedFollowers int
}

// Stats returns what the server is busy with. It does not wait for the store.
func (s *Server) Stats() Stats {
	stats := s.gate.stats()
	if s.feed != nil {
		s.feed.mu.Lock()
		defer s.feed.mu.Unlock()
		stats.FeedFollowers = s.feed.followers
	}
	return stats
}
