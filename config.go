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

// Config says where a session's server is and how the session behaves. Only URL
// is needed, or a Refresher in its place.
type Config struct {
	// URL is the address of a Tandem server, such as "https://auth.example.com". The
	// session sends the access token to its origin.
	URL string

	// Refresher fetches the next tokens where the server is another than Tandem's, such
	// as any OAuth 2.0 server ([NewOAuth2]); URL is then empty, and [Session.SignInWith]
	// begins a session. Defaults to the refresh endpoint at URL.
	Refresher Refresher

	// Issuer names the server that gives the tokens out. A pair that another one has given
	// out is never presented: see [OtherServerError]. Defaults to URL, or to what the
	// Refresher says if it has a method Issuer() string, as [OAuth2] has. Without a name, a
	// session takes every pair that its store has for its own.
	Issuer string

	// FormerIssuers are names that the server had before, such as the URL from which it
	// has moved: sessions that began there go on. Defaults to none.
	FormerIssuers []string

	// Origins are further origins to which the session sends the access token, such as
	// "https://api.example.com". It sends it to no other, whatever a request's URL or a
	// redirect says: requests elsewhere go out as they are. Defaults to none.
	Origins []string

	// Device names this client in the user's list of sessions. Defaults to what
	// the server makes of the User-Agent.
	Device string

	// Transport carries all requests. Defaults to a copy of http.DefaultTransport, shared by
	// the process, that gives up a connection that has gone silent within 15 seconds: it
	// pings over HTTP/2, and has the kernel look after unanswered packets. The copy is made
	// when the first session is opened. A program that sets a Transport should set
	// http.Transport.HTTP2 (SendPingTimeout, PingTimeout) in it.
	Transport http.RoundTripper

	// RefreshTimeout bounds one attempt at a refresh; there are at most three of
	// them in a row. Defaults to 10 seconds.
	RefreshTimeout time.Duration

	// RefreshAhead is how long before its expiry an access token that is in use
	// is refreshed, in the background, while it still serves. It is shortened by
	// a random part, so that many clients do not come at once. Defaults to a
	// fifth of the token's life, at most a minute; negative means never.
	RefreshAhead time.Duration

	// BufferBodies is the largest body of a request, in bytes, that is kept in memory
	// to be sent again if the access token is refused, where the request has no GetBody
	// and the body is no file. Such a request goes out once its body has been read.
	// Defaults to none: those bodies stream, and are sent once.
	BufferBodies int64

	// MayReplay says which requests may be sent a second time after a refusal; the
	// others get the refusal, and the next request refreshes first. Defaults to all: a
	// 401 says that nothing was done.
	MayReplay func(*http.Request) bool

	// Rejected says which answers refuse the access token besides those with status
	// 401, such as {"code":401} with status 200. It may read the first 64 KiB of the
	// body, which the caller gets all the same, and waits for them to arrive: look at
	// the Content-Type first. Defaults to none.
	Rejected func(*http.Response) bool

	// OnEnd is called when the session ends, once, with the reason. It may sign
	// the user in again by calling SignIn on the session: requests that wait then
	// go on as if nothing had happened. It must pass on the ctx that it is given,
	// which ends when the session is closed: other requests wait for it. It is
	// not called for this session's own SignOut. Defaults to nothing.
	OnEnd func(ctx context.Context, session *Session, end *EndedError)

	// Observe is told what happens to the session, for metrics and traces: see
	// [EventKind]. It is called by several goroutines, and without any lock held: it may
	// call the session, with the ctx that it is given, and [Session.Close] does not wait
	// for it. The ctx carries the values of the request that set things going. Defaults
	// to nothing.
	Observe func(ctx context.Context, e Event)

	// Logger has a line for each [Event], never with a token. [Session.Close] waits for the
	// lines of a refresh, so a handler must not call it. Defaults to none.
	Logger *slog.Logger

	// Now is the clock. Defaults to time.Now.
	Now func() time.Time

	// Jitter draws from [0, limit), for limit > 0; it spreads what many clients
	// would do at once. It is safe for concurrent use. Defaults to drawing at
	// random.
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

// origins are those that may see the access token.
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
