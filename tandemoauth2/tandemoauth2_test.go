package tandemoauth2_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/tandemoauth2"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A program that uses golang.org/x/oauth2 gets the session's tokens, across every
// expiry.
func TestASessionAsATokenSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		auth := testserver.New(t)
		session, err := tandem.Open(t.Context(), tandem.NewMemoryStore(), tandem.Config{URL: testserver.URL, Transport: auth.Transport()})
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		source := tandemoauth2.TokenSource(t.Context(), session)
		if _, err := source.Token(); !errors.Is(err, tandem.ErrNotSignedIn) {
			t.Errorf("before the sign-in: %v", err)
		}
		if err := session.SignIn(t.Context(), "ann", "nna"); err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: &oauth2.Transport{Source: source, Base: auth.Transport()}}
		for range 3 {
			resp, err := client.Get(testserver.URL + testserver.Hello)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("status %d", resp.StatusCode)
			}
			time.Sleep(testserver.AccessTTL)
		}
		token, err := source.Token()
		if err != nil || !token.Valid() || token.RefreshToken != "" || time.Until(token.Expiry) > testserver.AccessTTL {
			t.Errorf("token valid %t until %s, error %v", token.Valid(), token.Expiry, err)
		}
	})
}

// A textbook is a plain OAuth 2.0 server that issues one token after another, for
// codes, refresh tokens and client credentials.
type textbook struct {
	*httptest.Server
	mu    sync.Mutex
	count int
	kinds []string
	code  string // error code to answer with; empty for none
}

func newTextbook(t *testing.T) *textbook {
	b := &textbook{}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *textbook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.URL.Path != "/token" {
		if r.Header.Get("Authorization") != fmt.Sprintf("Bearer a%d", b.count) {
			w.WriteHeader(http.StatusUnauthorized)
		}
		return
	}
	_ = r.ParseForm()
	b.kinds = append(b.kinds, r.PostForm.Get("grant_type")+" "+r.PostForm.Get("refresh_token"))
	w.Header().Set("Content-Type", "application/json")
	if b.code != "" {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":%q,"echo":"hunter2"}`, b.code)
		return
	}
	b.count++
	refresh := ""
	if r.PostForm.Get("grant_type") != "client_credentials" {
		refresh = fmt.Sprintf(`,"refresh_token":"r%d"`, b.count)
	}
	fmt.Fprintf(w, `{"access_token":"a%d","token_type":"Bearer","expires_in":3600%s}`, b.count, refresh)
}

func (b *textbook) config() *oauth2.Config {
	return &oauth2.Config{
		ClientID: "app", ClientSecret: "hunter2",
		Endpoint: oauth2.Endpoint{TokenURL: b.URL + "/token", AuthStyle: oauth2.AuthStyleInHeader},
	}
}

func order(t *testing.T, session *tandem.Session, url string) int {
	t.Helper()
	resp, err := session.Client().Get(url + "/orders")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// A token that golang.org/x/oauth2 obtained for a code becomes a session, which
// recovers from a refused token.
func TestATokenOfOAuth2AsASession(t *testing.T) {
	server := newTextbook(t)
	token, err := server.config().Exchange(t.Context(), "code")
	if err != nil {
		t.Fatal(err)
	}
	config, err := tandemoauth2.Config(server.config())
	if err != nil {
		t.Fatal(err)
	}
	refresher, err := tandem.NewOAuth2(config)
	if err != nil {
		t.Fatal(err)
	}
	session := open(t, refresher, server.URL)
	if err := session.SignInWith(t.Context(), "ann", tandemoauth2.Grant(token)); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(session.Status().ExpiresAt); left < 59*time.Minute || left > time.Hour {
		t.Errorf("the token is good for %s, want an hour", left)
	}
	server.mu.Lock()
	server.count = 7 // the server refuses all earlier tokens from now on
	server.mu.Unlock()
	if status := order(t, session, server.URL); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	if got := strings.Join(server.kinds, ", "); got != "authorization_code , refresh_token r1" {
		t.Errorf("asked for: %s", got)
	}
}

// A session begins with a refresh if the token has expired, and without one if the
// token has no expiry.
func TestGrants(t *testing.T) {
	hour := time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		token  oauth2.Token
		access string
		lives  bool
	}{
		"a fresh one":           {oauth2.Token{AccessToken: "a", RefreshToken: "r", Expiry: hour}, "a", true},
		"one that has expired":  {oauth2.Token{AccessToken: "a", RefreshToken: "r", Expiry: hour.Add(-2 * time.Hour)}, "", false},
		"one that never does":   {oauth2.Token{AccessToken: "a", RefreshToken: "r"}, "a", false},
		"one with no time left": {oauth2.Token{AccessToken: "a", RefreshToken: "r", Expiry: time.Now().Add(time.Millisecond)}, "", false},
	} {
		got := tandemoauth2.Grant(&c.token)
		if got.AccessToken != c.access || got.RefreshToken != "r" || got.ExpiresIn > 0 != c.lives {
			t.Errorf("%s: access token %q for %s", name, got.AccessToken, got.ExpiresIn)
		}
	}
}

