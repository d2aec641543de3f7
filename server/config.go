package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/tandem-auth/tandem/rotation"
)

// Defaults of [Config].
const (
	DefaultClientID   = "tandem"
	DefaultAccessTTL  = 2 * time.Hour
	DefaultRefreshTTL = 7 * 24 * time.Hour
	DefaultSessionTTL = 90 * 24 * time.Hour
	DefaultLeeway     = 10 * time.Second

	DefaultMaxSessions = 100
)

// A Config says how a [Server] works. The zero value of every field that is not
// required is its default.
type Config struct {
	// Issuer names the server in its access tokens: the "iss" claim. It is the
	// absolute http or https URL that clients reach the server at. Required.
	Issuer string

	// Store keeps the sessions. Required. The caller closes it after
	// [Server.Close].
	Store Store

	// Directory knows the users. Required.
	Directory Directory

	// Keys supplies keys that change while the server runs. It replaces the next
	// three fields.
	Keys KeySource

	// SigningKey signs the access tokens. Required if Keys is nil.
	SigningKey SigningKey

	// RetiredSigningKeys no longer sign, but the server still publishes them and
	// accepts their tokens. Keep a key here for AccessTTL after you have replaced
	// it.
	RetiredSigningKeys []SigningKey

	// RefreshKeys authenticate the refresh tokens. The server makes tokens with the
	// first key and accepts tokens of every key. At least one is required if Keys
	// is nil. If several servers share a store, give a new key to all of them
	// before you make it the first on any: a server answers a token of a key that
	// it does not have as one of an unknown session, and the client signs out.
	RefreshKeys []rotation.Key

	// Audience names the API that the access tokens are for: the "aud" claim.
	// Defaults to Issuer.
	Audience string

	// ClientID is the "client_id" claim of the access tokens. Defaults to
	// [DefaultClientID].
	ClientID string

	// PublicURL is where clients reach the server's endpoints, if that is not Issuer: behind
	// a prefix such as "https://example.com/api". The server names it in its metadata.
	// Defaults to Issuer.
	PublicURL string

	// Clients knows the OAuth 2 clients that have a name and a secret of their own: APIs
	// that ask about tokens, and back ends that refresh sessions of their users. Optional:
	// without it, there is the public client ClientID alone.
	Clients Clients

	// AccessTTL is the lifetime of an access token. Defaults to [DefaultAccessTTL].
	// At least a second.
	AccessTTL time.Duration

	// RefreshTTL is the lifetime of a refresh token: how long a user may stay away
	// without having to sign in again. A token that a client presents later than
	// RefreshTTL plus Leeway ends the session. Defaults to [DefaultRefreshTTL]. At
	// least a second.
	RefreshTTL time.Duration

	// SessionTTL is the lifetime of a session, however often a client refreshes it.
	// Defaults to [DefaultSessionTTL]. At least a second.
	SessionTTL time.Duration

	// MaxSessions is how many sessions a user may have. A further sign-in ends the
	// session that has been idle for longest, as revoked. Defaults to
	// [DefaultMaxSessions]; negative means no limit.
	MaxSessions int

	// Leeway is how long after a refresh an older token counts as a delayed
	// duplicate and not as stolen, if it is at most 16 refreshes behind (more, if
	// access tokens live for less than an eighth of Leeway). Defaults to
	// [DefaultLeeway]. Negative means none; then a request that the network
	// delivers late ends its session.
	Leeway time.Duration

	// RetryWindow is how long after its first use a refresh token may be presented
	// again, provided that no client has presented a successor of it. Zero means no
	// limit. Negative means never (textbook rotation); then a lost reply ends the
	// session. With any limit, a session also ends if a client's store failed to
	// keep a pair, because the client then presents the older token again.
	RetryWindow time.Duration

	// AllowedOrigins are the origins whose pages may call the server from a
	// browser (CORS), such as "https://app.example.com", or the origin of an app,
	// such as "capacitor://localhost" or "chrome-extension://…". The server converts
	// them to the form that browsers send: "https://Bücher.example:443" becomes
	// "https://xn--bcher-kva.example". None by default.
	AllowedOrigins []string

	// AllowedHeaders are the request headers that pages of AllowedOrigins may set, in
	// addition to Tandem-Cookie. Defaults to all headers, because libraries for tracing
	// and for tenants add some of their own.
	AllowedHeaders []string

	// AllowCredentials lets pages of AllowedOrigins send cookies and client
	// certificates with every request. Set it if a proxy in front of the server needs
	// them: a page that sends them cannot read the answer otherwise. Requests in cookie
	// mode may always have cookies.
	AllowCredentials bool

	// CookieSameSite is the SameSite attribute of the cookies of cookie mode: which
	// pages the browser sends them from. Defaults to [http.SameSiteStrictMode]: pages
	// of the server's own site. With [http.SameSiteNoneMode], pages of AllowedOrigins on
	// other sites can use cookie mode too; the cookies are then Secure and Partitioned
	// (one for each site that the page is shown on), and Issuer must be https or
	// localhost.
	CookieSameSite http.SameSite

	// TrustedProxies are the networks of proxies whose X-Forwarded-For header the
	// server believes. None by default; then a client's address is that of its
	// connection.
	TrustedProxies []netip.Prefix

	// SignIn limits the guessing of passwords.
	SignIn SignInLimits

	// Logger receives internal errors and warnings. Defaults to none.
	Logger *slog.Logger

	// OnEvent is called for each [Event]. The server calls it in the middle of a
	// request, holding no lock, possibly from many goroutines at once; it should
	// return quickly. Optional.
	OnEvent func(Event)

	// Observe follows the server's work, for metrics and traces. The server calls it in the
	// middle of requests, possibly from many goroutines at once; it should return quickly.
	// Optional.
	Observe ObserveFunc

	// Now is the clock. Defaults to [time.Now].
	Now func() time.Time
}

