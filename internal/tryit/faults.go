package tryit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The faults that a refresh can meet.
const (
	// unavailable is answered with 503, before the server sees the refresh.
	unavailable = "unavailable"
	// page is answered with 200 and HTML, as by a proxy with a page of its own.
	page = "page"
	// lost means that the server refreshes and its reply breaks off on its way.
	lost = "lost"
	// slow means that the reply arrives, after the delay.
	slow = "slow"
)

// Bounds on what a visitor may ask for.
const (
	longestDelay = 25 * time.Second // the daemon cuts replies off after 30 s
	mostFaults   = 10               // of one session
	mostTokens   = 5000             // remembered at a time
	maxRefresh   = 64 << 10         // bytes of a body
)

// A fault is what happens to one refresh.
type fault struct {
	Kind  string `json:"kind"`
	Delay int64  `json:"delay"` // of the reply, in ms
}

func (f fault) isValid() bool {
	switch f.Kind {
	case unavailable, page, lost, slow:
		return f.Delay >= 0 && f.Delay <= longestDelay.Milliseconds()
	}
	return false
}

// A digest stands for a token in memory.
type digest [sha256.Size]byte

func digestOf(token string) digest { return sha256.Sum256([]byte(token)) }

// put adds to a map that forgets everything when it is full.
func put[V any](in map[digest]V, token string, value V) {
	if len(in) >= mostTokens {
		clear(in)
	}
	in[digestOf(token)] = value
}

// A player plays faults to the sessions whose holders asked for them. Nobody can ask for
// another's, since a session is named by a token that it has.
type player struct {
	next http.Handler

	mu sync.Mutex
	// sessions has those with faults, by each refresh token that they have had since.
	sessions map[digest]*faulty
	// expired has the access tokens that are refused although they have not run out.
	expired map[digest]bool
}

// A faulty session has faults ahead of it, the next one first.
type faulty struct{ ahead []fault }

// playFaults puts a player before the handler of all paths. It adds
//
//	POST /try/faults {"refreshToken": "…", "faults": [{"kind": "lost", "delay": 500}]}
//
// which sets what happens to the session's next refreshes in turn, and
//
//	POST /try/expire, with an access token in Authorization
//
// after which the server refuses that token.
func playFaults(next http.Handler) http.Handler {
	p := &player{next: next, sessions: map[digest]*faulty{}, expired: map[digest]bool{}}
	posts := map[string]http.HandlerFunc{"/try/faults": p.setFaults, "/try/expire": p.expire, "/auth/refresh-token": p.refresh}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if post, ok := posts[r.URL.Path]; ok && r.Method == http.MethodPost {
			post(w, r)
			return
		}
		p.pass(w, r)
	})
}

func (p *player) setFaults(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		RefreshToken string  `json:"refreshToken"`
		Faults       []fault `json:"faults"`
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRefresh)).Decode(&asked)
	isValid := err == nil && asked.RefreshToken != "" && len(asked.Faults) <= mostFaults
	for _, f := range asked.Faults {
		isValid = isValid && f.isValid()
	}
	if !isValid {
		http.Error(w, "want {refreshToken, faults: [{kind, delay}]}", http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	session := p.sessions[digestOf(asked.RefreshToken)]
	if session == nil {
		session = &faulty{}
		put(p.sessions, asked.RefreshToken, session)
	}
	session.ahead = asked.Faults
	w.WriteHeader(http.StatusNoContent)
}

func (p *player) expire(w http.ResponseWriter, r *http.Request) {
	token := bearer(r)
	if token == "" {
		http.Error(w, "want an access token", http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	put(p.expired, token, true)
	w.WriteHeader(http.StatusNoContent)
}

func bearer(r *http.Request) string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token
}

// pass passes a request on. The server refuses a token that has been expired as it
// refuses any that is not good.
func (p *player) pass(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	isExpired := p.expired[digestOf(bearer(r))]
	p.mu.Unlock()
	if isExpired {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer expired")
	}
	p.next.ServeHTTP(w, r)
}

func (p *player) refresh(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRefresh))
	if err != nil {
		http.Error(w, "the body is too long or broke off", http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	session := p.sessionOf(body)
	if session == nil {
		p.next.ServeHTTP(w, r)
		return
	}
	met := p.take(session)
	switch met.Kind {
	case unavailable:
		wait(r.Context(), met)
		http.Error(w, "the server is away", http.StatusServiceUnavailable)
		return
	case page:
		wait(r.Context(), met)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!doctype html><title>A proxy's page</title>")
		return
	}
	answer := &reply{ResponseWriter: w, status: http.StatusOK}
	p.next.ServeHTTP(answer, r)
	p.follow(session, answer.body.Bytes())
	wait(r.Context(), met)
	answer.send(met.Kind == lost)
}

// sessionOf returns the session of the refresh token in a body, if faults were ever set
// for it.
func (p *player) sessionOf(body []byte) *faulty {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sessions[digestOf(refreshTokenIn(body))]
}

// follow notes the next refresh token of a session.
func (p *player) follow(session *faulty, answer []byte) {
	if token := refreshTokenIn(answer); token != "" {
		p.mu.Lock()
		defer p.mu.Unlock()
		put(p.sessions, token, session)
	}
}

func refreshTokenIn(body []byte) string {
	var has struct {
		RefreshToken string `json:"refreshToken"`
	}
	_ = json.Unmarshal(body, &has)
	return has.RefreshToken
}

// take returns the next fault of a session and removes it.
func (p *player) take(session *faulty) fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(session.ahead) == 0 {
		return fault{}
	}
	met := session.ahead[0]
	session.ahead = session.ahead[1:]
	return met
}

// wait holds a reply back, for as long as the client waits for it.
func wait(ctx context.Context, met fault) {
	timer := time.NewTimer(time.Duration(met.Delay) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// A reply is held back until it is sent.
type reply struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (a *reply) WriteHeader(status int) { a.status = status }

func (a *reply) Write(text []byte) (int, error) { return a.body.Write(text) }

// Unwrap lets [http.ResponseController] find the connection.
func (a *reply) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// send sends the reply. One that breaks off has begun: a browser sends a request again by
// itself if a connection that it had used before ends without a word.
func (a *reply) send(breaksOff bool) {
	text := a.body.Bytes()
	a.Header().Set("Content-Length", strconv.Itoa(len(text)))
	a.ResponseWriter.WriteHeader(a.status)
	if !breaksOff {
		_, _ = a.ResponseWriter.Write(text)
		return
	}
	_, _ = a.ResponseWriter.Write(text[:len(text)/2])
	_ = http.NewResponseController(a.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}
