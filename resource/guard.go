package resource

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tandem-auth/tandem/accesstoken"
	"github.com/tandem-auth/tandem/rotation"
)

// maxToken is how long a token may be, in bytes.
const maxToken = 8 << 10

// A Guard checks the access tokens of requests. It is safe for concurrent use.
type Guard struct {
	config   Config
	keys     *remoteKeys
	verifier *accesstoken.Verifier
	cache    *cache
	ended    *endedSet
	follower *follower // nil if the guard follows no feed
	asker    *asker    // nil if the guard asks nobody
	metadata metadata
}

// New returns a guard, or an error that names the field of the config that is wrong. The
// guard begins to fetch the issuer's keys; the first requests wait for them. Close ends it.
func New(config Config) (*Guard, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	g := &Guard{config: config, ended: newEndedSet(), asker: newAsker(config.Introspection, config.Client)}
	if g.metadata, err = newMetadata(config); err != nil {
		return nil, err
	}
	if config.CacheSize > 0 {
		g.cache = newCache(config.CacheSize)
	}
	g.keys = newRemoteKeys(config)
	g.follower = newFollower(config, g.ended)
	g.verifier, err = accesstoken.NewVerifier(accesstoken.VerifierConfig{
		Issuer:   config.Issuer,
		Audience: config.Audience,
		Keys:     g.keys,
		Leeway:   config.Leeway,
		Now:      config.Now,
	})
	if err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

// Close stops fetching keys, following the feed and asking the server, and waits for what is under way to end.
// It may be called twice. A guard that is closed goes on with the keys that it has.
func (g *Guard) Close() error {
	g.follower.close()
	g.asker.close()
	return g.keys.Close()
}

// A Principal is who sent a request: the contents of its access token.
type Principal struct {
	// Subject is the user.
	Subject string
	// Username is the name to show for the user. It may be empty.
	Username  string
	SessionID rotation.SessionID
	ClientID  string
	// Scopes are what the token may be used for.
	Scopes []string
	// ExpiresAt is when the access token expires.
	ExpiresAt time.Time

	issuedAt time.Time
}

// HasScopes reports whether the token may be used for all of these.
func (p *Principal) HasScopes(scopes ...string) bool {
	for _, scope := range scopes {
		if !slices.Contains(p.Scopes, scope) {
			return false
		}
	}
	return true
}

type principalKey struct{}

// NewContext returns a context with a principal, for adapters of other frameworks.
func NewContext(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// FromContext returns who sent the request, inside of a handler that [Guard.Protect]
// protects. Elsewhere it returns false. Do not change what it points to.
func FromContext(ctx context.Context) (*Principal, bool) {
	p, ok := ctx.Value(principalKey{}).(*Principal)
	return p, ok
}

// FeedAge returns how old the guard's knowledge of ended sessions is: a second or less while
// it follows the feed. Without Config.Feed, and before it has caught up, that is the age of
// the year 1970.
func (g *Guard) FeedAge() time.Duration {
	now := g.config.Now()
	if g.follower == nil {
		return now.Sub(time.Unix(0, 0))
	}
	return g.follower.age(now)
}

// Protect returns a handler that passes a request on if it has a valid access token with
// these scopes. It answers every other request as [Guard.Refuse] does.
func (g *Guard) Protect(next http.Handler, scopes ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := g.Authenticate(r, scopes...)
		if err != nil {
			g.Refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), p)))
	})
}

// Authenticate returns who sent a request, if the token in its Authorization header is
// valid and has these scopes. The error is a [*RefusedError].
func (g *Guard) Authenticate(r *http.Request, scopes ...string) (*Principal, error) {
	return g.AuthenticateHeader(r.Context(), r.Header.Values("Authorization"), scopes...)
}

// AuthenticateHeader is Authenticate for the Authorization fields of what is no HTTP
// request, such as those of a gRPC call.
func (g *Guard) AuthenticateHeader(ctx context.Context, fields []string, scopes ...string) (*Principal, error) {
	token, err := accesstoken.ParseBearer(fields)
	if errors.Is(err, accesstoken.ErrNoBearer) {
		return nil, &RefusedError{Status: http.StatusUnauthorized, scopes: scopes, cause: err}
	}
	if err != nil {
		return nil, &RefusedError{
			Status: http.StatusBadRequest, Code: codeInvalidRequest, Description: "the Authorization header is malformed", cause: err,
		}
	}
	p, err := g.Verify(ctx, token)
	if err != nil {
		return nil, err
	}
	if !p.HasScopes(scopes...) {
		return nil, &RefusedError{
			Status: http.StatusForbidden, Code: codeInsufficientScope,
			Description: "the access token lacks the scope " + strings.Join(scopes, " "), scopes: scopes,
		}
	}
	return p, nil
}

// Verify returns whose an access token is. For one that it has seen before it looks into
// its cache. The error is a [*RefusedError]: 401 for a token that is not valid, and 503 if
// the issuer's keys, with which the token may be signed, cannot be fetched.
func (g *Guard) Verify(ctx context.Context, token string) (*Principal, error) {
	now := g.config.Now()
	keys := g.keys.KeySet()
	if g.cache != nil {
		if e := g.cache.find(token, keys, now); e != nil {
			return g.unlessEnded(ctx, e, now)
		}
	}
	if len(token) > maxToken {
		return nil, refused("the access token is too long", nil)
	}
	claims, err := g.verifier.Verify(ctx, token)
	if err != nil {
		return nil, refusal(err)
	}
	e := &entry{
		token: strings.Clone(token), // and not the whole header that it is a part of
		until: claims.ExpiresAt.Add(g.config.Leeway),
		principal: Principal{
			Subject: claims.Subject, Username: claims.Username, SessionID: claims.SessionID, ClientID: claims.ClientID,
			Scopes: strings.Fields(claims.Scope), ExpiresAt: claims.ExpiresAt, issuedAt: claims.IssuedAt,
		},
	}
	// If the keys have changed meanwhile, nobody knows with which the token was checked.
	if e.keys = keys; g.cache != nil && g.keys.KeySet() == keys {
		e = g.cache.add(e, now)
	}
	return g.unlessEnded(ctx, e, now)
}

// unlessEnded returns the principal of a token, unless its session has ended: as far as the
// guard knows and, if it asks the server, by the server's word.
func (g *Guard) unlessEnded(ctx context.Context, e *entry, now time.Time) (*Principal, error) {
	p := &e.principal
	if latest := g.ended.version(); e.known.Load() != latest {
		if g.ended.has(p) {
			return nil, refused("the session has ended", errEnded)
		}
		e.known.Store(latest)
	}
	if e.isOver.Load() {
		return nil, refused("the session has ended", errEnded)
	}
	switch {
	case g.follower != nil && g.follower.isFresh(now):
		return p, nil
	case g.asker == nil && g.follower != nil && g.config.Feed.RefuseIfOld:
		return nil, &RefusedError{
			Status: http.StatusServiceUnavailable, Code: codeUnavailable, Description: "what is known of ended sessions is too old",
		}
	case g.asker == nil || g.asker.isFresh(e, now):
		return p, nil
	}
	lives, err := g.asker.lives(ctx, e, now)
	switch {
	case err != nil && !g.config.Introspection.AcceptIfUnknown:
		return nil, &RefusedError{
			Status: http.StatusServiceUnavailable, Code: codeUnavailable, Description: "the server cannot be asked about the session", cause: err,
		}
	case err != nil:
		return p, nil //nolint:nilerr // as the API has chosen
	case !lives:
		return nil, refused("the session has ended", errEnded)
	}
	return p, nil
}
