package tandem

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
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

	// Issuer names the server (RFC 8414 section 2), as in [Config.Issuer]. Defaults to
	// TokenURL.
	Issuer string

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

	// EndCodes are further error codes that end the session because the user must sign
	// in again, such as interaction_required, or Slack's invalid_refresh_token. invalid_grant
	// (RFC 6749 section 5.2) ends it in any case, and so does GitHub's bad_refresh_token
	// with status 200. A code ends the session if the answer has a 2xx status and no
	// access token, or a 4xx status other than 408, 425 and 429. Defaults to none: other
	// errors are temporary.
	EndCodes []string

	// ForgivesRetry says that the server follows Tandem's protocol: a refresh token may
	// be presented again until a successor of it is presented (see [Forgiver]). Any other
	// server takes the second presentation for theft and ends the session. Defaults to
	// false.
	ForgivesRetry bool

	// Transport carries the requests. Defaults to that of [Config.Transport].
	Transport http.RoundTripper
}

// OAuth2 refreshes at the token endpoint of any OAuth 2.0 server (RFC 6749 section 6),
// and revokes at its revocation endpoint. It is a [Refresher], a [Revoker] and a
// [Forgiver].
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
	if slices.Contains(config.EndCodes, "") {
		return nil, errors.New("tandem: OAuth2Config.EndCodes: one of them is empty")
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
		transport = defaultTransport()
	}
	return &OAuth2{endpoint: newEndpoint(transport, time.Now), config: config}, nil
}

// Issuer names the server: see [Config.Issuer].
func (o *OAuth2) Issuer() string { return cmp.Or(o.config.Issuer, o.config.TokenURL) }

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

// Refresh makes one attempt. If the server says that the grant has ended, the error is an
// [*EndedError] for the reason [rotation.Unknown], with a [*ServerError] in it (see
// [OAuth2Config.EndCodes]). All other errors may pass; one is a [*ServerError] if the
// server has named an error or answered with a status other than 2xx. A server that
// forgives may answer stale_refresh_token: the error is then [ErrStale].
//
// Refresh reads JSON and form-encoded answers. Of an answer that breaks off, or is longer
// than 1 MiB, it uses the members that have arrived whole, if the next refresh token is
// among them; if the access token is not, the refresh token comes with an error. Without
// the next refresh token Refresh returns an error alone: the session asks again at once,
// and a server with a grace period gives the answer again.
//
// If an answer with a 4xx or 5xx status has both tokens and no error code, a proxy may
// have changed the status of a grant: the refresh token comes with the error. Refresh
// takes no refresh token from any other answer with such a status, because servers
// repeat the request in those, with a part of the token or a mask.
func (o *OAuth2) Refresh(ctx context.Context, pair Pair) (Grant, error) {
	form := url.Values{}
	maps.Copy(form, o.config.Params)
	form.Set("grant_type", "refresh_token")
	form.Set("refresh_token", pair.RefreshToken)
	a, err := o.post(ctx, o.config.TokenURL, form)
	grant := Grant{
		AccessToken:      a.text("access_token"),
		RefreshToken:     a.text("refresh_token"),
		ExpiresIn:        a.seconds("expires_in"),
		RefreshExpiresIn: a.seconds("refresh_expires_in", "refresh_token_expires_in"), // Keycloak's, GitHub's
	}
	rotated := Grant{RefreshToken: grant.RefreshToken, RefreshExpiresIn: grant.RefreshExpiresIn}
	switch {
	case (err != nil || grant.AccessToken == "") && o.ends(a.code(), a.said):
		return Grant{}, &EndedError{SessionID: pair.SessionID, Reason: rotation.Unknown, Err: a.said}
	case (err != nil || grant.AccessToken == "") && a.code() == codeStale && o.config.ForgivesRetry:
		return Grant{}, ErrStale
	case err != nil && (grant.AccessToken == "" || a.text("error") != ""):
		return Grant{}, err
	case err != nil:
		return rotated, err
	case a.err != nil && (grant.AccessToken == "" || grant.RefreshToken == ""):
		return rotated, a.err
	case grant.AccessToken == "" && a.said.Code != "":
		return rotated, a.said
	case grant.AccessToken == "":
		return rotated, errors.New("server answered without an access_token; is TokenURL right?")
	case !isBearer(a.text("token_type")):
		return rotated, errors.New("server answered with a token type other than Bearer")
	}
	return grant, nil
}

// ends reports whether a definitive answer with the code says that the grant is over.
func (o *OAuth2) ends(code string, said *ServerError) bool {
	return code == "invalid_grant" || code == "bad_refresh_token" && said.Status == http.StatusOK ||
		slices.Contains(o.config.EndCodes, code)
}

// isBearer reports whether a token_type is one whose token is sent as a Bearer token,
// whatever it is called: Apigee says BearerToken, Slack bot or user, and some say nothing.
func isBearer(kind string) bool {
	return slices.Contains([]string{"", "bearer", "bearertoken", "bot", "user"}, strings.ToLower(strings.TrimSpace(kind)))
}

// ForgivesRetry is [OAuth2Config.ForgivesRetry].
func (o *OAuth2) ForgivesRetry() bool { return o.config.ForgivesRetry }

// Revoke ends the session of a refresh token at the revocation endpoint. Without one
// it does nothing. The error is a [*TemporaryError] if calling again may help, and the
// context's or a [*ServerError] if not.
func (o *OAuth2) Revoke(ctx context.Context, refreshToken string) error {
	if o.config.RevocationURL == "" {
		return nil
	}
	_, err := o.post(ctx, o.config.RevocationURL, url.Values{"token": {refreshToken}, "token_type_hint": {"refresh_token"}})
	no, ok := answered(err)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case ok && !no.temporary():
		return no
	}
	now := o.now()
	return &TemporaryError{RetryAt: now.Add(retryAfter(err, now)), Err: err}
}

// post sends a form, and who the client is.
func (o *OAuth2) post(ctx context.Context, to string, form url.Values) (answer, error) {
	if o.config.ClientAuth != ClientSecretBasic {
		form.Set("client_id", o.config.ClientID)
	}
	if o.config.ClientAuth == ClientSecretPost {
		form.Set("client_secret", o.config.ClientSecret)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	credentials := ""
	if o.config.ClientAuth == ClientSecretBasic {
		// Both are form-encoded first: RFC 6749 section 2.3.1.
		req.SetBasicAuth(url.QueryEscape(o.config.ClientID), url.QueryEscape(o.config.ClientSecret))
		credentials = strings.TrimPrefix(req.Header.Get("Authorization"), "Basic ")
	}
	return o.do(req, form.Get("refresh_token"), form.Get("token"), o.config.ClientSecret, credentials)
}

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
