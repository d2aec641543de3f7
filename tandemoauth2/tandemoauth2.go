// Package tandemoauth2 is between a [tandem.Session] and golang.org/x/oauth2: a
// session's access tokens for programs that want an [oauth2.TokenSource], and what is
// signed in with golang.org/x/oauth2 as a session.
//
// To go on with a token that golang.org/x/oauth2 has got:
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

// TokenSource returns the access tokens of a session, each good when it is returned:
// don't put an [oauth2.ReuseTokenSource] in between, which would keep one that the
// session has replaced. The context bounds every call of Token, whose errors are those
// of [tandem.Session.Token].
//
// A client over it does not recover from a 401; [tandem.Session.Client] does.
func TokenSource(ctx context.Context, session *tandem.Session) oauth2.TokenSource {
	return tokenSource{ctx, session}
}

type tokenSource struct {
	ctx     context.Context // of all calls: an oauth2.TokenSource has none of its own
	session *tandem.Session
}

// Token returns an access token that is good now. It has no refresh token: that is the
// session's.
func (s tokenSource) Token() (*oauth2.Token, error) {
	token, until, err := s.session.TokenUntil(s.ctx)
	if err != nil {
		return nil, err
	}
	return &oauth2.Token{AccessToken: token, TokenType: "Bearer", Expiry: until}, nil
}

// Config returns the settings of a client of golang.org/x/oauth2 as those of
// [tandem.NewOAuth2]. The error says that c.Endpoint.AuthStyle has to be named: finding
// it out by trying sends a refresh token twice, which ends the session where one is
// good for one use.
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

// Grant returns what a token gives, for [tandem.Session.SignInWith]. An access token
// that has expired is left out: the session then begins with a refresh.
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
