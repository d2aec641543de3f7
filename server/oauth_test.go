package server_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/tandem-auth/tandem/internal/testkit/inproc"
	"github.com/tandem-auth/tandem/server"
)

// registry is a fixed set of clients.
type registry map[string]server.Client

var errRegistryAway = errors.New("the registry is away")

func (r registry) Client(_ context.Context, id string) (server.Client, error) {
	if id == "away" {
		return server.Client{}, errRegistryAway
	}
	c, known := r[id]
	if !known {
		return server.Client{}, server.ErrUnknownClient
	}
	return c, nil
}

const (
	secret   = "correct:horse+battery/staple %"
	shopAPI  = "https://shop.example.com/api"
	formType = "application/x-www-form-urlencoded"
)

func someClients(c *server.Config) {
	c.Clients = registry{
		"backend": {ID: "backend", SecretHash: server.HashClientSecret(secret), Audiences: []string{shopAPI}},
		"shop":    {ID: "shop", SecretHash: server.HashClientSecret(secret), Audiences: []string{shopAPI}, MayIntrospect: true},
		"phone":   {ID: "phone"},
	}
}

func basic(id, secret string) http.Header {
	text := url.QueryEscape(id) + ":" + url.QueryEscape(secret)
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(text))}}
}

// An oauthAnswer has the fields of RFC 6749, 7009 and 7662.
type oauthAnswer struct {
	answer
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	TokenType    string `json:"token_type"`
	Scope        string `json:"scope"`
	Active       bool   `json:"active"`
	Subject      string `json:"sub"`
	Audience     string `json:"aud"`
	ClientID     string `json:"client_id"`
}

// post sends a form to an OAuth endpoint.
func (h *harness) post(path string, header http.Header, values ...string) oauthAnswer {
	h.t.Helper()
	return h.postForm(path, header, encode(values...))
}

func encode(values ...string) string {
	form := url.Values{}
	for i := 0; i < len(values); i += 2 {
		form.Set(values[i], values[i+1])
	}
	return form.Encode()
}

func (h *harness) postForm(path string, header http.Header, body string) oauthAnswer {
	h.t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", formType)
	maps.Copy(r.Header, header)
	w := httptest.NewRecorder()
	h.server.ServeHTTP(w, r)
	got := oauthAnswer{answer: h.read(w.Result(), w.Body.String())}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			h.t.Errorf("the answer is %s: %v", w.Body, err)
		}
	}
	if w.Header().Get("Cache-Control") != "no-store" {
		h.t.Errorf("%s may be cached: %v", path, w.Header())
	}
	return got
}

func (h *harness) oauthRefresh(token string) oauthAnswer {
	h.t.Helper()
	return h.post("/oauth/token", nil, "grant_type", "refresh_token", "refresh_token", token)
}

// A session goes back and forth between the two faces of the server: they are one.
func TestBothFacesRefreshOneSession(t *testing.T) {
	h := newHarness(t)
	token := h.signedIn().RefreshToken
	for range 3 {
		oauth := h.oauthRefresh(token)
		oauth.want(t, 200, "", "")
		if oauth.TokenType != "Bearer" || oauth.Scope != "read write" || oauth.AccessToken == "" {
			t.Errorf("the answer is %s", oauth.text)
		}
		if me := h.call("GET", "/auth/me", oauth.AccessToken); me.status != 200 || me.ClientID != "tandem" {
			t.Errorf("with its access token: %d, client %s", me.status, me.ClientID)
		}
		own := h.refresh(oauth.RefreshToken)
		own.want(t, 200, "", "")
		token = own.RefreshToken
	}
}

// A retry is forgiven here, too; reuse ends the session; and what is late is no 4xx, which
// an OAuth client would take for the end.
func TestTheDecisionsOnTheOAuthFace(t *testing.T) {
	h := newHarness(t)
	first := h.signedIn().RefreshToken
	h.oauthRefresh(first).want(t, 200, "", "")
	second := h.oauthRefresh(first)
	second.want(t, 200, "", "")
	third := h.oauthRefresh(second.RefreshToken)
	third.want(t, 200, "", "")
	h.oauthRefresh(third.RefreshToken).want(t, 200, "", "")

	late := h.oauthRefresh(second.RefreshToken)
	late.want(t, 503, "temporarily_unavailable", "stale_refresh_token")
	if late.header.Get("Retry-After") == "" {
		t.Error("it does not say when to try again")
	}
	h.oauthRefresh(third.RefreshToken).want(t, 200, "", "")
	h.advance(server.DefaultLeeway + time.Second)
	h.oauthRefresh(second.RefreshToken).want(t, 400, "invalid_grant", "reuse_detected")
	h.oauthRefresh(third.RefreshToken).want(t, 400, "invalid_grant", "reuse_detected")
	h.oauthRefresh("x").want(t, 400, "invalid_grant", "malformed")
}

