package server

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-auth/tandem/accesstoken"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// A pair is the body of the answer to a sign-in or a refresh.
type pair struct {
	AccessToken      string `json:"accessToken"`
	RefreshToken     string `json:"refreshToken,omitempty"` // empty in cookie mode
	TokenType        string `json:"tokenType"`
	ExpiresIn        int64  `json:"expiresIn"`
	RefreshExpiresIn int64  `json:"refreshExpiresIn"`
	SessionID        string `json:"sessionId"`

	scope string

	// successor is the content of the refresh token, and cookieLife how long a browser
	// keeps it as a cookie.
	successor  rotation.Token
	cookieLife time.Duration
}

// newPair returns a successor of the session's current refresh token, with an access
// token. Neither is valid beyond the session's end. The IssuedAt of the refresh token is
// not before notBefore, the time of the token that it replaces: while a server's clock is
// behind, the server must not issue tokens that will have expired once the clock is
// corrected.
func (s *Server) newPair(keys *KeySet, session store.Session, terms terms, now, notBefore time.Time) (pair, error) {
	branch, err := randomBranch()
	if err != nil {
		return pair{}, err
	}
	left := max(0, session.ExpiresAt.Sub(now))
	accessTTL := min(s.cfg.AccessTTL, left)
	access, err := terms.signer.Sign(keys.signing, accesstoken.Claims{
		Subject:   session.Subject,
		Username:  session.Username,
		SessionID: session.ID,
		Scope:     session.Scope,
		ClientID:  terms.clientID,
		ExpiresAt: now.Add(accessTTL),
	}, now)
	if err != nil {
		return pair{}, err
	}
	successor := rotation.Token{
		Session:  session.ID,
		Position: session.Successor(branch),
		IssuedAt: later(now, notBefore),
	}
	return pair{
		AccessToken:      access,
		RefreshToken:     keys.codec.Encode(successor),
		TokenType:        "Bearer",
		ExpiresIn:        int64(accessTTL / time.Second),
		RefreshExpiresIn: int64(min(s.cfg.RefreshTTL, left) / time.Second),
		SessionID:        session.ID.String(),
		scope:            session.Scope,
		successor:        successor,
		// A token that is presented at the end of its lifetime may be presented again
		// for a further one.
		cookieLife: min(2*s.reach(), left),
	}, nil
}

// terms are what an access token is issued for, besides what its session says.
type terms struct {
	signer   accesstoken.Signer
	clientID string
	// scopes are those that the client asks for; nil stands for all of the session's.
	scopes []string
}

// usualTerms are those of the JSON endpoints.
func (s *Server) usualTerms() terms { return terms{signer: s.signer, clientID: s.cfg.ClientID} }

// narrow leaves a session the scopes that the client asks for (RFC 6749 section 6).
func (t terms) narrow(session *store.Session) error {
	if t.scopes == nil {
		return nil
	}
	granted := strings.Fields(session.Scope)
	for _, scope := range t.scopes {
		if !slices.Contains(granted, scope) {
			return &problem{status: http.StatusBadRequest, Code: codeInvalidScope, Description: "the session does not have the scope " + strconv.Quote(scope)}
		}
	}
	session.Scope = strings.Join(t.scopes, " ")
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
