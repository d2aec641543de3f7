package tandem

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Config says where a session's server is and how the session behaves. Only URL or
// Refresher is required.
type Config struct {
	// URL is the address of a Tandem server, such as "https://auth.example.com". The
	// session sends the access token to its origin.
	URL string

	// Refresher fetches the next tokens from a server other than Tandem's, such as any
	// OAuth 2.0 server ([NewOAuth2]); URL is then empty, and [Session.SignInWith] begins a
	// session. Defaults to the refresh endpoint at URL.
	Refresher Refresher

	// Issuer names the server that gives out the tokens. The session never presents a pair
	// of another server: see [OtherServerError]. Defaults to URL, or to the result of the
	// Refresher's method Issuer() string, if it has one, as [OAuth2] does. Without a name,
	// the session treats every pair in its store as its own.
	Issuer string

	// FormerIssuers are earlier names of the server, such as the URL from which it has
	// moved: the session goes on with pairs of those names. Defaults to none.
	FormerIssuers []string

	// Origins are further origins to which the session sends the access token, such as
	// "https://api.example.com". The session sends the token to no other origin, whatever
	// a request's URL or a redirect says, and leaves requests elsewhere unchanged.
	// Defaults to none.
	Origins []string

	// Device names this client in the user's list of sessions. Defaults to a name that the
	// server derives from the User-Agent.
	Device string

	// Transport carries all requests. Defaults to a copy of http.DefaultTransport that the
	// whole process shares. It closes a connection that has been silent for 15 seconds: it
	// sends pings over HTTP/2, and has the kernel limit how long packets stay
	// unacknowledged. It is made when the program opens its first session. A program that
	// sets a Transport should set http.Transport.HTTP2 (SendPingTimeout, PingTimeout) in
	// it.
	Transport http.RoundTripper

	// RefreshTimeout bounds one attempt at a refresh; the session makes at most three
	// attempts in a row. Defaults to 10 seconds.
	RefreshTimeout time.Duration

	// RefreshAhead is how long before its expiry the session refreshes an access token
	// that is in use. It does so in the background, and goes on using the token meanwhile.
	// It shortens RefreshAhead by a random part, so that many clients do not refresh at
	// once. Defaults to a fifth of the token's lifetime, at most a minute; negative means
	// never.
	RefreshAhead time.Duration

	// BufferBodies is the size in bytes up to which the session buffers a request's body
	// in memory, so that it can send the request again if the API refuses the access
	// token. It buffers only bodies that have no GetBody and are no file, and sends such a
	// request once it has read the whole body. Defaults to none: the session streams those
	// bodies, and sends them once.
	BufferBodies int64

	// MayReplay reports whether the session may send a request a second time after a
	// refusal. If not, the caller gets the refusal, and the next request refreshes first.
	// Defaults to all requests: an API that answers 401 has done nothing.
	MayReplay func(*http.Request) bool

	// Rejected reports whether an answer refuses the access token, besides those with
	// status 401; an example is {"code":401} with status 200. It may read the first 64 KiB
	// of the body, which the caller still gets in full. Reading waits until the body
	// arrives, so look at the Content-Type first. Defaults to none.
	Rejected func(*http.Response) bool

	// OnEnd is called once when the session ends, with the reason. It may sign the user in
	// again by calling SignIn on the session: waiting requests then go on. OnEnd must pass
	// on its ctx, which Close ends: without it, SignIn and other calls on the session
	// would wait for OnEnd itself. The session does not call OnEnd for its own SignOut.
	// Defaults to nothing.
	OnEnd func(ctx context.Context, session *Session, end *EndedError)

	// Observe receives the session's events, for metrics and traces: see [EventKind].
	// Several goroutines call it, and hold no lock: Observe may call the session with its
	// ctx, and [Session.Close] does not wait for it. The ctx carries the values of the
	// request that caused the event. Defaults to nothing.
	Observe func(ctx context.Context, e Event)

	// Logger receives a line for each [Event], never with a token. [Session.Close] waits
	// for the lines of a refresh, so a handler must not call Close. Defaults to none.
	Logger *slog.Logger

	// Now is the clock. Defaults to time.Now.
	Now func() time.Time

	// Jitter returns a duration in [0, limit), for limit > 0; it spreads the calls of many
	// clients over time. It must be safe for concurrent use. Defaults to a random
	// duration.
	Jitter func(limit time.Duration) time.Duration
}

// resolve checks the fields and fills in the defaults. base is the address of Tandem's own
// server, nil if there is a Refresher. The error begins with the name of the field.
func (c Config) resolve() (_ Config, base *url.URL, err error) {
	switch {
	case c.Refresher == nil:
		if base, err = parseBase(c.URL); err != nil {
			return c, nil, fmt.Errorf("URL: %w", err)
		}
		c.Issuer = cmp.Or(c.Issuer, issuerOf(base))
	case c.URL != "":
		return c, nil, errors.New("URL: it is the address of a Tandem server, and there is a Refresher in its place; name the APIs in Config.Origins")
	default:
		if named, ok := c.Refresher.(interface{ Issuer() string }); ok {
			c.Issuer = cmp.Or(c.Issuer, named.Issuer())
		}
	}
	if c.FormerIssuers = slices.Clone(c.FormerIssuers); base != nil {
		for i, former := range c.FormerIssuers {
			if u, err := parseBase(former); err == nil {
				c.FormerIssuers[i] = issuerOf(u)
			}
		}
	}
	if c.RefreshTimeout < 0 {
		return c, nil, fmt.Errorf("RefreshTimeout: %s is negative", c.RefreshTimeout)
	}
	return c.withDefaults(), base, nil
}

// origins returns the origins to which the session sends the access token.
func (c Config) origins(base *url.URL) (origins, error) {
	allowed := newOrigins()
	if base != nil {
		allowed.add(base)
	}
	for _, origin := range c.Origins {
		u, err := parseBase(origin)
		if err == nil && u.Path != "" {
			err = fmt.Errorf("%q has a path; an origin is scheme, host and port", origin)
		}
		if err != nil {
			return origins{}, err
		}
		allowed.add(u)
	}
	return allowed, nil
}

func (c Config) withDefaults() Config {
	if c.Transport == nil {
		c.Transport = defaultTransport()
	}
	if c.RefreshTimeout == 0 {
		c.RefreshTimeout = 10 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Jitter == nil {
		c.Jitter = rand.N
	}
	return c
}