// SignInLimits bound how often sign-ins may fail or succeed, and how many passwords the
// directory checks at once. Each limit is a token bucket; see [Limit]. The server counts
// a sign-in only when it has ended. While others are under way that would use up a limit
// if they all failed, the next sign-in waits for one of them to end.
//
// Each process counts for itself and starts with full buckets.
//
// An attacker at one address or IPv6 /48 network cannot lock a user out: the server
// limits that network by PerUserAndAddress, which refills more slowly than PerUser. An
// attacker with many networks can keep a user from signing in for as long as the attack
// lasts, but not at an address from which the user has signed in since this process
// started, nor on a device that sends a refresh token of one of the user's earlier
// sessions.
//
// Waiting sign-ins take turns by network (an IPv4 address or an IPv6 /48), and within a
// network by user. At most 1,024 wait, of which 128 may be of one network and 32 of one
// user in that network, each for at most 5 seconds; the server answers others with 503.
type SignInLimits struct {
	// PerAddress bounds the failures from one IPv4 address or IPv6 /64 network, for
	// all users together. An IPv6 /56 network may fail twice as often, a /48 four
	// times. Defaults to a burst of 100, refilled by one each second.
	PerAddress Limit

	// PerUserAndAddress bounds the failures of one user from one address or IPv6
	// network (as for PerAddress), and on one device that has signed in before.
	// Defaults to a burst of 10, refilled by one every 10 seconds.
	PerUserAndAddress Limit

	// PerUser bounds the failures of one user from all addresses together.
	// Defaults to a burst of 100, refilled by one each second. It must refill more
	// than four times as fast as PerUserAndAddress.
	PerUser Limit

	// Successes bounds the successful sign-ins of one user from one IPv4 address or
	// IPv6 /48 network, because each costs a password hash and a session. Defaults
	// to a burst of 300, refilled by one each second.
	Successes Limit

	// Concurrency is how many sign-ins the server sends to the directory at once.
	// Defaults to the directory's own number if it is a [Bounded], else to 64.
	Concurrency int

	// Entries bounds the memory: how many addresses and users the server remembers
	// for each limit. Defaults to 100,000, about 80 MB if an attack fills them all,
	// and almost nothing otherwise.
	Entries int
}

// A Limit is a bucket of Burst tokens. Each counted sign-in takes one token. Each
// interval of Every returns one, until the bucket is full. While the bucket is empty,
// the server refuses sign-ins. The zero Limit means the default.
type Limit struct {
	Burst int
	Every time.Duration
}

