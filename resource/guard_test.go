package resource_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/accesstoken"
	"github.com/tandem-auth/tandem/resource"
)

// get sends a request with an Authorization header to a handler that names its user.
func get(g *resource.Guard, scopes []string, authorization ...string) *http.Response {
	handler := g.Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := resource.FromContext(r.Context())
		_, _ = w.Write([]byte(p.Username))
	}), scopes...)
	r := httptest.NewRequest(http.MethodGet, "/orders?access_token=from-the-address", nil)
	r.Header["Authorization"] = authorization
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Result()
}

func TestAHandlerLearnsWhoSentTheRequest(t *testing.T) {
	for _, alg := range []accesstoken.Algorithm{accesstoken.ES256, accesstoken.EdDSA, accesstoken.RS256} {
		i := newIssuer(t, alg)
		g := i.guard()
		for range 2 { // the second time from the cache
			p, err := g.Authenticate(&http.Request{Header: http.Header{"Authorization": {"Bearer " + i.sign()}}}, "orders:read")
			if err != nil {
				t.Fatal(err)
			}
			if p.Subject != "user-ann" || p.Username != "ann" || p.SessionID != ann.SessionID || p.ClientID != "tandem" ||
				!reflect.DeepEqual(p.Scopes, []string{"orders:read", "orders:write"}) || time.Until(p.ExpiresAt) < 59*time.Minute {
				t.Errorf("%s: the principal is %+v", alg, p)
			}
		}
	}
	if _, ok := resource.FromContext(t.Context()); ok {
		t.Error("a context without a request has a principal")
	}
}

// Each answer has the status, the challenge and the body of RFC 6750.
func TestWhatIsRefused(t *testing.T) {
	i := newIssuer(t, accesstoken.ES256)
	g := i.guard(func(c *resource.Config) { c.Resource = "https://api.example.com/orders" })
	realm := `Bearer realm="` + i.url + `"`
	metadata := `, resource_metadata="https://api.example.com/.well-known/oauth-protected-resource/orders"`
	invalid := func(description string) string {
		return realm + `, error="invalid_token", error_description="` + description + `"` + metadata
	}
	stranger := newIssuer(t, accesstoken.ES256)
	none := "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0." + strings.Split(i.sign(), ".")[1] + "."
	for name, c := range map[string]struct {
		authorization []string
		scopes        []string
		status        int
		challenge     string
	}{
		"no token":            {nil, []string{"orders:read"}, 401, realm + `, scope="orders:read"` + metadata},
		"another scheme":      {[]string{"Basic YTpi"}, nil, 401, realm + metadata},
		"two headers":         {[]string{"Bearer " + i.sign(), "Bearer " + i.sign()}, nil, 400, realm + `, error="invalid_request", error_description="the Authorization header is malformed"` + metadata},
		"what is no token":    {[]string{"Bearer a b"}, nil, 400, realm + `, error="invalid_request", error_description="the Authorization header is malformed"` + metadata},
		"malformed":           {[]string{"Bearer abc"}, nil, 401, invalid("the access token is malformed")},
		"too long":            {[]string{"Bearer " + strings.Repeat("a", 8193)}, nil, 401, invalid("the access token is too long")},
		"expired":             {[]string{"Bearer " + i.sign(func(c *accesstoken.Claims) { c.ExpiresAt = time.Now().Add(-time.Minute) })}, nil, 401, invalid("the access token has expired")},
		"for another API":     {[]string{"Bearer " + i.signAs(accesstoken.Signer{Issuer: i.url, Audience: "https://other.example"})}, nil, 401, invalid("the access token is for another API")},
		"of another issuer":   {[]string{"Bearer " + i.signAs(accesstoken.Signer{Issuer: "https://other.example", Audience: i.url})}, nil, 401, invalid("the access token is not valid")},
		"of a stranger":       {[]string{"Bearer " + stranger.sign()}, nil, 401, invalid("the access token is signed with an unknown key")},
		"without a signature": {[]string{"Bearer " + none}, nil, 401, invalid("the access token is not valid")},
		"another signature":   {[]string{"Bearer " + i.sign()[:len(i.sign())-4] + "AAAA"}, nil, 401, invalid("the access token is not valid")},
		"a scope that is not granted": {[]string{"Bearer " + i.sign()}, []string{"orders:read", "orders:delete"}, 403, realm +
			`, error="insufficient_scope", error_description="the access token lacks the scope orders:read orders:delete", scope="orders:read orders:delete"` + metadata},
	} {
		t.Run(name, func(t *testing.T) {
			resp := get(g, c.scopes, c.authorization...)
			defer resp.Body.Close()
			if resp.StatusCode != c.status || resp.Header.Get("WWW-Authenticate") != c.challenge || resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("answered with %d, %v\nwant %s", resp.StatusCode, resp.Header, c.challenge)
			}
			var body struct {
				Error       string `json:"error"`
				Description string `json:"error_description"`
			}
			if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || body.Error == "" || body.Description == "" {
				t.Errorf("the body has %+v, %v", body, err)
			}
		})
	}
}

