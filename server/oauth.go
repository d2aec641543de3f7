package server

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tandem-auth/tandem/accesstoken"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// An oauthPair is a pair in the words of RFC 6749 section 5.1.
type oauthPair struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token"`
	Scope        string `json:"scope,omitempty"`
}

// oauthToken refreshes as RFC 6749 section 6 has it. The decision is that of the JSON
// endpoint, and so are the tokens.
func (s *Server) oauthToken(w http.ResponseWriter, r *http.Request) error {
	f, err := readForm(w, r)
	if err != nil {
		return err
	}
	client, err := s.client(r, f)
	if err != nil {
		return err
	}
	grant, err := f.required("grant_type")
	if err != nil {
		return err
	}
	if grant != "refresh_token" {
		return &problem{status: http.StatusBadRequest, Code: codeGrantType, Description: "this server knows the grant type refresh_token alone"}
	}
	text, err := f.required("refresh_token")
	if err != nil {
		return err
	}
	terms, err := s.termsOf(client, f)
	if err != nil {
		return err
	}
	token, keys, err := s.decodePresented(r, text)
	if err != nil {
		return err
	}
	tokens, err := s.exchange(r, token, keys, terms)
	if err != nil {
		return unlessStale(err)
	}
	s.respond(w, r, http.StatusOK, oauthPair{tokens.AccessToken, tokens.TokenType, tokens.ExpiresIn, tokens.RefreshToken, tokens.scope})
	return nil
}

// unlessStale returns an error as OAuth clients have to see it. To them every 4xx of the
// token endpoint is the end of the session, and a stale token is not: they try again.
func unlessStale(err error) error {
	p, ok := errors.AsType[*problem](err)
	if !ok || p.Code != codeStale {
		return err
	}
	return &problem{
		status: http.StatusServiceUnavailable, Code: codeUnavailable, Description: p.Description, Reason: p.Code, retryAfter: time.Second,
	}
}

// termsOf returns the terms that a client asks for.
func (s *Server) termsOf(client Client, f form) (terms, error) {
	t := s.usualTerms()
	t.clientID = client.ID
	if scope := f["scope"]; scope != "" {
		t.scopes = strings.Fields(scope)
	}
	if resource := f["resource"]; resource != "" && resource != s.cfg.Audience {
		if len(resource) > maxResource || !slices.Contains(client.Audiences, resource) {
			return terms{}, &problem{
				status: http.StatusBadRequest, Code: codeInvalidTarget, Description: "this client may not ask for tokens for that resource",
			}
		}
		t.signer.Audience = resource
	}
	return t, nil
}

// oauthRevoke ends the session of a token (RFC 7009). A token that is none, or not this
// server's, is revoked already.
func (s *Server) oauthRevoke(w http.ResponseWriter, r *http.Request) error {
	f, err := readForm(w, r)
	if err != nil {
		return err
	}
	client, err := s.client(r, f)
	if err != nil {
		return err
	}
	text, err := f.required("token")
	if err != nil {
		return err
	}
	session, found, err := s.sessionOfToken(r, client, text)
	if err == nil && found {
		err = s.signOutAll(r, []rotation.SessionID{session})
	}
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	return nil
}

// sessionOfToken returns the session of a refresh token or an access token, if it is one of
// this server's. The error is a problem.
func (s *Server) sessionOfToken(r *http.Request, client Client, text string) (_ rotation.SessionID, found bool, _ error) {
	token, _, err := s.decode(r.Context(), text)
	if err == nil {
		return token.Session, true, nil
	}
	if p, ok := errors.AsType[*problem](err); ok {
		return rotation.SessionID{}, false, p
	}
	access, _, err := s.verifyFor(r.Context(), client, text)
	if p, ok := errors.AsType[*problem](err); ok {
		return rotation.SessionID{}, false, p
	}
	return access.SessionID, err == nil, nil
}

// verifyFor returns the contents of an access token for the server's usual audience, or for
// one of a client's, and that audience.
func (s *Server) verifyFor(ctx context.Context, client Client, text string) (Access, string, error) {
	access, err := s.verifier.Verify(ctx, text)
	for i := 0; i < len(client.Audiences) && errors.Is(err, accesstoken.ErrAudience); i++ {
		config := s.verifierConfig
		config.Audience = client.Audiences[i]
		verifier, wrong := accesstoken.NewVerifier(config)
		if wrong != nil {
			return Access{}, "", wrong
		}
		if access, err = verifier.Verify(ctx, text); err == nil {
			return access, config.Audience, nil
		}
	}
	return access, s.cfg.Audience, err
}

