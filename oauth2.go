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

// A ClientAuth is how a client authenticates at a token endpoint (RFC 7591 section 2,
// token_endpoint_auth_method). The program names the method; the client does not try
// several, because that would present a one-use refresh token twice.
type ClientAuth string

// Methods of client authentication.
const (
	// ClientNone: client_id in the form and no secret, for public clients.
	ClientNone ClientAuth = "none"
	// ClientSecretBasic: HTTP Basic authentication (RFC 6749 section 2.3.1).
	ClientSecretBasic ClientAuth = "client_secret_basic"
	// ClientSecretPost: client_id and client_secret in the form.
	ClientSecretPost ClientAuth = "client_secret_post"
)

// OAuth2Config describes an OAuth 2.0 server and the client's registration there. TokenURL
// and ClientID are required.
type OAuth2Config struct {
	// TokenURL is the token endpoint.
	TokenURL string

	// Issuer names the server (RFC 8414 section 2), as in [Config.Issuer]. Defaults to
	// TokenURL.
	Issuer string

	// RevocationURL is the revocation endpoint (RFC 7009), which [Session.SignOut] calls.
	// Defaults to none: SignOut then only deletes the tokens on the client.
	RevocationURL string

	// ClientID and ClientSecret are the client's registered credentials. A public client
	// has no secret.
	ClientID, ClientSecret string

	// ClientAuth is how the client authenticates. Defaults to ClientSecretBasic, which
	// every server supports, or to ClientNone without a secret.
	ClientAuth ClientAuth

	// Params are further parameters of the refresh request, such as scope or resource.
	Params url.Values

	// EndCodes are further error codes that end the session because the user must sign in
	// again, such as interaction_required, or Slack's invalid_refresh_token. Two codes
	// always end it: invalid_grant (RFC 6749 section 5.2), and GitHub's bad_refresh_token
	// with status 200. A code ends the session if the answer has a 2xx status and no
	// access token, or a 4xx status other than 408, 425 and 429. Defaults to none: other
	// errors are temporary.
	EndCodes []string

	// ForgivesRetry tells the client that the server follows Tandem's protocol: the client
	// may present a refresh token again until it presents a successor of it (see
	// [Forgiver]). Any other server takes the second presentation for theft and ends the
	// session. Defaults to false.
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

// Issuer returns the server's name: see [Config.Issuer].
func (o *OAuth2) Issuer() string { return cmp.Or(o.config.Issuer, o.config.TokenURL) }

// checkEndpoint returns what is wrong with the URL of an endpoint, which may have a query
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

// Refresh makes one attempt. If the server reports that the grant has ended, the error is
// an [*EndedError] with the reason [rotation.Unknown] and a [*ServerError] as its Err (see
// [OAuth2Config.EndCodes]). All other errors are temporary; the error is a [*ServerError]
// if the server has answered with an error code or with a status other than 2xx. The error
// is [ErrStale] if a forgiving server answers stale_refresh_token.
//
// Refresh reads JSON and form-encoded answers. If an answer breaks off, or is longer than
// 1 MiB, Refresh uses the members that arrived whole, provided that the next refresh token
// is one of them; if the access token is missing, Refresh returns the refresh token with
// an error. Without the next refresh token Refresh returns only an error: the session asks
// again at once, and a server with a grace period repeats its answer.
//
// If an answer with a 4xx or 5xx status has both tokens and no error code, a proxy may
// have changed the status of a grant: Refresh returns the refresh token with the error.
// Refresh takes no refresh token from any other answer with such a status, because servers
// echo the request in those, with a part of the token or a mask.
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

// ends reports whether a definitive answer with the code means that the grant has ended.
func (o *OAuth2) ends(code string, said *ServerError) bool {
	return code == "invalid_grant" || code == "bad_refresh_token" && said.Status == http.StatusOK ||
		slices.Contains(o.config.EndCodes, code)
}

// isBearer reports whether clients send tokens of this token_type as Bearer tokens. Apigee
// calls the type BearerToken, Slack bot or user; some servers leave it out.
func isBearer(kind string) bool {
	return slices.Contains([]string{"", "bearer", "bearertoken", "bot", "user"}, strings.ToLower(strings.TrimSpace(kind)))
}

// ForgivesRetry is [OAuth2Config.ForgivesRetry].
func (o *OAuth2) ForgivesRetry() bool { return o.config.ForgivesRetry }

// Revoke ends the session of a refresh token at the revocation endpoint. Without such an
// endpoint it does nothing. The error is a [*TemporaryError] if calling again may help,
// otherwise the context's or a [*ServerError].
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

// post sends a form with the client's authentication.
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
		// RFC 6749 section 2.3.1: ID and secret are form-encoded first.
		req.SetBasicAuth(url.QueryEscape(o.config.ClientID), url.QueryEscape(o.config.ClientSecret))
		credentials = strings.TrimPrefix(req.Header.Get("Authorization"), "Basic ")
	}
	return o.do(req, form.Get("refresh_token"), form.Get("token"), o.config.ClientSecret, credentials)
}

// String returns the endpoint and the client ID, and no secret.
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