func (c Config) withDefaults() Config {
	setDefault(&c.Audience, c.Issuer)
	setDefault(&c.PublicURL, c.Issuer)
	setDefault(&c.ClientID, DefaultClientID)
	setDefault(&c.AccessTTL, DefaultAccessTTL)
	setDefault(&c.RefreshTTL, DefaultRefreshTTL)
	setDefault(&c.SessionTTL, DefaultSessionTTL)
	setDefault(&c.MaxSessions, DefaultMaxSessions)
	setDefault(&c.Leeway, DefaultLeeway)
	setDefault(&c.CookieSameSite, http.SameSiteStrictMode)
	setDefault(&c.Logger, slog.New(slog.DiscardHandler))
	setDefault(&c.SignIn.PerAddress, Limit{Burst: 100, Every: time.Second})
	setDefault(&c.SignIn.PerUserAndAddress, Limit{Burst: 10, Every: 10 * time.Second})
	setDefault(&c.SignIn.PerUser, Limit{Burst: 100, Every: time.Second})
	setDefault(&c.SignIn.Successes, Limit{Burst: 300, Every: time.Second})
	setDefault(&c.SignIn.Entries, 100_000)
	if c.OnEvent == nil {
		c.OnEvent = func(Event) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate returns the error that [New] would return for the fields that are settings: all
// but Store, Directory and the keys. It opens nothing.
func (c Config) Validate() error {
	c = c.withDefaults()
	return c.validateSettings()
}

// validate checks a config in which the defaults are set.
func (c Config) validate() error {
	switch {
	case c.Store == nil:
		return errors.New("server: Config.Store: is required")
	case c.Directory == nil:
		return errors.New("server: Config.Directory: is required")
	}
	return c.validateSettings()
}

func (c Config) validateSettings() error {
	for _, check := range []struct {
		field string
		err   error
	}{
		{"Issuer", checkIssuer(c.Issuer)},
		{"PublicURL", checkIssuer(c.PublicURL)},
		{"AccessTTL", checkTTL(c.AccessTTL)},
		{"RefreshTTL", checkTTL(c.RefreshTTL)},
		{"SessionTTL", checkTTL(c.SessionTTL)},
		{"AllowedOrigins", checkOrigins(c.AllowedOrigins)},
		{"AllowedHeaders", checkHeaders(c.AllowedHeaders)},
		{"CookieSameSite", checkCookieSameSite(c.CookieSameSite, c.Issuer)},
		{"TrustedProxies", checkProxies(c.TrustedProxies)},
		{"SignIn.PerAddress", c.SignIn.PerAddress.check()},
		{"SignIn.PerUserAndAddress", c.SignIn.PerUserAndAddress.check()},
		{"SignIn.PerUser", c.SignIn.checkPerUser()},
		{"SignIn.Successes", c.SignIn.Successes.check()},
		{"SignIn.Concurrency", checkConcurrency(c.SignIn.Concurrency)},
		{"SignIn.Entries", checkEntries(c.SignIn.Entries)},
	} {
		if check.err != nil {
			return fmt.Errorf("server: Config.%s: %w", check.field, check.err)
		}
	}
	return nil
}

// leewayReach returns a number of refreshes that an honest client does not reach within
// one Leeway.
func (c Config) leewayReach() uint32 {
	return max(16, 2*uint32(min(max(c.Leeway, 0)/c.AccessTTL, 1<<16)))
}

// policy returns the policy for package rotation. Zero and negative values of
// RetryWindow have other meanings there.
func (c Config) policy() rotation.Policy {
	p := rotation.Policy{
		RefreshTTL:  c.RefreshTTL,
		Leeway:      max(c.Leeway, 0),
		LeewayReach: c.leewayReach(),
		RetryWindow: c.RetryWindow,
	}
	switch {
	case c.RetryWindow == 0:
		p.RetryWindow = rotation.Unbounded
	case c.RetryWindow < 0:
		p.RetryWindow = 0
	}
	return p
}

func checkIssuer(issuer string) error {
	if issuer == "" {
		return errors.New(`is required, for example "https://auth.example.com"`)
	}
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf(`%q is not an absolute http or https URL, such as "https://auth.example.com"`, issuer)
	}
	if strings.ContainsAny(issuer, "\"\\ ") {
		return fmt.Errorf("%q must have neither quotes, backslashes nor spaces", issuer)
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return fmt.Errorf("%q must have neither user, query nor fragment", u.Redacted())
	}
	return nil
}

// setKeys sets Keys from the three fields for fixed keys, if the caller has given those.
func (c *Config) setKeys() error {
	static := !c.SigningKey.IsZero() || len(c.RetiredSigningKeys) > 0 || len(c.RefreshKeys) > 0
	switch {
	case c.Keys != nil && static:
		return errors.New("server: Config.Keys: set either it or SigningKey, RetiredSigningKeys and RefreshKeys")
	case c.Keys != nil:
		return nil
	}
	set, err := NewKeySet(c.SigningKey, c.RetiredSigningKeys, c.RefreshKeys)
	if err != nil {
		return fmt.Errorf("server: Config.%w", err)
	}
	c.Keys = staticKeys{set}
	return nil
}

func checkTTL(ttl time.Duration) error {
	if ttl < time.Second {
		return fmt.Errorf("%v is less than a second", ttl)
	}
	return nil
}

func checkProxies(proxies []netip.Prefix) error {
	for i, proxy := range proxies {
		if !proxy.IsValid() {
			return fmt.Errorf("network %d is not valid; make it with netip.ParsePrefix", i)
		}
		if proxy.Addr().Is4In6() {
			return fmt.Errorf("network %v would match nothing; write it as one of IPv4", proxy)
		}
	}
	return nil
}

func (l Limit) check() error {
	if l.Burst < 1 {
		return fmt.Errorf("a Burst of %d is less than 1", l.Burst)
	}
	if l.Every <= 0 {
		return fmt.Errorf("an Every of %v is not positive", l.Every)
	}
	return nil
}

func (l SignInLimits) checkPerUser() error {
	if err := l.PerUser.check(); err != nil {
		return err
	}
	if l.PerUser.Every >= l.PerUserAndAddress.Every/widest {
		return fmt.Errorf("must refill more than %d times as fast as PerUserAndAddress, or one network could lock a user out", widest)
	}
	return nil
}

func checkEntries(n int) error {
	if n < 1 {
		return fmt.Errorf("%d is less than 1", n)
	}
	return nil
}

func checkConcurrency(n int) error {
	if n < 0 {
		return fmt.Errorf("%d is negative", n)
	}
	return nil
}

// concurrency returns how many sign-ins the server sends to the directory at once.
func (c Config) concurrency() int {
	if c.SignIn.Concurrency > 0 {
		return c.SignIn.Concurrency
	}
	if directory, ok := c.Directory.(Bounded); ok {
		return max(1, directory.Concurrency())
	}
	return defaultConcurrency
}
