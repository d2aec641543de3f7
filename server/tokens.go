package server

import (
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// A pair is what a sign-in and a refresh answer with.
type pair struct {
	AccessToken      string `json:"accessToken"`
	RefreshToken     string `json:"refreshToken"`
	TokenType        string `json:"tokenType"`
	ExpiresIn        int64  `json:"expiresIn"`
	RefreshExpiresIn int64  `json:"refreshExpiresIn"`
	SessionID        string `json:"sessionId"`
}

// newPair gives a successor of the session's current refresh token, and an
// access token with it. Neither outlives the session.
func (s *Server) newPair(session store.Session, now time.Time) (pair, error) {
	branch, err := randomBranch()
	if err != nil {
		return pair{}, err
	}
	left := max(0, session.ExpiresAt.Sub(now))
	accessTTL := min(s.cfg.AccessTTL, left)
	access, err := s.tokens.sign(session, now, now.Add(accessTTL))
	if err != nil {
		return pair{}, err
	}
	return pair{
		AccessToken: access,
		RefreshToken: s.codec.Encode(rotation.Token{
			Session:  session.ID,
			Position: session.Successor(branch),
			IssuedAt: now,
		}),
		TokenType:        "Bearer",
		ExpiresIn:        int64(accessTTL / time.Second),
		RefreshExpiresIn: int64(min(s.cfg.RefreshTTL, left) / time.Second),
		SessionID:        session.ID.String(),
	}, nil
}
