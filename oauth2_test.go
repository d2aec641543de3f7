package tandem_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/rotation"
)

// Any OAuth 2.0 server will do, in whichever of the usual ways the client says who it
// is, even if each refresh token is good for one use.
func TestAnyOAuth2Server(t *testing.T) {
	for name, c := range map[string]struct {
		change            func(*tandem.OAuth2Config)
		basic, id, secret string
	}{
		"a public client":               {func(*tandem.OAuth2Config) {}, ":", "web app", ""},
		"a secret, by default as Basic": {func(c *tandem.OAuth2Config) { c.ClientSecret = "s&s" }, "web+app:s%26s", "", ""},
		"a secret in the form": {func(c *tandem.OAuth2Config) {
			c.ClientSecret, c.ClientAuth = "s&s", tandem.ClientSecretPost
		}, ":", "web app", "s&s"},
	} {
		t.Run(name, func(t *testing.T) {
			withTextbook(t, func(cl *client) {
				for range 3 {
					cl.order(cl.session, http.StatusOK)
					cl.expire()
				}
				if n := cl.server.refreshes(); n != 2 {
					t.Errorf("%d refreshes, want 2", n)
				}
				want := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"refresh-2"}, "scope": {"orders"}}
				if c.id != "" {
					want.Set("client_id", c.id)
				}
				if c.secret != "" {
					want.Set("client_secret", c.secret)
				}
				if got := cl.server.form; got.Encode() != want.Encode() || cl.server.basic != c.basic {
					t.Errorf("the server got the form %v and Basic %q, want %v and %q", got, cl.server.basic, want, c.basic)
				}
			}, c.change, func(c *tandem.OAuth2Config) { c.Params = url.Values{"scope": {"orders"}} })
		})
	}
}

// A reply without a new refresh token means that the old one stays good. What one
// session of a store has fetched the others use all the same.
func TestARefreshTokenThatStaysTheSame(t *testing.T) {
	withTextbook(t, func(c *client) {
		c.server.change = func(answer map[string]any) {
			delete(answer, "refresh_token")
			c.server.current = "refresh-1"
		}
		other := c.open()
		for i := range 3 {
			c.expire()
			c.order(c.session, http.StatusOK)
			c.order(other, http.StatusOK)
			if n := c.server.refreshes(); n != i+1 {
				t.Fatalf("%d refreshes, want %d", n, i+1)
			}
		}
	})
}

// An endpoint that does not say how long the access token is good for is asked again
// once the API has refused it.
func TestALifeThatIsNotTold(t *testing.T) {
	withTextbook(t, func(c *client) {
		c.server.change = func(answer map[string]any) { delete(answer, "expires_in") }
		c.expire()
		c.order(c.session, http.StatusOK)
		time.Sleep(365 * 24 * time.Hour)
		c.order(c.session, http.StatusOK)
		if n := c.server.refreshes(); n != 1 {
			t.Errorf("%d refreshes, want 1", n)
		}
		c.server.access = "another"
		c.order(c.session, http.StatusOK)
		if n := c.server.refreshes(); n != 2 {
			t.Errorf("%d refreshes after the refusal, want 2", n)
		}
	})
}