// The cache forgets a token when it expires, however often it is used.
func TestACachedTokenExpires(t *testing.T) {
	i := newIssuer(t, accesstoken.EdDSA)
	now := time.Now()
	ahead := time.Duration(0)
	g := i.guard(func(c *resource.Config) {
		c.Now = func() time.Time { return now.Add(ahead) }
		c.Leeway = -1
	})
	token := i.sign(func(c *accesstoken.Claims) { c.ExpiresAt = now.Add(time.Minute) })
	for ; ahead <= time.Minute; ahead += 10 * time.Second {
		if _, err := g.Verify(t.Context(), token); err != nil {
			t.Fatalf("after %v: %v", ahead, err)
		}
	}
	ahead = time.Minute + time.Second // the claim has whole seconds
	if _, err := g.Verify(t.Context(), token); !errors.Is(err, accesstoken.ErrExpired) {
		t.Errorf("after %v: %v", ahead, err)
	}
}

// Two tokens of one session differ in a byte, and one of them is forged: the cache does not
// take one for the other.
func TestACacheLooksAtTheWholeToken(t *testing.T) {
	i := newIssuer(t, accesstoken.EdDSA)
	g := i.guard(func(c *resource.Config) { c.CacheSize = 1 })
	token := i.sign()
	if _, err := g.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	for at := strings.Index(token, ".") + 1; at < len(token); at++ { // behind the name of the key
		forged := token[:at] + "A" + token[at+1:]
		if forged == token {
			continue
		}
		if p, err := g.Verify(t.Context(), forged); err == nil {
			t.Fatalf("with another byte at %d, the token is that of %+v", at, p)
		}
	}
	if _, err := g.Verify(t.Context(), token); err != nil {
		t.Error(err)
	}
}

// A small cache is right for many tokens, from many goroutines.
func TestACacheThatIsTooSmall(t *testing.T) {
	i := newIssuer(t, accesstoken.EdDSA)
	g := i.guard(func(c *resource.Config) { c.CacheSize = 8 })
	var tokens []string
	for n := range 50 {
		tokens = append(tokens, i.sign(func(c *accesstoken.Claims) { c.Username = string(rune('A' + n)) }))
	}
	done := make(chan struct{})
	for range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			for round := range 40 {
				for n := range tokens {
					n = (n + round) % len(tokens)
					p, err := g.Verify(t.Context(), tokens[n])
					if err != nil || p.Username != string(rune('A'+n)) {
						t.Errorf("token %d: %+v, %v", n, p, err)
						return
					}
				}
			}
		}()
	}
	for range 8 {
		<-done
	}
}

func TestTheMetadataOfAnAPI(t *testing.T) {
	i := newIssuer(t, accesstoken.EdDSA)
	for url, path := range map[string]string{
		"https://api.example.com":         "/.well-known/oauth-protected-resource",
		"https://api.example.com/":        "/.well-known/oauth-protected-resource",
		"https://api.example.com/v1/a":    "/.well-known/oauth-protected-resource/v1/a",
		"https://api.example.com:8443/v1": "/.well-known/oauth-protected-resource/v1",
	} {
		g := i.guard(func(c *resource.Config) { c.Resource, c.Scopes = url, []string{"orders:read"} })
		mux := http.NewServeMux()
		mux.Handle(g.Metadata())
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		want := `{"resource":"` + url + `","authorization_servers":["` + i.url + `"],"bearer_methods_supported":["header"],"scopes_supported":["orders:read"]}`
		if w.Code != http.StatusOK || w.Body.String() != want {
			t.Errorf("%s: %s is answered with %d, %s", url, path, w.Code, w.Body)
		}
	}
}

func TestAConfigThatIsWrongIsNamed(t *testing.T) {
	for field, config := range map[string]resource.Config{
		"Issuer":    {},
		"Issuer ":   {Issuer: "auth.example.com"},
		"KeySetURL": {Issuer: "https://auth.example.com", KeySetURL: "keys"},
		"Resource":  {Issuer: "https://auth.example.com", Resource: "https://api.example.com#x"},
		"Scopes":    {Issuer: "https://auth.example.com", Scopes: []string{"a b"}},
	} {
		if _, err := resource.New(config); err == nil || !strings.Contains(err.Error(), "Config."+strings.TrimSpace(field)) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// Whatever a client sends, the guard answers with a status of RFC 6750.
func FuzzAuthorization(f *testing.F) {
	i := newIssuer(f, accesstoken.EdDSA)
	g := i.guard()
	good := i.sign()
	parts := strings.Split(good, ".")
	for _, s := range []string{
		"", "Bearer", "Bearer " + good, "bearer  " + good, "Bearer " + good + ".", "Bearer " + parts[0] + ".." + parts[2],
		"Bearer eyJhbGciOiJub25lIn0.e30.", "Basic YTpi", "Bearer " + parts[1] + "." + parts[0] + "." + parts[2],
		"Bearer eyJhbGciOiJIUzI1NiIsImtpZCI6IngifQ.e30.AAAA",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, authorization string) {
		if header, _, isJWT := strings.Cut(authorization, "."); isJWT && !strings.HasSuffix(header, parts[0]) {
			t.Skip("it may name another key, for which the guard waits")
		}
		p, err := g.AuthenticateHeader(t.Context(), []string{authorization})
		if err == nil {
			if p.Username != "ann" {
				t.Errorf("%q is of %+v", authorization, p)
			}
			return
		}
		e, ok := errors.AsType[*resource.RefusedError](err)
		if !ok || e.Status != 400 && e.Status != 401 {
			t.Errorf("%q: %v", authorization, err)
		}
	})
}
