package server

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
)

// requestIDHeader carries the ID of a request, in both directions.
const requestIDHeader = "X-Request-Id"

const maxRequestID = 128

// newRequestID returns the ID that a trusted proxy has given the request, or draws one. The
// server does not take the ID of anybody else: a client could choose one that is in the log
// already.
func (s *Server) newRequestID(r *http.Request) string {
	given := r.Header.Get(requestIDHeader)
	if addr, ok := parseAddr(r.RemoteAddr); ok && isRequestID(given) && isTrusted(addr, s.reloadable.Load().trustedProxies) {
		return given
	}
	return rand.Text()[:20] // 100 random bits
}

// identified gives a request its ID, and the answer too.
func (s *Server) identified(w http.ResponseWriter, r *http.Request) *http.Request {
	state := &requestState{id: s.newRequestID(r)}
	w.Header().Set(requestIDHeader, state.id)
	return r.WithContext(context.WithValue(r.Context(), requestStateKey{}, state))
}

// WithRequestID gives the requests to a handler of the program's own an ID, as the server's
// own requests have; see [RequestID].
func (s *Server) WithRequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, s.identified(w, r)) })
}

// isRequestID reports whether a text from outside may go into a log and into headers.
func isRequestID(text string) bool {
	for _, c := range []byte(text) {
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return text != "" && len(text) <= maxRequestID
}

// RequestID returns the ID of the request that a context belongs to: of a context that the
// server gives to the directory, the store or [Config] Observe, and of the request's own. It
// is also in the answer's header X-Request-Id and in the server's log. RequestID returns ""
// for any other context.
func RequestID(ctx context.Context) string {
	if state := requestStateOf(ctx); state != nil {
		return state.id
	}
	return ""
}

// A requestIDHandler adds the ID of the request to what is logged about it.
type requestIDHandler struct{ slog.Handler }

func (h requestIDHandler) Handle(ctx context.Context, record slog.Record) error {
	if id := RequestID(ctx); id != "" {
		record = record.Clone()
		record.AddAttrs(slog.String("request_id", id))
	}
	return h.Handler.Handle(ctx, record)
}

func (h requestIDHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestIDHandler{h.Handler.WithAttrs(attrs)}
}

func (h requestIDHandler) WithGroup(name string) slog.Handler {
	return requestIDHandler{h.Handler.WithGroup(name)}
}