// Only invalid_grant is the end, and what the program says is. The program can tell what
// the server has said, whether that is the end or not.
func TestWhatOtherServersMeanByNo(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		code   string
		ends   bool
	}{
		"the grant is no good":                      {http.StatusBadRequest, "invalid_grant", true},
		"the same, with another status":             {http.StatusUnauthorized, "invalid_grant", true},
		"the same, with status 200":                 {http.StatusOK, "invalid_grant", true},
		"GitHub's word for it":                      {http.StatusOK, "bad_refresh_token", true},
		"the same word, elsewhere":                  {http.StatusBadRequest, "bad_refresh_token", false},
		"a server that has a bad day":               {http.StatusServiceUnavailable, "invalid_grant", false},
		"something in between":                      {http.StatusFound, "invalid_grant", false},
		"a client that is not known":                {http.StatusUnauthorized, "invalid_client", false},
		"a client that may not refresh":             {http.StatusBadRequest, "unauthorized_client", false},
		"a request that is wrong":                   {http.StatusBadRequest, "invalid_request", false},
		"a scope that is too wide":                  {http.StatusBadRequest, "invalid_scope", false},
		"a user who must do something":              {http.StatusBadRequest, "consent_required", false},
		"what the program calls the end":            {http.StatusBadRequest, "interaction_required", true},
		"the same, with another status than 400":    {http.StatusOK, "interaction_required", true},
		"the same, of a server that has a bad day":  {http.StatusServiceUnavailable, "interaction_required", false},
		"the same, of a server that is busy":        {http.StatusTooManyRequests, "interaction_required", false},
		"a server that is busy":                     {http.StatusTooManyRequests, "slow_down", false},
		"a server that is away, and names no error": {http.StatusServiceUnavailable, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			withTextbook(t, func(cl *client) {
				cl.server.status, cl.server.code = c.status, c.code
				cl.expire()
				_, err := get(cl.session.Client(), ordersURL)
				ended, isEnd := errors.AsType[*tandem.EndedError](err)
				_, isTemporary := errors.AsType[*tandem.TemporaryError](err)
				if isEnd != c.ends || isTemporary == c.ends {
					t.Fatalf("got %v; is it the end? want %t", err, c.ends)
				}
				if said, ok := errors.AsType[*tandem.ServerError](err); !ok || said.Status != c.status || said.Code != c.code {
					t.Errorf("the server has said %v, want %d and the code %q", said, c.status, c.code)
				}
				if isEnd && (ended.Reason != rotation.Unknown || !strings.Contains(err.Error(), c.code)) {
					t.Errorf("ended for the reason %s: %v", ended.Reason, err)
				}
				cl.server.status = 0
				if !c.ends {
					time.Sleep(time.Minute)
					cl.order(cl.session, http.StatusOK)
				}
			}, func(o *tandem.OAuth2Config) { o.EndCodes = []string{"interaction_required"} })
		})
	}
}

// A refresh token that is good for one use is kept before anything else is looked at:
// there is no second one.
func TestANewRefreshTokenIsKeptWhateverElseIsWrong(t *testing.T) {
	for name, change := range map[string]func(map[string]any){
		"no access token":      func(a map[string]any) { delete(a, "access_token") },
		"another kind of it":   func(a map[string]any) { a["token_type"] = "mac" },
		"one that is no text":  func(a map[string]any) { a["access_token"] = 7 },
		"one with a line feed": func(a map[string]any) { a["access_token"] = "a\nb" },
	} {
		t.Run(name, func(t *testing.T) {
			withTextbook(t, func(c *client) {
				c.server.change = change
				c.expire()
				_, err := get(c.session.Client(), ordersURL)
				var temporary *tandem.TemporaryError
				if !errors.As(err, &temporary) || strings.Contains(err.Error(), "refresh-") {
					t.Fatalf("got %v, want a temporary error without a token in it", err)
				}
				if _, again := get(c.session.Client(), ordersURL); again == nil || c.server.refreshes() != 1 {
					t.Errorf("then %v after %d refreshes: want the same error, and no other refresh", again, c.server.refreshes())
				}
				c.server.change = nil
				time.Sleep(time.Minute)
				c.order(c.session, http.StatusOK)
				if got := strings.Join(c.server.used, " "); got != "refresh-1 refresh-2" {
					t.Errorf("the server was given %s", got)
				}
			})
		})
	}
}

