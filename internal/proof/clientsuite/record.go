package clientsuite

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/tandem-auth/tandem/server"
)

// Headers that a runner adds to its requests.
const (
	// RequestHeader names the request, so that the suite recognizes a second send of it.
	RequestHeader = "Suite-Request"
	// LengthHeader is how long the body should be.
	LengthHeader = "Suite-Length"
)

// A Call is one request as it arrived. It contains no token.
type Call struct {
	Endpoint Endpoint `json:"endpoint"`
	Method   string   `json:"method"`
	Path     string   `json:"path"`
	// Access is the number of the access token that the call carried; the suite numbers
	// tokens from 1 in the order of issue. It is 0 if the call carried none, and -1 for a
	// token that the suite has not issued.
	Access int `json:"access,omitempty"`
	// Refresh is the same for the refresh token.
	Refresh int `json:"refresh,omitempty"`
	// User is the user to whom the access token was issued.
	User string `json:"user,omitempty"`
	// Request is the request's name.
	Request string `json:"request,omitempty"`
	// Length and Hash (SHA-256) describe the body; Hash is empty if the body may contain a
	// token.
	Length int    `json:"length,omitempty"`
	Hash   string `json:"hash,omitempty"`
	// AtOnce is how many calls of the endpoint were under way, including this one.
	AtOnce int `json:"atOnce"`
}

// A Report is the result of a run so far.
type Report struct {
	Traffic map[Endpoint]int `json:"traffic"`
	// Wrong has a sentence for each difference from the expected traffic, and for each
	// thing that no client may ever do. It is empty if the client passes.
	Wrong []string `json:"wrong"`
	Calls []Call   `json:"calls"`
}

// A token is one that the suite has issued.
type token struct {
	number  int
	session string
	user    string
}

// A record has the calls that came in, and what was wrong with them.
type record struct {
	calls    []Call
	underWay map[*http.Request]flying
	issued   int
	access   map[string]token
	refresh  map[string]token
	users    map[string]string // by session
	wrong    []string
}

// flying is a call that the suite has not answered yet.
type flying struct {
	endpoint Endpoint
	session  string // whose refresh it is
}

func newRecord() record {
	return record{
		underWay: map[*http.Request]flying{},
		access:   map[string]token{},
		refresh:  map[string]token{},
		users:    map[string]string{},
	}
}

// issue records the tokens of a sign-in, for which user is given, or of a refresh.
func (r *record) issue(answer map[string]any, user string) {
	text := func(field string) string { s, _ := answer[field].(string); return s }
	session := text("sessionId")
	if user != "" {
		r.users[session] = user
	}
	r.issued++
	t := token{number: r.issued, session: session, user: r.users[session]}
	r.access[text("accessToken")] = t
	r.refresh[text("refreshToken")] = t
}

// note records a call, and what is wrong with it.
func (r *record) note(req *http.Request, endpoint Endpoint, body []byte) Call {
	call := Call{Endpoint: endpoint, Method: req.Method, Path: req.URL.Path, Request: req.Header.Get(RequestHeader), Length: len(body)}
	if scheme, text, _ := strings.Cut(req.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		t, known := r.access[text]
		call.Access, call.User = t.number, t.user
		if !known {
			call.Access = -1
		}
	}
	flight := flying{endpoint: endpoint}
	if endpoint == Refresh {
		t := r.refreshToken(body)
		call.Refresh, flight.session = t.number, t.session
	}
	call.AtOnce = 1 + r.atOnce(func(f flying) bool { return f.endpoint == endpoint })
	if flight.session != "" && r.atOnce(func(f flying) bool { return f.session == flight.session }) > 0 {
		r.blame("two refreshes of one session were under way at once")
	}
	if len(req.Header.Values("Authorization")) > 1 {
		r.blame("%s %s came with %d Authorization headers", req.Method, call.Path, len(req.Header.Values("Authorization")))
	}
	if r.hasSecret(req.URL.String()) {
		r.blame("a token was in the URL of a call of %s", endpoint)
	}
	switch endpoint {
	case API:
		call.Length, call.Hash = r.noteBody(req, call.Request, body)
		r.noteSends(req, call)
	case Elsewhere:
		if r.hasSecret(headers(req.Header)) || r.hasSecret(string(body)) || bytes.Contains(body, []byte(`"password"`)) {
			r.blame("a token or a password went elsewhere, with %s %s", req.Method, call.Path)
		}
	}
	r.underWay[req] = flight
	r.calls = append(r.calls, call)
	return call
}

