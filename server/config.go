package server

import (
	"errors"
	"fmt"
	"log/slog"
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

	// Store keeps the sessions. Required. Closing it is up to the caller, after
	// [Server.Close].
	Store Store

	// Directory knows the users. Required.
	Directory Directory

	// Keys gives the server keys that change while it runs, in place of the three
	// fields that follow.
	Keys KeySource

	// SigningKey signs the access tokens. Required, unless there are Keys.
	SigningKey SigningKey

	// RetiredSigningKeys are published and accepted still, but not used. Keep one
	// here for AccessTTL after it was replaced.
	RetiredSigningKeys []SigningKey

	// RefreshKeys authenticate the refresh tokens. The first is used, the others
	// are accepted. At least one is required, unless there are Keys. Where several servers share a store,
	// give a new key to all of them before it becomes the first on any: a token of
	// a key that a server does not have ends its session.
	RefreshKeys []rotation.Key

	// Audience is whom the access tokens are meant for: the "aud" claim. Defaults
	// to Issuer.
	Audience string

	// ClientID is the "client_id" claim of the access tokens. Defaults to
	// [DefaultClientID].
	ClientID string

	// AccessTTL is how long an access token is good for. Defaults to
	// [DefaultAccessTTL]. At least a second.
	AccessTTL time.Duration

	// RefreshTTL is how long a refresh token is good for: how long a user may stay
	// away without having to sign in again. A refresh that comes later than that and
	// one Leeway ends the session. Defaults to [DefaultRefreshTTL]. At least a second.
	RefreshTTL time.Duration

	// SessionTTL bounds the whole session, however often it is refreshed.
	// Defaults to [DefaultSessionTTL]. At least a second.
	SessionTTL time.Duration

	// MaxSessions is how many sessions a user may have: a sign-in beyond that ends the
	// one that was idle for longest (as revoked). Defaults to [DefaultMaxSessions];
	// negative is without bound.
	MaxSessions int

	// Leeway is how long after a refresh an older token counts as a delayed
	// duplicate rather than as stolen, if it is at most 16 refreshes behind
	// (more, if access tokens are that short-lived).
	// Defaults to [DefaultLeeway]; negative is none, which ends sessions whose
	// requests overtake each other.
	Leeway time.Duration

	// RetryWindow is how long after its first use a refresh token may be used
	// again, provided that none of its successors was. Zero is without bound.
	// Negative is never, the textbook's rotation, which ends sessions whose
	// replies get lost. With a bound, a session ends for a client whose store fails
	// to keep a pair, too: it uses the token again that the store has.
	RetryWindow time.Duration

	// AllowedOrigins are the origins whose pages may call the server from a
	// browser (CORS), such as "https://app.example.com", or those of an app:
	// "capacitor://localhost", "chrome-extension://…". They are brought into the form
	// that browsers send: "https://Bücher.example:443" is
	// "https://xn--bcher-kva.example". None by default.
	AllowedOrigins []string

	// AllowedHeaders are the request headers that pages of AllowedOrigins may set.
	// Defaults to all, among them those that libraries for tracing and for tenants add.
	AllowedHeaders []string

	// AllowCredentials lets pages of AllowedOrigins send cookies and client
	// certificates, which are for a proxy before the server: the server itself has no
	// use for them, but a browser refuses the answer without it.
	AllowCredentials bool

	// TrustedProxies are the networks whose X-Forwarded-For header is believed.
	// None by default: the address is the connection's.
	TrustedProxies []netip.Prefix

	// SignIn limits the guessing of passwords.
	SignIn SignInLimits

	// Logger gets what goes wrong inside. Defaults to none.
	Logger *slog.Logger

	// OnEvent is told what happens. It is called in the middle of a request, with
	// no lock held, possibly by many at once; it should return quickly. Optional.
	OnEvent func(Event)

	// Now is the clock. Defaults to [time.Now].
	Now func() time.Time
}

