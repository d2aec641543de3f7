package tandem

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-auth/tandem/rotation"
)

// A ClientAuth is how a client says who it is at a token endpoint (RFC 7591 section 2,
// token_endpoint_auth_method). It is named, never found out by trying: that would send
// a refresh token that is good for one use twice.
type ClientAuth string

// Ways of saying who the client is.
const (
	// ClientNone: the client_id in the form and no secret, as public clients do.
	ClientNone ClientAuth = "none"
	// ClientSecretBasic: HTTP Basic authentication (RFC 6749 section 2.3.1).
	ClientSecretBasic ClientAuth = "client_secret_basic"
	// ClientSecretPost: client_id and client_secret in the form.
	ClientSecretPost ClientAuth = "client_secret_post"
)

// OAuth2Config says where an OAuth 2.0 server is and who the client is. TokenURL and
// ClientID are needed.
type OAuth2Config struct {
	// TokenURL is the token endpoint.
	TokenURL string

	// RevocationURL is the revocation endpoint (RFC 7009), for [Session.SignOut].
	// Defaults to none: signing out then forgets the tokens here alone.
	RevocationURL string

	// ClientID and ClientSecret are what the client is registered as. A public client
	// has no secret.
	ClientID, ClientSecret string

	// ClientAuth is how the client says who it is. Defaults to ClientSecretBasic, which
	// every server understands, or to ClientNone without a secret.
	ClientAuth ClientAuth

	// Params are further parameters of the refresh, such as scope or resource.
	Params url.Values

	// Transport carries the requests. Defaults to http.DefaultTransport.
	Transport http.RoundTripper
}

// OAuth2 refreshes at the token endpoint of any OAuth 2.0 server (RFC 6749 section 6),
// and revokes at its revocation endpoint. It is a [Refresher] and a [Revoker].
type OAuth2 struct {
	endpoint
	config OAuth2Config
}

// NewOAuth2 returns a refresher for [Config.Refresher]. The error names the field that
// is wrong.
func NewOAuth2(config OAuth2Config) (*OAuth2, error) {
	if err := checkEndpoint(config.TokenURL); err != nil {
		return nil, fmt.Errorf("tandem: OAuth2Config.TokenURL: %w", err)
	}
	if config.RevocationURL != "" {
		if err := checkEndpoint(config.RevocationURL); err != nil {
			return nil, fmt.Errorf("tandem: OAuth2Config.RevocationURL: %w", err)
		}
	}
	if config.ClientID == "" {
		return nil, errors.New("tandem: OAuth2Config.ClientID: it is empty")
	}
	if config.ClientAuth == "" {
		config.ClientAuth = ClientSecretBasic
		if config.ClientSecret == "" {
			config.ClientAuth = ClientNone
		}
	}
	switch config.ClientAuth {
	case ClientNone:
		if config.ClientSecret != "" {
			return nil, fmt.Errorf("tandem: OAuth2Config.ClientAuth: %q sends no secret, and there is one", config.ClientAuth)
		}
	case ClientSecretBasic, ClientSecretPost:
		if config.ClientSecret == "" {
			return nil, fmt.Errorf("tandem: OAuth2Config.ClientSecret: %q needs one", config.ClientAuth)
		}
	default:
		return nil, fmt.Errorf("tandem: OAuth2Config.ClientAuth: %q is none of %q, %q and %q",
			config.ClientAuth, ClientNone, ClientSecretBasic, ClientSecretPost)
	}
	transport := config.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	return &OAuth2{endpoint: newEndpoint(transport, time.Now), config: config}, nil
}

// checkEndpoint says what is wrong with the URL of an endpoint, which may have a query
// (RFC 6749 section 3.2).
func checkEndpoint(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return errors.New("it is no URL")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return fmt.Errorf("%q is not an absolute http or https URL", u.Redacted())
	case u.User != nil:
		return fmt.Errorf("%q: a user name or password does not belong in it", u.Redacted())
	case u.Fragment != "":
		return fmt.Errorf("%q has a fragment", u.Redacted())
	}
	return nil
}