func (r *record) leave(req *http.Request) { delete(r.underWay, req) }

// atOnce counts the calls under way whose client has not gone away.
func (r *record) atOnce(like func(flying) bool) int {
	n := 0
	for req, f := range r.underWay {
		if like(f) && req.Context().Err() == nil {
			n++
		}
	}
	return n
}

func (r *record) blame(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.wrong, text) {
		r.wrong = append(r.wrong, text)
	}
}

// noteSends compares a request with its earlier sends.
func (r *record) noteSends(req *http.Request, call Call) {
	if n := len(req.Header.Values(RequestHeader)); n != 1 {
		r.blame("a request came with %d headers %s instead of one", n, RequestHeader)
	}
	if strings.Contains(req.Header.Get("Authorization"), "tandem_rt_") {
		r.blame("the API was sent a refresh token")
	}
	sends := 1
	for _, earlier := range r.calls {
		if earlier.Endpoint != API || earlier.Request != call.Request || earlier.Path != call.Path {
			continue
		}
		sends++
		switch {
		case earlier.User != call.User:
			r.blame("request %s was sent in the name of %q, then of %q", call.Request, earlier.User, call.User)
		case earlier.Access == call.Access:
			r.blame("request %s was sent twice with the same access token", call.Request)
		case earlier.Method != call.Method:
			r.blame("request %s was sent as %s, then as %s", call.Request, earlier.Method, call.Method)
		}
	}
	if sends > 2 {
		r.blame("request %s was sent %d times", call.Request, sends)
	}
}

// noteBody checks that the body is what the runner sent, and returns its length and hash.
// Of a form, it checks the part named body.
func (r *record) noteBody(req *http.Request, name string, body []byte) (int, string) {
	kind, params, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err == nil && kind == "multipart/form-data" {
		body = formPart(body, params["boundary"])
	}
	want, _ := strconv.Atoi(req.Header.Get(LengthHeader))
	whole := len(body) == want
	for i, c := range body {
		whole = whole && c == letter(i)
	}
	if !whole {
		r.blame("request %s arrived with a body of %d bytes that is not the %d bytes that were sent", name, len(body), want)
	}
	if len(body) == 0 {
		return 0, ""
	}
	hash := sha256.Sum256(body)
	return len(body), hex.EncodeToString(hash[:])
}

func formPart(body []byte, boundary string) []byte {
	form := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := form.NextPart()
		if err != nil {
			return nil
		}
		if part.FormName() == "body" {
			text, _ := io.ReadAll(part)
			return text
		}
	}
}

// refreshToken returns the token in the body of a refresh call.
func (r *record) refreshToken(body []byte) token {
	for text, t := range r.refresh {
		if bytes.Contains(body, []byte(text)) {
			return t
		}
	}
	return token{number: -1}
}

func (r *record) hasSecret(text string) bool {
	for _, tokens := range []map[string]token{r.access, r.refresh} {
		for secret := range tokens {
			if strings.Contains(text, secret) {
				return true
			}
		}
	}
	return false
}

func headers(h http.Header) string {
	var text strings.Builder
	_ = h.Write(&text)
	return text.String()
}

// report compares what has come in with what the scenario expects.
func (r *run) report() Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	report := Report{
		Traffic: map[Endpoint]int{},
		Calls:   append([]Call{}, r.record.calls...),
		Wrong:   append([]string{}, r.record.wrong...),
	}
	for _, call := range r.record.calls {
		report.Traffic[call.Endpoint]++
	}
	for _, endpoint := range endpoints() {
		if want, got := r.scenario.Expect.Traffic[endpoint], report.Traffic[endpoint]; !want.Has(got) {
			report.Wrong = append(report.Wrong, fmt.Sprintf("%d calls of %s, want %s", got, endpoint, want))
		}
	}
	for kind, what := range map[server.EventKind]string{
		server.EventReuseDetected: "the client looked like a thief: the server detected reuse",
		server.EventRefreshStale:  "the client came with a refresh token that it had replaced",
	} {
		if r.server.Events(kind) > 0 {
			report.Wrong = append(report.Wrong, what)
		}
	}
	return report
}