// An introspection is what a server says of a token that is active (RFC 7662 section 2.2).
type introspection struct {
	Active    bool   `json:"active"`
	TokenType string `json:"token_type,omitempty"`
	Scope     string `json:"scope,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	Username  string `json:"username,omitempty"`
	Subject   string `json:"sub,omitempty"`
	Audience  string `json:"aud,omitempty"`
	Issuer    string `json:"iss,omitempty"`
	ExpiresAt int64  `json:"exp,omitempty"`
	IssuedAt  int64  `json:"iat,omitempty"`
	SessionID string `json:"sid,omitempty"`
}

// oauthIntrospect tells an API about a token: an access token whose session has not ended,
// or a refresh token that would be accepted now. Asking changes nothing.
func (s *Server) oauthIntrospect(w http.ResponseWriter, r *http.Request) error {
	f, err := readForm(w, r)
	if err != nil {
		return err
	}
	client, err := s.client(r, f)
	if err != nil {
		return err
	}
	if !client.MayIntrospect || client.IsPublic() {
		return &problem{status: http.StatusForbidden, Code: codeUnauthorizedClient, Description: "this client may not ask about tokens"}
	}
	text, err := f.required("token")
	if err != nil {
		return err
	}
	answer, err := s.introspect(r, client, text)
	if err != nil {
		return err
	}
	s.respond(w, r, http.StatusOK, answer)
	return nil
}

func (s *Server) introspect(r *http.Request, client Client, text string) (introspection, error) {
	if token, _, err := s.decode(r.Context(), text); err == nil {
		return s.introspectRefresh(r, token)
	} else if p, ok := errors.AsType[*problem](err); ok {
		return introspection{}, p
	}
	access, audience, err := s.verifyFor(r.Context(), client, text)
	if p, ok := errors.AsType[*problem](err); ok {
		return introspection{}, p
	}
	if err != nil {
		return introspection{}, nil //nolint:nilerr // that a token is not valid is an answer
	}
	if err := s.checkSession(r.Context(), access); err != nil {
		if p, ok := errors.AsType[*problem](err); ok && p.Code == codeInvalidToken {
			return introspection{}, nil
		}
		return introspection{}, err
	}
	return introspection{
		Active: true, TokenType: "Bearer", Scope: access.Scope, ClientID: access.ClientID, Username: access.Username,
		Subject: access.Subject, Audience: audience, Issuer: s.cfg.Issuer,
		ExpiresAt: access.ExpiresAt.Unix(), IssuedAt: access.IssuedAt.Unix(), SessionID: access.SessionID.String(),
	}, nil
}

// introspectRefresh decides about a refresh token without carrying the decision out.
func (s *Server) introspectRefresh(r *http.Request, token rotation.Token) (introspection, error) {
	session, err := s.cfg.Store.Get(r.Context(), token.Session)
	if errors.Is(err, store.ErrNotFound) {
		return introspection{}, nil
	}
	if err != nil {
		return introspection{}, unavailable("get the session of a refresh token", err)
	}
	now := s.now()
	switch rotation.Decide(&session.State, token, now, s.policy).Verdict {
	case rotation.Confirm, rotation.Retry:
	default:
		return introspection{}, nil
	}
	return introspection{
		Active: true, TokenType: "refresh_token", Scope: session.Scope, Username: session.Username, Subject: session.Subject,
		Issuer: s.cfg.Issuer, ExpiresAt: min(token.IssuedAt.Add(s.cfg.RefreshTTL).Unix(), session.ExpiresAt.Unix()),
		IssuedAt: token.IssuedAt.Unix(), SessionID: session.ID.String(),
	}, nil
}

// metadataPath is where the server describes itself (RFC 8414 section 3).
const metadataPath = "/.well-known/oauth-authorization-server"

// oauthMetadata describes the server.
func (s *Server) oauthMetadata(w http.ResponseWriter, r *http.Request) error {
	at := func(path string) string { return strings.TrimSuffix(s.cfg.PublicURL, "/") + path }
	methods := []string{"none", "client_secret_basic", "client_secret_post"}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	s.respond(w, r, http.StatusOK, struct {
		Issuer               string   `json:"issuer"`
		Token                string   `json:"token_endpoint"`
		Revocation           string   `json:"revocation_endpoint"`
		Introspection        string   `json:"introspection_endpoint"`
		KeySet               string   `json:"jwks_uri"`
		GrantTypes           []string `json:"grant_types_supported"`
		ResponseTypes        []string `json:"response_types_supported"`
		TokenMethods         []string `json:"token_endpoint_auth_methods_supported"`
		RevocationMethods    []string `json:"revocation_endpoint_auth_methods_supported"`
		IntrospectionMethods []string `json:"introspection_endpoint_auth_methods_supported"`
	}{
		s.cfg.Issuer, at("/oauth/token"), at("/oauth/revoke"), at("/oauth/introspect"), at("/.well-known/jwks.json"),
		[]string{"refresh_token"},
		[]string{},
		methods, methods, methods[1:],
	})
	return nil
}

// metadataPaths are those of the metadata: for an issuer with a path, RFC 8414 puts the
// well-known part before the path, where a server behind a prefix may not be reached.
func (s *Server) metadataPaths() []string {
	paths := []string{metadataPath}
	if u, err := url.Parse(s.cfg.Issuer); err == nil && strings.Trim(u.Path, "/") != "" {
		paths = append(paths, metadataPath+strings.TrimSuffix(u.Path, "/"))
	}
	return paths
}
