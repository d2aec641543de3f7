package tandem_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/inproc"
)

const (
	oauth2URL = "http://oauth2.test"
	tokenURL  = oauth2URL + "/token"
	revokeURL = oauth2URL + "/revoke"
	ordersURL = oauth2URL + "/orders"
)

// A textbook is somebody else's OAuth 2.0 server, and an API beside it. It rotates
// strictly: a refresh token is good for one use.
type textbook struct {
	mu      sync.Mutex
	current string // the one refresh token that is good
	access  string // the one access token that is good
	count   int
	used    []string   // all refresh tokens that came in
	form    url.Values // of the latest call
	basic   string     // the client's name and secret, of the latest call
	revoked []string

	// change changes the answer to a refresh; nil leaves it as it is.
	change func(map[string]any)
	// status, if it is not 0, refuses all refreshes with an error code.
	status int
	code   string
	// hold, if it is not nil, keeps back the answers until it is closed.
	hold chan struct{}
	// onUse, if it is not nil, hears of each refresh.
	onUse func(n int)
}

func (b *textbook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch r.URL.Path {
	case "/token":
		b.token(w, r)
	case "/revoke":
		_ = r.ParseForm()
		b.revoked = append(b.revoked, r.PostForm.Get("token"))
	default:
		if r.Header.Get("Authorization") != "Bearer "+b.access {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
}

func (b *textbook) token(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	name, secret, _ := r.BasicAuth()
	b.form, b.basic = r.PostForm, name+":"+secret
	given := b.form.Get("refresh_token")
	b.used = append(b.used, given)
	if b.onUse != nil {
		b.onUse(len(b.used))
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	answer := map[string]any{}
	switch {
	case b.status != 0:
		w.WriteHeader(b.status)
		answer["error"] = b.code
	case given != b.current:
		w.WriteHeader(http.StatusBadRequest)
		answer["error"] = "invalid_grant"
	default:
		grant := b.next()
		answer["access_token"], answer["refresh_token"], answer["token_type"], answer["expires_in"] = grant.AccessToken, grant.RefreshToken, "bearer", 60
		if b.change != nil {
			b.change(answer)
		}
	}
	if b.hold != nil {
		hold := b.hold
		b.mu.Unlock()
		<-hold
		b.mu.Lock()
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// next makes the next two tokens the good ones.
func (b *textbook) next() tandem.Grant {
	b.count++
	b.access, b.current = fmt.Sprintf("access-%d", b.count), fmt.Sprintf("refresh-%d", b.count)
	return tandem.Grant{AccessToken: b.access, RefreshToken: b.current, ExpiresIn: time.Minute}
}

func (b *textbook) refreshes() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.used)
}

// A client is a session with a textbook's server.
type client struct {
	*testing.T
	server  *textbook
	store   *tandem.MemoryStore
	session *tandem.Session
	oauth2  tandem.OAuth2Config
}

// withTextbook runs a story in which ann has signed in at somebody else's server.
func withTextbook(t *testing.T, story func(c *client), changes ...func(*tandem.OAuth2Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &client{T: t, server: &textbook{}, store: tandem.NewMemoryStore()}
		c.oauth2 = tandem.OAuth2Config{TokenURL: tokenURL, ClientID: "web app", Transport: inproc.Transport{Handler: c.server}}
		for _, change := range changes {
			change(&c.oauth2)
		}
		c.session = c.open()
		if err := c.session.SignInWith(t.Context(), "ann", c.server.next()); err != nil {
			t.Fatal(err)
		}
		story(c)
		c.session.Close()
	})
}

// open opens another session on ann's store, openOn one on a store that fails, and
// openWith one with a refresher of its own.
func (c *client) open() *tandem.Session { return c.openOn(c.store) }

func (c *client) openOn(store tandem.Store) *tandem.Session {
	c.Helper()
	refresher, err := tandem.NewOAuth2(c.oauth2)
	if err != nil {
		c.Fatal(err)
	}
	return c.openSession(store, refresher)
}

func (c *client) openWith(refresher tandem.Refresher) *tandem.Session {
	c.Helper()
	return c.openSession(c.store, refresher)
}

func (c *client) openSession(store tandem.Store, refresher tandem.Refresher) *tandem.Session {
	c.Helper()
	s, err := tandem.Open(c.Context(), store, tandem.Config{
		Refresher:    refresher,
		Origins:      []string{oauth2URL},
		Transport:    c.oauth2.Transport,
		RefreshAhead: -1,
	})
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { s.Close() })
	return s
}

// order makes a call of the API, which must be answered with the status.
func (c *client) order(s *tandem.Session, want int) {
	c.Helper()
	if status, err := get(s.Client(), ordersURL); err != nil || status != want {
		c.Fatalf("status %d, error %v; want %d", status, err, want)
	}
}

func (c *client) expire() { time.Sleep(time.Minute) }