// Refresh makes one attempt. invalid_grant is an [*EndedError], for the reason
// [rotation.Unknown]; all else may pass.
func (o *OAuth2) Refresh(ctx context.Context, pair Pair) (Grant, error) {
	form := url.Values{}
	maps.Copy(form, o.config.Params)
	form.Set("grant_type", "refresh_token")
	form.Set("refresh_token", pair.RefreshToken)
	var answer struct {
		Error        string   `json:"error"`
		AccessToken  string   `json:"access_token"`
		RefreshToken string   `json:"refresh_token"`
		TokenType    string   `json:"token_type"`
		ExpiresIn    lifetime `json:"expires_in"`
	}
	err := o.post(ctx, o.config.TokenURL, form, &answer)
	var no *refusal
	switch {
	case errors.As(err, &no) && no.code == "invalid_grant" && !no.temporary(),
		err == nil && answer.AccessToken == "" && slices.Contains(endedWith200, answer.Error):
		return Grant{}, &EndedError{SessionID: pair.SessionID, Reason: rotation.Unknown}
	case err != nil: // of what could not be read in full, a refresh token may be the last one
		return Grant{RefreshToken: answer.RefreshToken}, err
	}
	grant := Grant{AccessToken: answer.AccessToken, RefreshToken: answer.RefreshToken, ExpiresIn: time.Duration(answer.ExpiresIn)}
	switch {
	case answer.AccessToken == "" && answer.Error != "":
		err = fmt.Errorf("server answered %s", printable(answer.Error))
	case answer.AccessToken == "":
		err = errors.New("server answered without an access_token; is TokenURL right?")
	case !strings.EqualFold(cmp.Or(answer.TokenType, "Bearer"), "Bearer"):
		err = errors.New("server answered with a token type other than Bearer")
	}
	return grant, err
}

// Revoke ends the session of a refresh token at the revocation endpoint. Without one
// it does nothing. The error is a [*TemporaryError] if calling again may help.
func (o *OAuth2) Revoke(ctx context.Context, refreshToken string) error {
	if o.config.RevocationURL == "" {
		return nil
	}
	err := o.post(ctx, o.config.RevocationURL, url.Values{"token": {refreshToken}, "token_type_hint": {"refresh_token"}}, nil)
	var no *refusal
	switch {
	case err == nil || ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &no) && !no.temporary():
		return no
	}
	now := o.now()
	return &TemporaryError{RetryAt: now.Add(retryAfter(err, now)), Err: err}
}

// post sends a form, and who the client is.
func (o *OAuth2) post(ctx context.Context, to string, form url.Values, answer any) error {
	if o.config.ClientAuth != ClientSecretBasic {
		form.Set("client_id", o.config.ClientID)
	}
	if o.config.ClientAuth == ClientSecretPost {
		form.Set("client_secret", o.config.ClientSecret)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if o.config.ClientAuth == ClientSecretBasic {
		// Both are form-encoded first: RFC 6749 section 2.3.1.
		req.SetBasicAuth(url.QueryEscape(o.config.ClientID), url.QueryEscape(o.config.ClientSecret))
	}
	return o.do(req, answer, form.Get("refresh_token"), form.Get("token"), o.config.ClientSecret)
}

// endedWith200 are the errors for a refresh token that is no good which some servers
// answer with status 200; the second one is GitHub's own word for it.
var endedWith200 = []string{"invalid_grant", "bad_refresh_token"}

// String names endpoint and client, and does not show the secret.
func (c OAuth2Config) String() string {
	return fmt.Sprintf("tandem.OAuth2Config{client %q at %s}", c.ClientID, c.TokenURL)
}

// GoString is [OAuth2Config.String].
func (c OAuth2Config) GoString() string { return c.String() }

// LogValue is [OAuth2Config.String].
func (c OAuth2Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// String is that of the [OAuth2Config].
func (o OAuth2) String() string { return o.config.String() }

// GoString is [OAuth2.String].
func (o OAuth2) GoString() string { return o.String() }

// LogValue is [OAuth2.String].
func (o OAuth2) LogValue() slog.Value { return o.config.LogValue() }

// A lifetime is the expires_in of an answer: seconds, which some servers put into a
// string. What is no number that makes sense is as good as none.
type lifetime time.Duration

// UnmarshalJSON never fails: the tokens beside it must not be lost.
func (l *lifetime) UnmarshalJSON(text []byte) error {
	var quoted string
	if json.Unmarshal(text, &quoted) == nil {
		text = []byte(quoted)
	}
	*l = 0
	if seconds, err := strconv.ParseFloat(string(text), 64); err == nil && seconds >= 1 && seconds <= maxLifeSeconds {
		*l = lifetime(seconds * float64(time.Second))
	}
	return nil
}
