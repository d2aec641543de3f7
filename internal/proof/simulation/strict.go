package simulation

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/tandem-auth/tandem"
)

// heard records that the client reports the end of a session. The client made up the name
// of a session at a strict server, and its user has had no other session.
func (u *user) heard(end *tandem.EndedError) {
	id := end.SessionID
	if u.world.config.Strict {
		u.mu.Lock()
		id = u.strictSession
		u.mu.Unlock()
	}
	u.world.change(id, func(s *session) { u.world.ended(s) })
}

// enterStrictly begins a session with tokens from a strict server's sign-in.
func (p *process) enterStrictly(ctx context.Context) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, baseURL+loginPath, strings.NewReader("{}"))
	if err != nil {
		return
	}
	resp, err := p.network.RoundTrip(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	var answer struct {
		RefreshToken string `json:"refreshToken"`
	}
	if json.NewDecoder(resp.Body).Decode(&answer) != nil || answer.RefreshToken == "" {
		return
	}
	id, _ := parse(answer.RefreshToken)
	p.user.mu.Lock()
	p.user.strictSession = id.String()
	p.user.mu.Unlock()
	_ = p.session.SignInWith(ctx, p.user.name, tandem.Grant{RefreshToken: answer.RefreshToken})
}
