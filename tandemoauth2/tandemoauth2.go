// Package tandemoauth2 connects a [tandem.Session] with golang.org/x/oauth2: it offers
// a session's access tokens as an [oauth2.TokenSource], and makes a session of tokens
// that golang.org/x/oauth2 has obtained.
//
// To begin a session with a token from golang.org/x/oauth2:
//
//	config, err := tandemoauth2.Config(oauth2Config)
//	refresher, err := tandem.NewOAuth2(config)
//	session, err := tandem.Open(ctx, store, tandem.Config{Refresher: refresher, Origins: …})
//	err = session.SignInWith(ctx, "ann", tandemoauth2.Grant(token))
package tandemoauth2

import (
	"context"
	"errors"
	"time"

	"golang.org/x/oauth2"

	"github.com/tandem-auth/tandem"
)

// TokenSource returns a source of the session's access tokens, each valid when Token
// returns it. Don't wrap it in an [oauth2.ReuseTokenSource], which would cache a token
// after the session has replaced it. ctx bounds every call of Token. The errors of
// Token are those of [tandem.Session.Token].
//
// An HTTP client that uses the source does not recover from a 401;
// [tandem.Session.Client] does.
func TokenSource(ctx context.Context, session *tandem.Session) oauth2.TokenSource {
	return tokenSource{ctx, session}
}

type tokenSource struct {
	ctx     context.Context // for all calls: Token takes no context
	session *tandem.Session
}

// Token returns a valid access token, without a refresh token: only the session uses
// the refresh token.
func (s tokenSource) Token() (*oauth2.Token, error) {
	token, until, err := s.session.TokenUntil(s.ctx)
	if err != nil {
		return nil, err
	}
	return &oauth2.Token{AccessToken: token, TokenType: "Bearer", Expiry: until}, nil
}

// Config converts the settings of a golang.org/x/oauth2 client for [tandem.NewOAuth2].
// The error says that c.Endpoint.AuthStyle must be set: trying both styles presents a
// refresh token twice, which ends the session at a server with one-use refresh tokens.
func Config(c *oauth2.Config) (tandem.OAuth2Config, error) {
	config := tandem.OAuth2Config{TokenURL: c.Endpoint.TokenURL, ClientID: c.ClientID, ClientSecret: c.ClientSecret}
	switch {
	case c.ClientSecret == "":
		config.ClientAuth = tandem.ClientNone
	case c.Endpoint.AuthStyle == oauth2.AuthStyleInHeader:
		config.ClientAuth = tandem.ClientSecretBasic
	case c.Endpoint.AuthStyle == oauth2.AuthStyleInParams:
		config.ClientAuth = tandem.ClientSecretPost
	default:
		return tandem.OAuth2Config{}, errors.New("tandemoauth2: Config.Endpoint.AuthStyle: name it, AuthStyleInHeader or AuthStyleInParams: trying both could use up a refresh token")
	}
	return config, nil
}

// Grant converts a token for [tandem.Session.SignInWith]. It leaves out an access token
// that has expired, so that the session begins with a refresh.
func Grant(token *oauth2.Token) tandem.Grant {
	grant := tandem.Grant{RefreshToken: token.RefreshToken}
	left := time.Until(token.Expiry)
	switch {
	case token.Expiry.IsZero():
		grant.AccessToken = token.AccessToken
	case left >= time.Second:
		grant.AccessToken, grant.ExpiresIn = token.AccessToken, left
	}
	return grant
}