// SignInLimits bound how often a sign-in may fail, how often one may succeed, and
// how many are checked at once. What counts decays with time; see [Limit]. A sign-in
// that is under way counts as nothing yet: one that could exceed a limit if all of
// those failed waits until one of them has ended.
//
// The limits are this process's own: they start afresh with it.
//
// A stranger at one address or IPv6 /48 network cannot lock a user out: the network
// runs into PerUserAndAddress, which refills slower than PerUser. Many strangers at
// once can keep a user from signing in, for as long as they go on, except from an
// address that the user has signed in from since this process began, and on a device
// that shows a refresh token of an earlier session of the user's.
//
// Sign-ins that wait take turns by network (an IPv4 address or an IPv6 /48), and
// within a network by user. At most 1,024 wait, 128 of one network and 32 of one of
// its users, for at most 5 seconds each; others are answered with 503.
type SignInLimits struct {
	// PerAddress bounds the failures from one address, whomever they were about. Of
	// IPv6 it is one /64 network; a /56 may fail twice as often, a /48 four times.
	// Defaults to a burst of 100, one back a second.
	PerAddress Limit

	// PerUserAndAddress bounds the failures of one user from one address, or IPv6
	// network as above; and those on one device that has signed in before. Defaults
	// to a burst of 10, one back every 10 seconds.
	PerUserAndAddress Limit

	// PerUser bounds the failures of one user from all addresses together.
	// Defaults to a burst of 100, one back a second. It must refill more than four
	// times as fast as PerUserAndAddress.
	PerUser Limit

	// Successes bounds the sign-ins of one user from one IPv4 address or IPv6 /48
	// network that succeed: each costs a password hash and a session. Defaults to a
	// burst of 300, one back a second.
	Successes Limit

	// Concurrency is how many sign-ins the directory is asked about at once.
	// Defaults to what the directory says if it is a [Bounded], else to 64.
	Concurrency int

	// Entries bounds the memory: how many addresses and users are kept in mind,
	// for each of the limits. Defaults to 100,000, which is some 80 MB if an attack
	// fills them all, and next to nothing otherwise.
	Entries int
}

// A Limit is a bucket of Burst tokens. What is limited takes one; one comes back
// after every Every, until the bucket is full. With the bucket empty, sign-ins are
// refused. The zero Limit stands for the default.
type Limit struct {
	Burst int
	Every time.Duration
}

func (c Config) withDefaults() Config {
	setDefault(&c.Audience, c.Issuer)
	setDefault(&c.ClientID, DefaultClientID)
	setDefault(&c.AccessTTL, DefaultAccessTTL)
	setDefault(&c.RefreshTTL, DefaultRefreshTTL)
	setDefault(&c.SessionTTL, DefaultSessionTTL)
	setDefault(&c.MaxSessions, DefaultMaxSessions)
	setDefault(&c.Leeway, DefaultLeeway)
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

// validate checks a config that has its defaults.
func (c Config) validate() error {
	for _, check := range []struct {
		field string
		err   error
	}{
		{"Issuer", checkIssuer(c.Issuer)},
		{"Store", required(c.Store != nil)},
		{"Directory", required(c.Directory != nil)},
		{"AccessTTL", checkTTL(c.AccessTTL)},
		{"RefreshTTL", checkTTL(c.RefreshTTL)},
		{"SessionTTL", checkTTL(c.SessionTTL)},
		{"AllowedOrigins", checkOrigins(c.AllowedOrigins)},
		{"AllowedHeaders", checkHeaders(c.AllowedHeaders)},
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

// leewayReach is more often than an honest client refreshes within a leeway.
func (c Config) leewayReach() uint32 {
	return max(16, 2*uint32(min(max(c.Leeway, 0)/c.AccessTTL, 1<<16)))
}

// policy translates the RetryWindow, whose zero value is the default here and
// the textbook's in package rotation.
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

func required(there bool) error {
	if !there {
		return errors.New("is required")
	}
	return nil
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

// setKeys makes Keys of the fields for keys that do not change.
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

// concurrency is how many passwords are checked at once.
func (c Config) concurrency() int {
	if c.SignIn.Concurrency > 0 {
		return c.SignIn.Concurrency
	}
	if directory, ok := c.Directory.(Bounded); ok {
		return max(1, directory.Concurrency())
	}
	return defaultConcurrency
}