func TestHowAClientSaysWhoItIs(t *testing.T) {
	h := newHarness(t, someClients)
	token := h.signedIn().RefreshToken
	refresh := []string{"grant_type", "refresh_token", "refresh_token", token}
	for name, c := range map[string]struct {
		header http.Header
		form   []string
		status int
		code   string
		client string
	}{
		"nobody":                     {nil, nil, 200, "", "tandem"},
		"the public client":          {nil, []string{"client_id", "tandem"}, 200, "", "tandem"},
		"another public one":         {nil, []string{"client_id", "phone"}, 200, "", "phone"},
		"by Basic":                   {basic("backend", secret), nil, 200, "", "backend"},
		"by Basic, named twice":      {basic("backend", secret), []string{"client_id", "backend"}, 200, "", "backend"},
		"by the form":                {nil, []string{"client_id", "backend", "client_secret", secret}, 200, "", "backend"},
		"without its secret":         {nil, []string{"client_id", "backend"}, 401, "invalid_client", ""},
		"with a wrong secret":        {nil, []string{"client_id", "backend", "client_secret", secret + "x"}, 401, "invalid_client", ""},
		"with a wrong secret, Basic": {basic("backend", "x"), nil, 401, "invalid_client", ""},
		"a stranger":                 {basic("stranger", secret), nil, 401, "invalid_client", ""},
		"a public one with a secret": {nil, []string{"client_id", "phone", "client_secret", "x"}, 401, "invalid_client", ""},
		"in two ways":                {basic("backend", secret), []string{"client_id", "backend", "client_secret", secret}, 400, "invalid_request", ""},
		"as two":                     {basic("backend", secret), []string{"client_id", "shop"}, 400, "invalid_request", ""},
		"by something else":          {http.Header{"Authorization": {"Bearer x"}}, nil, 401, "invalid_client", ""},
		"while the registry is away": {nil, []string{"client_id", "away"}, 503, "temporarily_unavailable", ""},
		"with two headers":           {http.Header{"Authorization": {"Basic YTpi", "Basic YTpi"}}, nil, 401, "invalid_client", ""},
		"with what is no base64":     {http.Header{"Authorization": {"Basic %"}}, nil, 401, "invalid_client", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := h.post("/oauth/token", c.header, append(c.form, refresh...)...)
			got.want(t, c.status, c.code, "")
			if isBasic := strings.HasPrefix(c.header.Get("Authorization"), ""); c.status == 401 && (got.header.Get("WWW-Authenticate") != "") != (isBasic && c.header != nil) {
				t.Errorf("the challenge is %q", got.header.Get("WWW-Authenticate"))
			}
			if c.status == 200 {
				if me := h.call("GET", "/auth/me", got.AccessToken); me.ClientID != c.client {
					t.Errorf("the token is the client %q's", me.ClientID)
				}
			}
		})
	}
}

func TestWhatTheTokenEndpointRefuses(t *testing.T) {
	h := newHarness(t, someClients)
	token := h.signedIn().RefreshToken
	good := encode("grant_type", "refresh_token", "refresh_token", token)
	for name, c := range map[string]struct {
		body, contentType string
		status            int
		code              string
	}{
		"JSON":                 {`{"grant_type":"refresh_token"}`, "application/json", 400, "invalid_request"},
		"no type":              {good, "", 400, "invalid_request"},
		"nothing":              {"", formType, 400, "invalid_request"},
		"no grant type":        {"refresh_token=x", formType, 400, "invalid_request"},
		"another grant type":   {"grant_type=password&username=alice&password=wonderland", formType, 400, "unsupported_grant_type"},
		"no token":             {"grant_type=refresh_token", formType, 400, "invalid_request"},
		"an empty token":       {"grant_type=refresh_token&refresh_token=", formType, 400, "invalid_request"},
		"a parameter twice":    {good + "&grant_type=refresh_token", formType, 400, "invalid_request"},
		"an unknown one twice": {good + "&x=1&x=2", formType, 400, "invalid_request"},
		"a bad escape":         {good + "&x=%zz", formType, 400, "invalid_request"},
		"a semicolon":          {good + ";x=1", formType, 400, "invalid_request"},
		"no UTF-8":             {good + "&x=%ff", formType, 400, "invalid_request"},
		"a NUL":                {good + "&client_id=%00", formType, 400, "invalid_request"},
		"a scope too many":     {good + "&scope=read+delete", formType, 400, "invalid_scope"},
		"another API":          {good + "&resource=" + url.QueryEscape(shopAPI), formType, 400, "invalid_target"},
		"two APIs":             {good + "&resource=a&resource=b", formType, 400, "invalid_target"},
		"a huge body":          {good + "&x=" + strings.Repeat("a", 65<<10), formType, 413, "request_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			h.postForm("/oauth/token", http.Header{"Content-Type": {c.contentType}}, c.body).want(t, c.status, c.code, "")
		})
	}
	h.oauthRefresh(token).want(t, 200, "", "") // nothing of that has harmed the session
}