// Config requires an explicit AuthStyle.
func TestConfigWantsTheAuthStyleNamed(t *testing.T) {
	c := &oauth2.Config{ClientID: "app", ClientSecret: "hunter2", Endpoint: oauth2.Endpoint{TokenURL: "https://h/token"}}
	for style, want := range map[oauth2.AuthStyle]tandem.ClientAuth{
		oauth2.AuthStyleAutoDetect: "",
		oauth2.AuthStyleInHeader:   tandem.ClientSecretBasic,
		oauth2.AuthStyleInParams:   tandem.ClientSecretPost,
	} {
		c.Endpoint.AuthStyle = style
		config, err := tandemoauth2.Config(c)
		if config.ClientAuth != want || (err != nil) != (want == "") {
			t.Errorf("style %d: %q, %v", style, config.ClientAuth, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "AuthStyle") || strings.Contains(err.Error(), "hunter2")) {
			t.Error(err)
		}
	}
	c.ClientSecret, c.Endpoint.AuthStyle = "", oauth2.AuthStyleAutoDetect
	if config, err := tandemoauth2.Config(c); err != nil || config.ClientAuth != tandem.ClientNone {
		t.Errorf("without a secret: %q, %v", config.ClientAuth, err)
	}
}

// Client credentials have no refresh token: the session calls the source again, and
// recovers from a refused token.
func TestASourceAsASession(t *testing.T) {
	server := newTextbook(t)
	credentials := &clientcredentials.Config{ClientID: "app", ClientSecret: "hunter2", TokenURL: server.URL + "/token", AuthStyle: oauth2.AuthStyleInHeader}
	source := tandemoauth2.FromSource(sourceFunc(func() (*oauth2.Token, error) { return credentials.Token(t.Context()) }))
	session := open(t, source, server.URL)
	if err := source.SignIn(t.Context(), session, "billing"); err != nil {
		t.Fatal(err)
	}
	server.mu.Lock()
	server.count = 7
	server.mu.Unlock()
	for range 2 {
		if status := order(t, session, server.URL); status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	}
	if got := strings.Join(server.kinds, ", "); got != "client_credentials , client_credentials " {
		t.Errorf("asked for: %s", got)
	}

	server.mu.Lock()
	server.count, server.code = 9, "invalid_client"
	server.mu.Unlock()
	var temporary *tandem.TemporaryError
	if _, err := session.Client().Get(server.URL + "/orders"); !errors.As(err, &temporary) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a client that is refused: %v", err)
	}
}

// invalid_grant ends the session, and the error shows nothing of the server's answer.
func TestASourceWhoseGrantHasEnded(t *testing.T) {
	server := newTextbook(t)
	source := tandemoauth2.FromSource(server.config().TokenSource(t.Context(), &oauth2.Token{RefreshToken: "r"}))
	server.code = "invalid_grant"
	_, err := source.Refresh(t.Context(), tandem.Pair{SessionID: "s"})
	var ended *tandem.EndedError
	if !errors.As(err, &ended) || ended.SessionID != "s" || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

// A source that hangs blocks no caller beyond its context and is not called twice; the
// next call gets its late result.
func TestASourceThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, answer := 0, make(chan struct{})
		source := tandemoauth2.FromSource(sourceFunc(func() (*oauth2.Token, error) {
			calls++
			<-answer
			return &oauth2.Token{AccessToken: "a"}, nil
		}))
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := source.Refresh(ctx, tandem.Pair{}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			cancel()
		}
		close(answer)
		if grant, err := source.Refresh(t.Context(), tandem.Pair{}); err != nil || grant.AccessToken != "a" || calls != 1 {
			t.Errorf("in the end: %v, %v after %d calls", grant, err, calls)
		}
	})
}

type sourceFunc func() (*oauth2.Token, error)

func (f sourceFunc) Token() (*oauth2.Token, error) { return f() }

func open(t *testing.T, refresher tandem.Refresher, origin string) *tandem.Session {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	session, err := tandem.Open(t.Context(), tandem.NewMemoryStore(), tandem.Config{Refresher: refresher, Origins: []string{origin}, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		session.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return session
}

// The answer of a busy server does not end the session.
func TestTooBusyIsNotTheEnd(t *testing.T) {
	source := tandemoauth2.FromSource(sourceFunc(func() (*oauth2.Token, error) {
		return nil, &oauth2.RetrieveError{Response: &http.Response{StatusCode: http.StatusServiceUnavailable}, ErrorCode: "invalid_grant"}
	}))
	_, err := source.Refresh(context.Background(), tandem.Pair{})
	if _, ended := errors.AsType[*tandem.EndedError](err); ended {
		t.Errorf("503: %v", err)
	}
}
