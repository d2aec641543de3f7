package tandem

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/tandem-auth/tandem/renewal"
)

// A Refresher fetches the next tokens from a refresh endpoint: set [Config.Refresher]
// where it is not that of Tandem's own server. [NewOAuth2] makes one for any OAuth 2.0
// server; a [RefresherFunc] is for what is unlike all others.
//
// Refresh makes one attempt, with pair.RefreshToken; its errors are:
//   - an [*EndedError] if the answer is definitive: the endpoint was reached, and says
//     that this refresh token is no good any more. The session ends. Its Err may say
//     more; it must be no [*TemporaryError].
//   - [ErrStale] if the endpoint is that of a Tandem server, and says so.
//   - anything else may pass: the session lives on, and Refresh is called again, at once
//     up to twice and then after a back-off that callers share; for a [*TemporaryError]
//     with RetryAt set, or a [*ServerError] with RetryAfter, not before that.
//
// A refresh token that comes with an error is kept all the same: where tokens are good
// for one use, it is the only one that is left. So Refresh returns the next refresh
// token whenever it has read it in full, whatever else is wrong with the answer.
//
// Only one call is under way in a process, and in all processes that share a store
// with a [Locker]. The context has a deadline, see [Config.RefreshTimeout], and is
// that of no caller: neither one that gives up nor [Session.Close] cuts it short. All
// who need a token wait for Refresh, so it must return when the context ends.
type Refresher interface {
	Refresh(ctx context.Context, pair Pair) (Grant, error)
}

// A RefresherFunc is a function that is a [Refresher].
type RefresherFunc func(ctx context.Context, pair Pair) (Grant, error)

// Refresh calls f.
func (f RefresherFunc) Refresh(ctx context.Context, pair Pair) (Grant, error) { return f(ctx, pair) }

// A Revoker is a [Refresher] that can tell its server that a session is over.
// [Session.SignOut] does so if it can; otherwise it forgets the tokens here alone.
type Revoker interface {
	// Revoke ends the session of a refresh token. That it has ended already is no
	// error. An error that may pass is a [*TemporaryError].
	Revoke(ctx context.Context, refreshToken string) error
}

// A Forgiver is a [Refresher] that knows whether its server follows Tandem's protocol,
// in which a lost answer costs nothing. A Refresher that is no Forgiver is taken to have
// a server at which each refresh token is good for one use.
type Forgiver interface {
	// ForgivesRetry reports whether a refresh token may be presented again until a
	// successor of it is presented.
	ForgivesRetry() bool
}

// ErrStale is returned by a [Refresher] whose server is Tandem's when it answers
// stale_refresh_token: the refresh token is neither current nor newer, while the session
// lives. Another process has refreshed meanwhile, so the session looks into the store
// again.
var ErrStale = errors.New("refresh token is stale: another holder of the session has refreshed since")

// A Grant is what a refresh endpoint gives out (RFC 6749 section 5.1). Printing one
// shows neither token.
type Grant struct {
	AccessToken string
	// RefreshToken is the next refresh token; empty if the one that was used stays
	// good.
	RefreshToken string
	// ExpiresIn is how long the access token is good for, counted from now: at least a
	// second. Zero if the endpoint doesn't say: the token is then used until it is
	// refused.
	ExpiresIn time.Duration
	// RefreshExpiresIn is how long the refresh token is good for if it is not used,
	// counted from now. Zero if the endpoint doesn't say; a negative duration, and one of
	// more than a century, count as zero.
	RefreshExpiresIn time.Duration
}

// String tells how long the grant is good for, not the tokens.
func (g Grant) String() string { return fmt.Sprintf("tandem.Grant{access token for %s}", g.ExpiresIn) }

// GoString is [Grant.String].
func (g Grant) GoString() string { return g.String() }

// LogValue is [Grant.String].
func (g Grant) LogValue() slog.Value { return slog.StringValue(g.String()) }

// forEver stands for a life that the endpoint doesn't tell.
const forEver = maxLifeSeconds * time.Second

// apply returns the pair that a grant makes of old: of the same session, and one
// revision further.
func (g Grant) apply(old Pair, now time.Time) (Pair, error) {
	next := g.rotate(old, now)
	next.AccessToken, next.ReceivedAt = g.AccessToken, now
	switch {
	case !isVisible(g.AccessToken):
		return Pair{}, errors.New("grant has no access token, or one that fits into no header")
	case !isRefreshToken(next.RefreshToken):
		return Pair{}, errors.New("grant has no refresh token, or one that is no text")
	case g.ExpiresIn == 0:
		next.ExpiresAt = now.Add(forEver)
	case g.ExpiresIn < time.Second || g.ExpiresIn > forEver:
		return Pair{}, errors.New("grant has no sensible life: want a second or more")
	default:
		next.ExpiresAt = now.Add(g.ExpiresIn)
	}
	return next, nil
}

// rotate returns old, one revision further, with the refresh token of the grant.
func (g Grant) rotate(old Pair, now time.Time) Pair {
	next := old
	next.Revision++
	next.RefreshToken = cmp.Or(g.RefreshToken, old.RefreshToken)
	next.RefreshExpiresAt = time.Time{}
	if g.RefreshExpiresIn > 0 && g.RefreshExpiresIn <= forEver {
		next.RefreshExpiresAt = now.Add(g.RefreshExpiresIn)
	}
	return next
}

// isVisible reports whether s is made of visible ASCII characters: of more than RFC
// 6750 allows, for not all servers keep to it, and of nothing that could break out of
// a header.
func isVisible(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return s != ""
}

// isRefreshToken reports whether s is what RFC 6749 appendix A.17 allows: visible ASCII
// characters and spaces. No header has to carry it.
func isRefreshToken(s string) bool { return isVisible(strings.ReplaceAll(s, " ", "_")) }

// serverOf says how the server of a refresher treats a refresh token that comes again.
func serverOf(r Refresher) renewal.Server {
	if f, ok := r.(Forgiver); ok && f.ForgivesRetry() {
		return renewal.Forgiving
	}
	return renewal.Strict
}