// A client may ask for less than the session has, and for a token for another API.
func TestANarrowerTokenForAnotherAPI(t *testing.T) {
	h := newHarness(t, someClients)
	token := h.signedIn().RefreshToken
	narrow := h.post("/oauth/token", basic("backend", secret),
		"grant_type", "refresh_token", "refresh_token", token, "scope", "read", "resource", shopAPI)
	narrow.want(t, 200, "", "")
	if narrow.Scope != "read" {
		t.Errorf("the scope is %q", narrow.Scope)
	}
	h.call("GET", "/auth/me", narrow.AccessToken).want(t, 401, "invalid_token", "") // it is for the shop
	seen := h.post("/oauth/introspect", basic("shop", secret), "token", narrow.AccessToken)
	if !seen.Active || seen.Audience != shopAPI || seen.Scope != "read" || seen.ClientID != "backend" || seen.Subject != "u-1" {
		t.Errorf("the shop is told %s", seen.text)
	}
	if wide := h.oauthRefresh(narrow.RefreshToken); wide.Scope != "read write" {
		t.Errorf("the session has the scope %q left", wide.Scope)
	}
}

func TestRevokingAToken(t *testing.T) {
	for name, which := range map[string]func(answer) string{
		"the refresh token": func(a answer) string { return a.RefreshToken },
		"the access token":  func(a answer) string { return a.AccessToken },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, someClients)
			pair, other := h.signedIn(), h.signedIn()
			for range 2 { // the second time, it is revoked already
				h.post("/oauth/revoke", nil, "token", which(pair), "token_type_hint", "whatever").want(t, 200, "", "")
			}
			h.oauthRefresh(pair.RefreshToken).want(t, 400, "invalid_grant", "signed_out")
			h.oauthRefresh(other.RefreshToken).want(t, 200, "", "")
			h.post("/oauth/revoke", nil, "token", "x").want(t, 200, "", "")
			h.post("/oauth/revoke", nil).want(t, 400, "invalid_request", "")
			h.post("/oauth/revoke", basic("backend", "x"), "token", "x").want(t, 401, "invalid_client", "")
		})
	}
}

// An API learns whether a token is good now. Asking uses nothing up.
func TestIntrospection(t *testing.T) {
	h := newHarness(t, someClients)
	pair := h.signedIn()
	ask := func(token string) oauthAnswer {
		t.Helper()
		got := h.post("/oauth/introspect", basic("shop", secret), "token", token)
		got.want(t, 200, "", "")
		return got
	}
	for range 2 {
		for _, token := range []string{pair.AccessToken, pair.RefreshToken} {
			if got := ask(token); !got.Active || got.Subject != "u-1" {
				t.Errorf("a good token: %s", got.text)
			}
		}
	}
	if got := ask("x"); got.text != `{"active":false}`+"\n" && got.text != `{"active":false}` {
		t.Errorf("what is no token: %s", got.text)
	}
	next := h.oauthRefresh(pair.RefreshToken)
	h.oauthRefresh(next.RefreshToken).want(t, 200, "", "")
	if got := ask(pair.RefreshToken); got.Active {
		t.Errorf("a token that is used up: %s", got.text)
	}
	if got := ask(pair.AccessToken); !got.Active {
		t.Errorf("the first access token: %s", got.text)
	}
	h.post("/oauth/revoke", nil, "token", next.RefreshToken).want(t, 200, "", "")
	for _, token := range []string{pair.AccessToken, next.RefreshToken} {
		if got := ask(token); got.Active {
			t.Errorf("after the end: %s", got.text)
		}
	}
	for name, header := range map[string]http.Header{"a back end": basic("backend", secret), "a public client": nil} {
		h.post("/oauth/introspect", header, "token", pair.AccessToken).want(t, 403, "unauthorized_client", "")
		_ = name
	}
}

