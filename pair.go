package tandem

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// A Pair is what a [Store] keeps: the two tokens of a session and what is needed
// to use them. The zero Pair means that there is no session. Printing or logging
// a Pair shows neither token.
type Pair struct {
	// Issuer names the server that gave the pair out. The pair is sent to no other.
	// Empty in a pair that an early version kept.
	Issuer    string `json:"issuer,omitempty"`
	SessionID string `json:"sessionId"`
	Username  string `json:"username"`
	// Revision is 1 at sign-in, and one more than that of the pair that was presented
	// at every refresh: of two pairs of one session, the one with the higher revision
	// is newer. 0 in a pair that an early version kept.
	Revision     uint64 `json:"revision,omitempty"`
	AccessToken  string `json:"accessToken"`
	RefreshToken string `json:"refreshToken"`
	// ReceivedAt is when the pair arrived, by the clock of this machine.
	ReceivedAt time.Time `json:"receivedAt"`
	// ExpiresAt is when the access token stops being good: ReceivedAt plus the
	// server's expires_in. The server's clock plays no part in it.
	ExpiresAt time.Time `json:"expiresAt"`
	// RefreshExpiresAt is when the refresh token stops being good if it is not used
	// before; zero if the server doesn't say.
	RefreshExpiresAt time.Time `json:"refreshExpiresAt,omitzero"`
}

// IsZero reports whether there is no session.
func (p Pair) IsZero() bool { return p.RefreshToken == "" }

// same reports whether both tokens are the same: where refresh tokens do not rotate,
// two pairs may differ in the other one alone.
func (p Pair) same(q Pair) bool {
	return p.RefreshToken == q.RefreshToken && p.AccessToken == q.AccessToken
}

// String shows the session and the expiry, not the tokens.
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

// A credential is a pair in use. Its address is its identity: two credentials
// are the same only if they are one.
type credential struct {
	Pair
	// authorization is the header that the access token goes in.
	authorization string
	// refreshAt is when a refresh ahead of expiry is due.
	refreshAt time.Time
	// invalid is set once the program said that the access token is no good.
	invalid atomic.Bool
	// fetched says that this session has it from the server, at a refresh.
	fetched bool
	// spent is set once a request has had to wait for the next credential.
	spent atomic.Bool
	// refusals has, for each origin that refused the access token when it was
	// fresh, the time of the latest refusal.
	refusals sync.Map
}

// usable reports whether the access token may be sent. It asks both clocks: the
// monotonic one stands still while a machine sleeps, the wall clock can be set.
func (c *credential) usable(now time.Time) bool {
	return !c.invalid.Load() && before(now, c.ExpiresAt)
}

// refreshDue reports whether a refresh ahead of expiry is due.
func (c *credential) refreshDue(now time.Time) bool { return !before(now, c.refreshAt) }

func before(now, limit time.Time) bool {
	return now.Before(limit) && now.Round(0).Before(limit.Round(0))
}

// refusalMemory is how long an origin that refused a fresh access token is not
// taken to mean that the token has expired. An API that refuses whatever it is
// given would otherwise cause a refresh for every request.
const refusalMemory = 10 * time.Second

func (c *credential) refusedFresh(origin string, now time.Time) {
	c.refusals.Store(origin, now)
}

func (c *credential) wasRefusedFresh(origin string, now time.Time) bool {
	at, ok := c.refusals.Load(origin)
	return ok && now.Sub(at.(time.Time)) < refusalMemory
}

// sameUser reports whether a request begun with c may go on with other.
func (c *credential) sameUser(other *credential) bool {
	return c.SessionID == other.SessionID || c.Username != "" && c.Username == other.Username
}
