package tandem

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/tandem-auth/tandem/renewal"
)

// A Pair is what a [Store] keeps: the two tokens of a session and the data needed to use
// them. The zero Pair means that there is no session. Printing or logging a Pair shows
// neither token.
type Pair struct {
	// Issuer names the server that gave out the pair. The session presents the pair to no
	// other server. Empty in a pair that an early version stored.
	Issuer    string `json:"issuer,omitempty"`
	SessionID string `json:"sessionId"`
	Username  string `json:"username"`
	// Revision is 1 at sign-in; a refresh adds one to the revision of the pair that it
	// presented. Of two pairs of one session, the one with the higher revision is newer. 0
	// in a pair that an early version stored.
	Revision     uint64 `json:"revision,omitempty"`
	AccessToken  string `json:"accessToken"`
	RefreshToken string `json:"refreshToken"`
	// ReceivedAt is when the pair arrived, by the client's clock.
	ReceivedAt time.Time `json:"receivedAt"`
	// ExpiresAt is when the access token expires: ReceivedAt plus the server's expires_in.
	// The server's clock plays no part in it.
	ExpiresAt time.Time `json:"expiresAt"`
	// RefreshExpiresAt is when the refresh token expires if the client does not present it
	// before; zero if the server doesn't say.
	RefreshExpiresAt time.Time `json:"refreshExpiresAt,omitzero"`
}

// IsZero reports whether there is no session.
func (p Pair) IsZero() bool { return p.RefreshToken == "" }

// decided returns p as package renewal sees it.
func (p Pair) decided() renewal.Pair {
	return renewal.Pair{
		Issuer: p.Issuer, SessionID: p.SessionID, Revision: p.Revision,
		AccessToken: p.AccessToken, RefreshToken: p.RefreshToken,
		ReceivedAt: p.ReceivedAt, ExpiresAt: p.ExpiresAt, RefreshExpiresAt: p.RefreshExpiresAt,
	}
}

func (p Pair) same(q Pair) bool { return p.decided().Same(q.decided()) }

// String returns the session and its expiry, and no token.
func (p Pair) String() string {
	if p.IsZero() {
		return "tandem.Pair{}"
	}
	return fmt.Sprintf("tandem.Pair{session %s of %q, access token until %s}",
		p.SessionID, p.Username, p.ExpiresAt.Format(time.RFC3339))
}

// GoString is [Pair.String].
func (p Pair) GoString() string { return p.String() }

// LogValue is [Pair.String].
func (p Pair) LogValue() slog.Value { return slog.StringValue(p.String()) }
