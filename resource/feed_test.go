package resource_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/accesstoken"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/resource"
	"github.com/tandem-auth/tandem/server"
)

// following returns a server over real connections, which listens at its address again
// when it is started anew, and a guard that follows its feed.
func following(t *testing.T, change func(*resource.Feed)) (*askedServer, *atomic.Bool, *resource.Guard) {
	t.Helper()
	s := &askedServer{Server: testserver.New(t, func(c *server.Config) { c.Clients, c.AccessTTL = shop{}, time.Hour })}
	var isAway atomic.Bool
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isAway.Load() {
			panic(http.ErrAbortHandler)
		}
		s.ServeHTTP(w, r)
	}))
	feed := &resource.Feed{ClientID: "shop", Secret: shopSecret, URLs: []string{listener.URL + "/oauth/ended"}}
	if change != nil {
		change(feed)
	}
	client := &http.Client{Transport: &http.Transport{}}
	g, err := resource.New(resource.Config{
		Issuer: testserver.URL, KeySetURL: listener.URL + "/.well-known/jwks.json", Feed: feed, Client: client,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		client.CloseIdleConnections()
		listener.CloseClientConnections()
		listener.Close()
	})
	return s, &isAway, g
}

// until waits until a condition holds.
func until(t *testing.T, what string, holds func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for tick := time.NewTicker(10 * time.Millisecond); !holds(); <-tick.C {
		if time.Since(began) > time.Minute {
			t.Fatalf("%s: not within a minute", what)
		}
	}
	return time.Since(began)
}

// A session that is signed out is refused at once, though its token is in the cache; all
// sessions of a user, too; and no other.
func TestAGuardThatFollows(t *testing.T) {
	s, _, g := following(t, nil)
	until(t, "the guard follows", func() bool { return g.FeedAge() < 5*time.Second })
	var tokens []string
	var first string
	for n := range 3 {
		pair := s.post(t, testserver.Login, `{"username":"ann","password":"nna"}`)
		tokens = append(tokens, pair.AccessToken)
		if n == 0 {
			first = pair.RefreshToken
		}
	}
	bob := s.post(t, testserver.Login, `{"username":"bob","password":"bbo"}`).AccessToken
	isGood := func(token string) bool {
		_, err := g.Verify(t.Context(), token)
		return err == nil
	}
	for _, token := range append(tokens, bob) {
		if !isGood(token) {
			t.Error("a token of a session that lives is refused")
		}
	}
	s.post(t, testserver.Logout, `{"refreshToken":"`+first+`"}`)
	t.Logf("refused after %v", until(t, "the sign-out is heard of", func() bool { return !isGood(tokens[0]) }))
	if !isGood(tokens[1]) || !isGood(bob) {
		t.Error("another session is refused")
	}
	for range 30 { // so many that the feed tells of all at once
		tokens = append(tokens, s.post(t, testserver.Login, `{"username":"ann","password":"nna"}`).AccessToken)
	}
	if err := s.EndSubject(t.Context(), "user-ann"); err != nil {
		t.Fatal(err)
	}
	until(t, "the ends are heard of", func() bool { return !slices.ContainsFunc(tokens, isGood) })
	if !isGood(bob) {
		t.Error("another user is refused")
	}
}

// What ended while the guard was cut off is heard of afterwards.
func TestAGuardThatWasCutOff(t *testing.T) {
	s, isAway, g := following(t, nil)
	until(t, "the guard follows", func() bool { return g.FeedAge() < 5*time.Second })
	pair := s.post(t, testserver.Login, `{"username":"ann","password":"nna"}`)
	if _, err := g.Verify(t.Context(), pair.AccessToken); err != nil {
		t.Fatal(err)
	}
	isAway.Store(true)
	s.Drain() // which sends the followers away
	s.post(t, testserver.Logout, `{"refreshToken":"`+pair.RefreshToken+`"}`)
	isAway.Store(false)
	until(t, "the end is heard of", func() bool {
		_, err := g.Verify(t.Context(), pair.AccessToken)
		return statusOf(err) == http.StatusUnauthorized
	})
}

// A guard that has never caught up, or whose knowledge is too old, does what the API has
// chosen.
func TestAGuardThatKnowsTooLittle(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		s, _, g := following(t, func(f *resource.Feed) { f.Secret, f.RefuseIfOld = "wrong", refuse })
		pair := s.post(t, testserver.Login, `{"username":"ann","password":"nna"}`)
		_, err := g.Verify(t.Context(), pair.AccessToken)
		if refuse && statusOf(err) != http.StatusServiceUnavailable || !refuse && err != nil {
			t.Errorf("refuse %t: %v", refuse, err)
		}
	}
	for _, f := range []resource.Feed{{}, {ClientID: "shop"}, {ClientID: "shop", Secret: "x", URLs: []string{"x"}}, {ClientID: "shop", Secret: "x", MaxAge: -1}} {
		if _, err := resource.New(resource.Config{Issuer: testserver.URL, Feed: &f}); err == nil || !strings.Contains(err.Error(), "Config.Feed") {
			t.Errorf("%v", err)
		}
	}
}

// Whatever a feed says, a guard takes it up or reports an error.
func FuzzFeed(f *testing.F) {
	i := newIssuer(f, accesstoken.EdDSA)
	g := i.guard(func(c *resource.Config) {
		c.Feed = &resource.Feed{ClientID: "shop", Secret: "x", URLs: []string{i.url + "/oauth/ended"}}
	})
	if err := g.Close(); err != nil { // its own goroutine uses the same state
		f.Fatal(err)
	}
	for _, data := range []string{
		"", "{}", "null", `{"sub_id":{"session":{"id":"01020300000000000000000000000000"}},"access_exp":9999999999}`,
		`{"sub_id":{"format":"iss_sub","sub":"ann"},"issued_before":1,"access_exp":-1}`, `{"sub_id":[]}`, `{"access_exp":1e99}`,
	} {
		f.Add("session-revoked", "", data)
		f.Add("up-to", "1795716380000", data)
	}
	f.Fuzz(func(t *testing.T, event, id, data string) {
		_ = g.Note(event, id, data)
		if age := g.FeedAge(); age < 0 {
			t.Errorf("after %s %q %q the guard's knowledge is %v old", event, id, data, age)
		}
	})
}
