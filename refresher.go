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
// for a server other than Tandem's. [NewOAuth2] makes one for any OAuth 2.0 server;
// a [RefresherFunc] adapts a function for any other endpoint.
//
// Refresh makes one attempt, with pair.RefreshToken; its errors are:
//   - an [*EndedError] if the endpoint itself has answered that the refresh token is no
//     longer valid. The session ends. Err may have the answer; it must not be a
//     [*TemporaryError].
//   - [ErrStale] if a Tandem server answers stale_refresh_token.
//   - any other error is temporary: the session lives on and calls Refresh again, at once
//     up to twice and then after a back-off that callers share; after a [*TemporaryError]
//     with RetryAt set, or a [*ServerError] with RetryAfter, not before that time.
//
// The session keeps a refresh token that Refresh returns with an error: where each
// refresh token is good for one use, that token is the only valid one. So Refresh returns
// the next refresh token whenever it has read the whole token, whatever else is wrong
// with the answer.
//
// A session makes one call at a time; so do all processes together that share a store
// that is a [Locker]. The context has a deadline (see [Config.RefreshTimeout]) and does
// not end when a caller gives up. [Session.Close] ends it after a second if the server is
// forgiving, otherwise not at all. All callers that need a token wait for Refresh, so it
// must return when the context ends.
type Refresher interface {
	Refresh(ctx context.Context, pair Pair) (Grant, error)
}

// A RefresherFunc adapts a function to [Refresher].
type RefresherFunc func(ctx context.Context, pair Pair) (Grant, error)

// Refresh calls f.
func (f RefresherFunc) Refresh(ctx context.Context, pair Pair) (Grant, error) { return f(ctx, pair) }

// A Revoker is a [Refresher] that can tell its server that a session has ended.
// [Session.SignOut] calls it; without a Revoker SignOut only deletes the tokens on the
// client.
type Revoker interface {
	// Revoke ends the session of a refresh token. It returns nil if the session has ended
	// already. A temporary error is a [*TemporaryError].
	Revoke(ctx context.Context, refreshToken string) error
}

// A Forgiver is a [Refresher] that knows whether its server follows Tandem's protocol, in
// which the client may refresh again after it has lost an answer. The session assumes of
// any other Refresher that its server takes each refresh token once.
type Forgiver interface {
	// ForgivesRetry reports whether the client may present a refresh token again until it
	// presents a successor of that token.
	ForgivesRetry() bool
}

// ErrStale is returned by the [Refresher] of a Tandem server that answers
// stale_refresh_token: the refresh token is neither current nor newer, and the session
// lives. Another process has refreshed meanwhile, so the session reads the store again.
var ErrStale = errors.New("refresh token is stale: another holder of the session has refreshed since")

// A Grant is a refresh endpoint's answer with tokens (RFC 6749 section 5.1). Printing or
// logging a Grant shows neither token.
type Grant struct {
	AccessToken string
	// RefreshToken is the next refresh token; empty if the client keeps the one that it
	// presented.
	RefreshToken string
	// ExpiresIn is the access token's lifetime, counted from now: at least a second. Zero
	// if the endpoint doesn't say: the session then uses the token until an API refuses
	// it.
	ExpiresIn time.Duration
	// RefreshExpiresIn is the lifetime of the unused refresh token, counted from now. Zero
	// if the endpoint doesn't say; a negative duration, and one of more than a century,
	// count as zero.
	RefreshExpiresIn time.Duration
}

// String returns the access token's lifetime, and no token.
func (g Grant) String() string { return fmt.Sprintf("tandem.Grant{access token for %s}", g.ExpiresIn) }

// GoString is [Grant.String].
func (g Grant) GoString() string { return g.String() }

// LogValue is [Grant.String].
func (g Grant) LogValue() slog.Value { return slog.StringValue(g.String()) }

// forEver is the lifetime of a token for which the endpoint names none.
const forEver = maxLifeSeconds * time.Second

// apply returns the pair that follows old: of the same session, with the grant's tokens
// and the next revision.
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

// rotate returns old with the grant's refresh token and the next revision.
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

// isVisible reports whether s consists of visible ASCII characters. That is more than RFC
// 6750 allows, because not all servers keep to it, but nothing that could break out of a
// header.
func isVisible(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return s != ""
}

// isRefreshToken reports whether s consists of the characters that RFC 6749 appendix A.17
// allows: visible ASCII characters and spaces. A refresh token is never sent in a header.
func isRefreshToken(s string) bool { return isVisible(strings.ReplaceAll(s, " ", "_")) }

// serverOf returns how the refresher's server treats a refresh token that a client
// presents twice.
func serverOf(r Refresher) renewal.Server {
	if f, ok := r.(Forgiver); ok && f.ForgivesRetry() {
		return renewal.Forgiving
	}
	return renewal.Strict
}
