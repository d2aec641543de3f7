package simulation

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
)

// A family has the tokens of one session, numbered in the order in which the server gave
// them out.
type family struct {
	ended   bool
	last    int // the number given last
	current int
	used    map[int]time.Time
}

func (f *family) next() int {
	f.last++
	return f.last
}

// A policy returns the number of the token that the server gives for a presented one; 0
// means none, because of reuse.
type policy func(f *family, presented int, now time.Time) int

// policies are the rotation rules of other servers.
var policies = map[Scheme]policy{
	Textbook: func(f *family, presented int, _ time.Time) int {
		if presented != f.current {
			return 0
		}
		f.current = f.next()
		return f.current
	},
	Grace: func(f *family, presented int, now time.Time) int {
		used, before := f.used[presented]
		if before && now.Sub(used) > 10*time.Second {
			return 0
		}
		if !before {
			f.used[presented] = now
		}
		return f.next()
	},
	Counter: func(f *family, presented int, _ time.Time) int {
		switch presented {
		case f.current:
			f.current = f.next()
			return f.current
		case f.current - 1:
			return f.current
		}
		return 0
	},
}

// A peer is a server with the policy of another scheme. Its store never rolls back.
type peer struct {
	policy  policy
	onEvent func(server.Event)
	silent  bool // about how long an access token is good for, at its token endpoint

	mu       sync.Mutex
	up       bool
	families map[rotation.SessionID]*family
	backup   map[rotation.SessionID]family
}

func (p *peer) start(time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up = true
	return nil
}

func (p *peer) stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up = false
	return nil
}

func (p *peer) backUp() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.backup = map[rotation.SessionID]family{}
	for id, f := range p.families {
		kept := *f
		kept.used = maps.Clone(f.used)
		p.backup[id] = kept
	}
	return nil
}

func (p *peer) fallBack() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, f := range p.backup {
		p.families[id] = &f
	}
	return nil
}

func (p *peer) serve(w http.ResponseWriter, r *http.Request) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.up {
		return false
	}
	switch r.URL.Path {
	case loginPath:
		p.signIn(w)
	case refreshPath:
		var body struct {
			RefreshToken string `json:"refreshToken"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		p.refresh(w, body.RefreshToken, give)
	case tokenPath:
		p.refresh(w, r.PostFormValue("refresh_token"), p.grant)
	default:
		p.guard(w, r.Header.Get("Authorization"))
	}
	return true
}

func (p *peer) signIn(w http.ResponseWriter) {
	var id rotation.SessionID
	_, _ = rand.Read(id[:])
	f := &family{used: map[int]time.Time{}}
	f.current = f.next()
	p.families[id] = f
	p.onEvent(server.Event{Kind: server.EventSignedIn, Session: id})
	give(w, id, f.current)
}

func (p *peer) refresh(w http.ResponseWriter, token string, give func(w http.ResponseWriter, id rotation.SessionID, number int)) {
	id, number := parse(token)
	f := p.families[id]
	if f == nil || f.ended {
		refuse(w, http.StatusBadRequest, "invalid_grant", rotation.ReuseDetected)
		return
	}
	given := p.policy(f, number, time.Now())
	if given == 0 {
		f.ended = true
		p.onEvent(server.Event{Kind: server.EventReuseDetected, Session: id})
		refuse(w, http.StatusBadRequest, "invalid_grant", rotation.ReuseDetected)
		return
	}
	p.onEvent(server.Event{Kind: server.EventRefreshed, Session: id})
	give(w, id, given)
}

// guard is the API. It reads session and expiry from the access token.
func (p *peer) guard(w http.ResponseWriter, header string) {
	id, expires := parse(strings.TrimPrefix(header, "Bearer "))
	f := p.families[id]
	if f == nil || f.ended || time.Now().Unix() >= int64(expires) {
		refuse(w, http.StatusUnauthorized, "invalid_token", "")
	}
}

func give(w http.ResponseWriter, id rotation.SessionID, number int) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"accessToken":  fmt.Sprintf("%s.%d", id, time.Now().Add(accessTTL).Unix()),
		"refreshToken": fmt.Sprintf("%s.%d", id, number),
		"tokenType":    "Bearer",
		"expiresIn":    int(accessTTL / time.Second),
		"sessionId":    id.String(),
	})
}

// grant answers as an OAuth 2.0 token endpoint does (RFC 6749 section 5.1).
func (p *peer) grant(w http.ResponseWriter, id rotation.SessionID, number int) {
	answer := map[string]any{
		"access_token":  fmt.Sprintf("%s.%d", id, time.Now().Add(accessTTL).Unix()),
		"refresh_token": fmt.Sprintf("%s.%d", id, number),
		"token_type":    "Bearer",
	}
	if !p.silent {
		answer["expires_in"] = int(accessTTL / time.Second)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func parse(token string) (id rotation.SessionID, number int) {
	text, rest, _ := strings.Cut(token, ".")
	id, _ = rotation.ParseSessionID(text)
	_, _ = fmt.Sscan(rest, &number)
	return id, number
}

func refuse(w http.ResponseWriter, status int, code string, reason rotation.EndReason) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": code, "reason": reason})
}