// Every refresh token makes the pair one revision newer, one that comes beside an error
// too; how long it is good for is the server's word of this time, not of the last.
func TestThePairThatAGrantMakes(t *testing.T) {
	withTextbook(t, func(c *client) {
		signedIn, _ := c.store.Load(t.Context())
		if signedIn.Issuer != "http://oauth2.test/token" || signedIn.Revision != 1 || !signedIn.RefreshExpiresAt.IsZero() {
			t.Errorf("signed in at %q with revision %d, refresh token until %v", signedIn.Issuer, signedIn.Revision, signedIn.RefreshExpiresAt)
		}
		for i, step := range []struct {
			change func(map[string]any)
			access string
			life   time.Duration
		}{
			{func(a map[string]any) { a["refresh_expires_in"] = 600 }, "access-2", 10 * time.Minute},
			{func(a map[string]any) { a["refresh_token_expires_in"] = 900; delete(a, "access_token") }, "access-2", 15 * time.Minute},
			{func(map[string]any) {}, "access-4", 0},
		} {
			c.expire()
			c.server.change = step.change
			before := time.Now()
			_, err := get(c.session.Client(), ordersURL)
			got, _ := c.store.Load(t.Context())
			want := signedIn
			want.Revision, want.AccessToken, want.RefreshToken = uint64(i+2), step.access, fmt.Sprintf("refresh-%d", i+2)
			want.ReceivedAt, want.ExpiresAt = got.ReceivedAt, got.ExpiresAt
			if step.life != 0 {
				want.RefreshExpiresAt = before.Add(step.life)
			}
			if !got.RefreshExpiresAt.Equal(want.RefreshExpiresAt) {
				t.Errorf("step %d (%v): refresh token until %v, want %v", i, err, got.RefreshExpiresAt, want.RefreshExpiresAt)
			}
			got.RefreshExpiresAt = want.RefreshExpiresAt
			if got != want {
				t.Errorf("step %d (%v): revision %d of %q, %v; want %d of %q, %v", i, err, got.Revision, got.Issuer, got, want.Revision, want.Issuer, want)
			}
		}
	})
}

// RFC 6749 appendix A.17 allows a refresh token to have spaces in it.
func TestARefreshTokenWithASpace(t *testing.T) {
	withTextbook(t, func(c *client) {
		c.server.change = func(answer map[string]any) {
			c.server.current += " and more"
			answer["refresh_token"] = c.server.current
		}
		for range 3 {
			c.expire()
			c.order(c.session, http.StatusOK)
		}
		if n := c.server.refreshes(); n != 3 {
			t.Errorf("%d refreshes, want 3", n)
		}
	})
}

// A refresher in front of a Tandem server says that a token is stale: the session lives.
func TestARefresherThatSaysStale(t *testing.T) {
	withTextbook(t, func(c *client) {
		calls := 0
		s := c.openWith(tandem.RefresherFunc(func(context.Context, tandem.Pair) (tandem.Grant, error) {
			calls++
			return tandem.Grant{}, fmt.Errorf("proxy: %w", tandem.ErrStale)
		}))
		c.expire()
		_, err := get(s.Client(), ordersURL)
		if _, ok := errors.AsType[*tandem.TemporaryError](err); !ok || !errors.Is(err, tandem.ErrStale) || calls != 1 {
			t.Errorf("got %v after %d refreshes, want a temporary error that says stale after one", err, calls)
		}
	})
}

// Closing the session while a refresh is under way waits for it: the server has spent
// the old token by then.
func TestCloseKeepsWhatARefreshUnderWayBrings(t *testing.T) {
	withTextbook(t, func(c *client) {
		c.server.hold = make(chan struct{})
		c.expire()
		var calls sync.WaitGroup
		calls.Go(func() { _, _ = get(c.session.Client(), ordersURL) })
		synctest.Wait()
		calls.Go(func() { c.session.Close() })
		synctest.Wait()
		close(c.server.hold)
		calls.Wait()
		c.server.hold = nil

		c.order(c.open(), http.StatusOK)
		if got := strings.Join(c.server.used, " "); got != "refresh-1" {
			t.Errorf("the server was given %s", got)
		}
	})
}