func TestTheServerDescribesItself(t *testing.T) {
	for at, paths := range map[string][]string{
		issuer:                     {"/.well-known/oauth-authorization-server"},
		"https://example.com/auth": {"/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/auth"},
	} {
		h := newHarness(t, func(c *server.Config) { c.Issuer = at })
		for _, path := range paths {
			got := h.send(request{method: "GET", path: path})
			var metadata map[string]any
			if err := json.Unmarshal([]byte(got.text), &metadata); err != nil {
				t.Fatal(err)
			}
			if metadata["issuer"] != at || metadata["token_endpoint"] != at+"/oauth/token" || metadata["jwks_uri"] != at+"/.well-known/jwks.json" {
				t.Errorf("%s says %s", path, got.text)
			}
		}
	}
}

// golang.org/x/oauth2 refreshes at the endpoint, with each way to say who it is.
func TestXOAuth2Refreshes(t *testing.T) {
	h := newHarness(t, someClients)
	for name, config := range map[string]oauth2.Config{
		"public":        {Endpoint: oauth2.Endpoint{AuthStyle: oauth2.AuthStyleInParams}},
		"in the header": {ClientID: "backend", ClientSecret: secret, Endpoint: oauth2.Endpoint{AuthStyle: oauth2.AuthStyleInHeader}},
		"in the form":   {ClientID: "backend", ClientSecret: secret, Endpoint: oauth2.Endpoint{AuthStyle: oauth2.AuthStyleInParams}},
		"by trial":      {ClientID: "backend", ClientSecret: secret},
	} {
		t.Run(name, func(t *testing.T) {
			config.Endpoint.TokenURL = issuer + "/oauth/token"
			ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: inproc.Transport{Handler: h.server}})
			token := &oauth2.Token{RefreshToken: h.signedIn().RefreshToken, Expiry: time.Now().Add(-time.Hour)}
			for range 3 {
				next, err := config.TokenSource(ctx, token).Token()
				if err != nil {
					t.Fatal(err)
				}
				h.call("GET", "/auth/me", next.AccessToken).want(t, 200, "", "")
				next.Expiry = time.Now().Add(-time.Hour)
				token = next
			}
		})
	}
}

// Whatever is sent to an endpoint, the answer is one of the RFCs'.
func FuzzOAuth(f *testing.F) {
	h := newHarness(f, someClients)
	token := h.signedIn().RefreshToken
	for _, body := range []string{
		encode("grant_type", "refresh_token", "refresh_token", token, "scope", "read", "resource", shopAPI),
		encode("token", token, "token_type_hint", "x", "client_id", "shop", "client_secret", secret),
		"a=b&a=c", "%", "=", "&&&", ";", "grant_type=refresh_token&refresh_token=%00", strings.Repeat("a=b&", 1000),
	} {
		for _, path := range []string{"token", "revoke", "introspect"} {
			f.Add(path, "", body)
			f.Add(path, basic("shop", secret).Get("Authorization"), body)
		}
	}
	known := map[string]bool{
		"": true, "invalid_request": true, "invalid_client": true, "invalid_grant": true, "invalid_scope": true, "invalid_target": true,
		"unsupported_grant_type": true, "unauthorized_client": true, "request_too_large": true, "temporarily_unavailable": true,
	}
	f.Fuzz(func(t *testing.T, path, authorization, body string) {
		if path != "token" && path != "revoke" && path != "introspect" || strings.Contains(body, "away") {
			t.Skip()
		}
		h.t = t
		header := http.Header{}
		if authorization != "" {
			header.Set("Authorization", authorization)
		}
		got := h.postForm("/oauth/"+path, header, body)
		if !known[got.Error] || got.status >= 500 && got.status != 503 {
			t.Errorf("%s answers %d, %s", path, got.status, got.text)
		}
	})
}

// BenchmarkFaces measures a refresh at the JSON endpoint and at that of OAuth 2.
func BenchmarkFaces(b *testing.B) {
	for _, face := range []string{"JSON", "OAuth"} {
		b.Run(face, func(b *testing.B) {
			h := newHarness(b, func(c *server.Config) { c.Now = nil; c.OnEvent = nil })
			token := h.signIn("alice", "wonderland").RefreshToken
			b.ReportAllocs()
			for b.Loop() {
				path, contentType, body := "/auth/refresh-token", "application/json", fmt.Sprintf(`{"refreshToken":%q}`, token)
				if face == "OAuth" {
					path, contentType, body = "/oauth/token", formType, "grant_type=refresh_token&refresh_token="+token
				}
				r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
				r.Header.Set("Content-Type", contentType)
				w := httptest.NewRecorder()
				h.server.ServeHTTP(w, r)
				var answer struct{ RefreshToken, Refresh_token string } //nolint:revive // the other face's name
				if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK {
					b.Fatalf("%d, %v", w.Code, err)
				}
				token = answer.RefreshToken + answer.Refresh_token
			}
		})
	}
}
