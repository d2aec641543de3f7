package resource

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Defaults of a [Config].
const (
	DefaultLeeway    = 10 * time.Second
	DefaultCacheSize = 10_000
)

// A Config says which access tokens a [Guard] accepts.
type Config struct {
	// Issuer is the server that issues the tokens: the "iss" claim, such as
	// "https://auth.example.com". Required.
	Issuer string

	// Audience names this API in the tokens: the "aud" claim. Defaults to Issuer, as the
	// server's does.
	Audience string

	// KeySetURL is where the issuer publishes its keys (RFC 7517). Defaults to
	// /.well-known/jwks.json below Issuer.
	KeySetURL string

	// Resource is the API's own URL, such as "https://api.example.com/orders". With it, the
	// guard names the API's metadata in its challenges (RFC 9728), and [Guard.Metadata] is
	// their handler.
	Resource string

	// Scopes are those that the metadata name.
	Scopes []string

	// Leeway is how far this machine's clock may be from the issuer's. Defaults to
	// DefaultLeeway; a negative one means none.
	Leeway time.Duration

	// CacheSize is how many verified tokens the guard remembers. Defaults to
	// DefaultCacheSize; a negative one means none. An entry takes about 1.5 kB.
	CacheSize int

	// Feed, if it is set, has the guard follow the ends of sessions: it refuses the tokens
	// of a session within a second of its end.
	Feed *Feed

	// Introspection, if it is set, has the guard ask the server whether sessions live.
	Introspection *Introspection

	// Client fetches the keys, and asks the server. Defaults to one that follows no redirects. Each fetch may
	// take ten seconds.
	Client *http.Client

	// Logger gets a line when the keys change, and when they cannot be fetched. Defaults
	// to none.
	Logger *slog.Logger

	// Now is the clock by which tokens expire. Defaults to [time.Now].
	Now func() time.Time
}

// withDefaults returns the config with its defaults, or an error that names the field that
// is wrong.
func (c Config) withDefaults() (Config, error) {
	issuer, err := absolute(c.Issuer)
	if err != nil {
		return c, fmt.Errorf("resource: Config.Issuer: %w", err)
	}
	c.Audience = cmp.Or(c.Audience, c.Issuer)
	if c.KeySetURL == "" {
		c.KeySetURL = issuer.JoinPath("/.well-known/jwks.json").String()
	}
	if _, err := absolute(c.KeySetURL); err != nil {
		return c, fmt.Errorf("resource: Config.KeySetURL: %w", err)
	}
	if c.Resource != "" {
		if u, err := absolute(c.Resource); err != nil || u.Fragment != "" {
			return c, fmt.Errorf("resource: Config.Resource: %w", cmp.Or(err, errors.New("it must have no fragment")))
		}
	}
	if c.Introspection, err = c.Introspection.withDefaults(issuer); err != nil {
		return c, fmt.Errorf("resource: Config.Introspection: %w", err)
	}
	if c.Feed, err = c.Feed.withDefaults(issuer); err != nil {
		return c, fmt.Errorf("resource: Config.Feed: %w", err)
	}
	for _, scope := range c.Scopes {
		if err := checkScope(scope); err != nil {
			return c, fmt.Errorf("resource: Config.Scopes: %w", err)
		}
	}
	c.Leeway = max(0, cmp.Or(c.Leeway, DefaultLeeway))
	c.CacheSize = max(0, cmp.Or(c.CacheSize, DefaultCacheSize))
	if c.Client == nil {
		c.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}

func absolute(text string) (*url.URL, error) {
	if text == "" {
		return nil, errors.New("is required")
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, fmt.Errorf(`%q is no URL such as "https://auth.example.com"`, text)
	}
	return u, nil
}

// checkScope checks the syntax of RFC 6749 section 3.3.
func checkScope(scope string) error {
	isWrong := func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }
	if scope == "" || strings.ContainsFunc(scope, isWrong) {
		return fmt.Errorf("%q is no scope", scope)
	}
	return nil
}