// Signing out revokes the refresh token where the server has an endpoint for that.
func TestSignOutOfAnotherServer(t *testing.T) {
	for name, c := range map[string]struct{ url, revoked string }{
		"with an endpoint for it": {revokeURL, "refresh-1"},
		"without":                 {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			withTextbook(t, func(cl *client) {
				if err := cl.session.SignOut(cl.Context()); err != nil {
					t.Fatal(err)
				}
				if got := strings.Join(cl.server.revoked, " "); got != c.revoked {
					t.Errorf("revoked: %q, want %q", got, c.revoked)
				}
				if _, err := get(cl.session.Client(), ordersURL); err == nil {
					t.Error("signed out, and yet the API was called")
				}
			}, func(o *tandem.OAuth2Config) { o.RevocationURL = c.url })
		})
	}
}

// A refresher that has nothing better than the token that was refused makes no loop.
func TestTheSameAccessTokenAgain(t *testing.T) {
	withTextbook(t, func(c *client) {
		calls := 0
		s := c.openWith(tandem.RefresherFunc(func(context.Context, tandem.Pair) (tandem.Grant, error) {
			calls++
			return tandem.Grant{AccessToken: "same", ExpiresIn: time.Hour}, nil
		}))
		for i := range 3 {
			c.expire()
			c.order(s, http.StatusUnauthorized)
			c.order(s, http.StatusUnauthorized)
			if calls != i+1 {
				t.Errorf("%d refreshes, want %d", calls, i+1)
			}
		}
	})
}

// A function can be a refresher, and say when it wants to be called again.
func TestARefresherThatAsksForTime(t *testing.T) {
	withTextbook(t, func(c *client) {
		calls := 0
		s := c.openWith(tandem.RefresherFunc(func(context.Context, tandem.Pair) (tandem.Grant, error) {
			calls++
			return tandem.Grant{}, &tandem.TemporaryError{RetryAt: time.Now().Add(time.Hour)}
		}))
		c.expire()
		for range 3 {
			_, err := get(s.Client(), ordersURL)
			if _, ok := errors.AsType[*tandem.TemporaryError](err); !ok {
				t.Fatalf("got %v, want a temporary error", err)
			}
			time.Sleep(25 * time.Minute)
		}
		if calls != 1 {
			t.Errorf("called %d times within the hour, want once", calls)
		}
	})
}

// What is wrong with the settings is said by their names, and never with a secret.
func TestNewOAuth2NamesTheFieldThatIsWrong(t *testing.T) {
	good := tandem.OAuth2Config{TokenURL: tokenURL, ClientID: "app"}
	for field, change := range map[string]func(*tandem.OAuth2Config){
		"TokenURL: ":      func(c *tandem.OAuth2Config) { c.TokenURL = "/token" },
		"RevocationURL: ": func(c *tandem.OAuth2Config) { c.RevocationURL = "https://ann:hunter2@h/" },
		"ClientID: ":      func(c *tandem.OAuth2Config) { c.ClientID = "" },
		"ClientSecret: ":  func(c *tandem.OAuth2Config) { c.ClientAuth = tandem.ClientSecretPost },
		"ClientAuth: ":    func(c *tandem.OAuth2Config) { c.ClientAuth = "hunter2_probe" },
		"EndCodes: ":      func(c *tandem.OAuth2Config) { c.EndCodes = []string{"login_required", ""} },
		`"none" sends no`: func(c *tandem.OAuth2Config) { c.ClientAuth, c.ClientSecret = tandem.ClientNone, "hunter2" },
	} {
		config := good
		change(&config)
		if _, err := tandem.NewOAuth2(config); err == nil || !strings.Contains(err.Error(), field) || strings.Contains(err.Error(), ":hunter2") {
			t.Errorf("%s got %v", field, err)
		}
	}
	config := good
	config.ClientSecret = "hunter2"
	o, err := tandem.NewOAuth2(config)
	if err != nil {
		t.Fatal(err)
	}
	if printed := fmt.Sprintf("%v %+v %#v", o, o, o); strings.Contains(printed, "hunter2") {
		t.Errorf("printed: %s", printed)
	}
	refresher := tandem.RefresherFunc(o.Refresh)
	for name, config := range map[string]tandem.Config{
		"Config.URL: it is the address": {URL: "https://h", Refresher: refresher},
		"Config.Origins: ":              {Refresher: refresher, Origins: []string{"h"}},
	} {
		if _, err := tandem.Open(t.Context(), tandem.NewMemoryStore(), config); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s got %v", name, err)
		}
	}
}

// A session is signed in at one kind of server or the other, and says so.
func TestTheWrongWayToSignIn(t *testing.T) {
	withTextbook(t, func(c *client) {
		if err := c.session.SignIn(c.Context(), "ann", "nna"); err == nil || !strings.Contains(err.Error(), "SignInWith") {
			t.Errorf("SignIn: %v", err)
		}
		for _, grant := range []tandem.Grant{
			{},
			{AccessToken: "a"},
			{RefreshToken: "r\n"},
			{AccessToken: "a b", RefreshToken: "r"},
			{AccessToken: "a", RefreshToken: "r", ExpiresIn: -1},
			{AccessToken: "a", RefreshToken: "r", ExpiresIn: time.Millisecond},
		} {
			if err := c.session.SignInWith(c.Context(), "ann", grant); err == nil {
				t.Errorf("signed in with %#v", grant)
			}
		}
		c.order(c.session, http.StatusOK)
	})
	inWorld(t, func(w *world) {
		if err := w.session.SignInWith(w.Context(), "ann", tandem.Grant{AccessToken: "a", RefreshToken: "r"}); err == nil {
			t.Error("signed in at Tandem's own server with tokens from elsewhere")
		}
		w.mustHello(w.session)
	})
}

// A program that has kept nothing but a refresh token begins with that.
func TestSigningInWithARefreshTokenAlone(t *testing.T) {
	withTextbook(t, func(c *client) {
		grant := c.server.next()
		if err := c.session.SignInWith(c.Context(), "ann", tandem.Grant{RefreshToken: grant.RefreshToken}); err != nil {
			t.Fatal(err)
		}
		c.order(c.session, http.StatusOK)
		if n := c.server.refreshes(); n != 1 {
			t.Errorf("%d refreshes, want 1", n)
		}
	})
}

// A program says of the server behind a token endpoint whether it forgives. Only there
// stale_refresh_token has a meaning.
func TestWhetherAServerForgives(t *testing.T) {
	for _, want := range []bool{false, true} {
		config := tandem.OAuth2Config{TokenURL: tokenURL, ClientID: "app", ForgivesRetry: want, Transport: tokenAnswer{
			status: http.StatusBadRequest, body: `{"error":"stale_refresh_token"}`,
		}}
		o, err := tandem.NewOAuth2(config)
		if err != nil {
			t.Fatal(err)
		}
		var forgiver tandem.Forgiver = o
		if got := forgiver.ForgivesRetry(); got != want {
			t.Errorf("forgives: %t, want %t", got, want)
		}
		if _, err := o.Refresh(t.Context(), tandem.Pair{RefreshToken: "token"}); errors.Is(err, tandem.ErrStale) != want {
			t.Errorf("forgives: %t, and stale_refresh_token is %v", want, err)
		}
	}
}

// A server repeats the Authorization header in its error.
func TestAServerThatRepeatsTheClientsPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, err := tandem.NewOAuth2(tandem.OAuth2Config{TokenURL: tokenURL, ClientID: "app", ClientSecret: "hunter2", Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
			body := fmt.Sprintf(`{"error":"invalid_client","error_description":"cannot read %s"}`, req.Header.Get("Authorization"))
			return &http.Response{StatusCode: 401, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		_, err = o.Refresh(t.Context(), tandem.Pair{RefreshToken: "rt"})
		if strings.Contains(err.Error(), base64.StdEncoding.EncodeToString([]byte("app:hunter2"))) {
			t.Error(err)
		}
	})
}
