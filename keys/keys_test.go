package keys_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tandem-auth/tandem/accesstoken"
	"github.com/tandem-auth/tandem/keys"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store/sqlitestore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newMaster(t testing.TB) keys.MasterKey {
	t.Helper()
	key, err := keys.NewMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newStore(t testing.TB) *sqlitestore.Store {
	t.Helper()
	s, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "tandem.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func manager(t testing.TB, config keys.Config) *keys.Manager {
	t.Helper()
	m, err := keys.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 2 { // may be closed twice
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return m
}

// anybody is a directory that lets every user sign in.
type anybody struct{}

func (anybody) Authenticate(_ context.Context, name, _ string) (server.Identity, error) {
	return server.Identity{Subject: name}, nil
}

// A node is a server with a manager of its own; all share a store.
type node struct {
	*server.Server
	keys *keys.Manager
}

func newNode(t testing.TB, store *sqlitestore.Store, config keys.Config) node {
	t.Helper()
	config.Store = store
	if config.PollEvery == 0 {
		config.PollEvery = time.Hour // months pass in these tests
	}
	m := manager(t, config)
	s, err := server.New(server.Config{
		Issuer: "https://auth.example.com", Store: store, Directory: anybody{}, Keys: m, SessionTTL: 1000 * 24 * time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return node{s, m}
}

type pair struct {
	AccessToken  string `json:"accessToken"`
	RefreshToken string `json:"refreshToken"`
	Error        string `json:"error"`
	Reason       string `json:"reason"`
}

func (n node) post(path string, fields map[string]string) (int, pair) {
	body, _ := json.Marshal(fields)
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	n.ServeHTTP(w, r)
	var p pair
	_ = json.Unmarshal(w.Body.Bytes(), &p)
	return w.Code, p
}

func (n node) signIn(t testing.TB) pair {
	t.Helper()
	status, p := n.post("/auth/login", map[string]string{"username": "ann", "password": "geheim"})
	if status != http.StatusOK {
		t.Fatalf("sign in: %d", status)
	}
	return p
}

func (n node) refresh(t testing.TB, p pair) pair {
	t.Helper()
	status, next := n.post("/auth/refresh-token", map[string]string{"refreshToken": p.RefreshToken})
	if status != http.StatusOK {
		t.Fatalf("refresh at %s: %d %s %s", time.Now().Format(time.DateTime), status, next.Error, next.Reason)
	}
	return next
}

// me checks that the node takes an access token.
func (n node) me(t testing.TB, p pair) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/auth/me", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+p.AccessToken)
	w := httptest.NewRecorder()
	n.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("me at %s: %d", time.Now().Format(time.DateTime), w.Code)
	}
}

// published returns the IDs and algorithms of the key set.
func (n node) published(t testing.TB) map[string]string {
	t.Helper()
	w := httptest.NewRecorder()
	n.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/.well-known/jwks.json", http.NoBody))
	var set struct {
		Keys []struct {
			Kid string `json:"kid"`
			Alg string `json:"alg"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for _, k := range set.Keys {
		ids[k.Kid] = k.Alg
	}
	return ids
}

func kid(t testing.TB, p pair) string {
	t.Helper()
	header, _, _ := strings.Cut(p.AccessToken, ".")
	var h struct {
		Kid string `json:"kid"`
	}
	if err := json.NewDecoder(base64.NewDecoder(base64.RawURLEncoding, strings.NewReader(header))).Decode(&h); err != nil {
		t.Fatal(err)
	}
	return h.Kid
}

// One session uses three servers by turns for half a year, while keys change every 30
// days. Every server accepts the tokens of the others at once; each key is published for
// a day before it makes a token, is made by one server only, and is deleted in the end.
func TestHalfAYearOnThreeServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		store, master := newStore(t), newMaster(t)
		var nodes []node
		for range 3 {
			nodes = append(nodes, newNode(t, store, keys.Config{MasterKeys: []keys.MasterKey{master}}))
		}
		days := 180
		if testing.Short() {
			days = 40 // one change of keys
		}
		begin := time.Now()
		firstPublished, used := map[string]time.Time{}, map[string]bool{}
		most := 0
		p := nodes[0].signIn(t)
		for i := range days * 4 {
			time.Sleep(day/4 + time.Minute)
			p = nodes[i%3].refresh(t, p)
			for _, n := range nodes {
				n.me(t, p)
				published := n.published(t)
				most = max(most, len(published))
				for id := range maps.Keys(published) {
					if _, seen := firstPublished[id]; !seen {
						firstPublished[id] = time.Now()
					}
				}
			}
			if id := kid(t, p); !used[id] {
				used[id] = true
				if ahead := time.Since(firstPublished[id]); len(used) > 1 && ahead < day-day/4 {
					t.Errorf("the key %s made a token %s after it was published", id, ahead)
				}
			}
		}
		want := int(time.Since(begin)/(30*day)) + 1
		if len(used) != want || len(firstPublished) > want+1 {
			t.Errorf("%d signing keys were made and %d used; want %d used", len(firstPublished), len(used), want)
		}
		if most > 2 {
			t.Errorf("%d signing keys were published at once, want at most 2", most)
		}
	})
}

// A server that was away while others changed keys looks for them when it meets a
// token that it does not know.
func TestAServerThatWasAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, master := newStore(t), newMaster(t)
		config := keys.Config{MasterKeys: []keys.MasterKey{master}}
		awake := newNode(t, store, config)
		config.PollEvery = 1000 * 24 * time.Hour
		asleep := newNode(t, store, config)
		p := awake.signIn(t)
		for range 62 {
			time.Sleep(24 * time.Hour)
			p = awake.refresh(t, p)
		}
		asleep.me(t, p)
		p = asleep.refresh(t, p)
		awake.refresh(t, p)
	})
}

var errBroken = errors.New("the database is away")

// A token with an unknown key ends no session while the server cannot reload the keys.
func TestAStoreThatIsAwayEndsNoSession(t *testing.T) {
	store, master := newStore(t), newMaster(t)
	p := newNode(t, store, keys.Config{MasterKeys: []keys.MasterKey{master}}).signIn(t)

	source := &switching{KeySource: manager(t, keys.Config{Store: newStore(t), MasterKeys: []keys.MasterKey{master}})}
	s, err := server.New(server.Config{Issuer: "https://auth.example.com", Store: store, Directory: anybody{}, Keys: source})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for path, want := range map[string]int{"/auth/refresh-token": 503, "/auth/logout": 503} {
		source.err = errBroken
		if status, got := (node{Server: s}).post(path, map[string]string{"refreshToken": p.RefreshToken}); status != want || got.Error != "temporarily_unavailable" {
			t.Errorf("%s: %d %s, want %d", path, status, got.Error, want)
		}
	}
	source.err = nil
	if status, got := (node{Server: s}).post("/auth/refresh-token", map[string]string{"refreshToken": p.RefreshToken}); status != 400 || got.Reason != "unknown" {
		t.Errorf("once it is known that there is no such key: %d %s", status, got.Reason)
	}
}

type switching struct {
	server.KeySource
	err error
}

func (s *switching) Reload(context.Context) error { return s.err }

// After the store has gone back to a time before a key was made, the running servers put
// the key back into it.
func TestAStoreThatGoesBackLosesNoKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, master := newStore(t), newMaster(t)
		config := keys.Config{MasterKeys: []keys.MasterKey{master}}
		running := newNode(t, store, config)
		old, _, err := store.LoadKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p := running.signIn(t)
		for range 33 {
			time.Sleep(24 * time.Hour)
			p = running.refresh(t, p)
		}
		_, version, err := store.LoadKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if saved, err := store.SaveKeys(t.Context(), old, version); !saved || err != nil {
			t.Fatal(saved, err)
		}
		time.Sleep(2 * time.Hour)
		late := newNode(t, store, config)
		late.me(t, running.refresh(t, p))
		p = late.refresh(t, p)
		running.me(t, p)
		if !maps.Equal(late.published(t), running.published(t)) {
			t.Errorf("%v, %v", late.published(t), running.published(t))
		}
	})
}

// The first key of another algorithm is published before its first use, and servers with
// different algorithms accept each other's tokens.
func TestAnotherAlgorithm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, master := newStore(t), newMaster(t)
		before := newNode(t, store, keys.Config{MasterKeys: []keys.MasterKey{master}})
		p := before.signIn(t)
		after := newNode(t, store, keys.Config{MasterKeys: []keys.MasterKey{master}, Algorithm: accesstoken.EdDSA})
		alg := func(p pair) string { return after.published(t)[kid(t, p)] }

		p = after.refresh(t, p)
		if got := alg(p); got != "ES256" {
			t.Errorf("at once it signs with %s, want ES256 until EdDSA has been published for a day", got)
		}
		for range 100 {
			time.Sleep(24 * time.Hour)
			p = after.refresh(t, p)
			before.me(t, p)
			if got := alg(p); got != "EdDSA" {
				t.Fatalf("a day later it signs with %s", got)
			}
			p = before.refresh(t, p)
			after.me(t, p)
			if got := alg(p); got != "ES256" {
				t.Fatalf("the other server signs with %s", got)
			}
		}
		// Servers delete the key once none of them uses its algorithm.
		if err := before.keys.Close(); err != nil {
			t.Fatal(err)
		}
		for range 70 {
			time.Sleep(24 * time.Hour)
			p = after.refresh(t, p)
		}
		if algs := slices.Sorted(maps.Values(after.published(t))); slices.Contains(algs, "ES256") {
			t.Errorf("after 70 days without a server that uses ES256: %v", algs)
		}
	})
}

// A key makes tokens from its ActiveFrom on, even if the server has not read the store
// since.
func TestAKeyIsUsedFromItsInstantOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, master := newStore(t), newMaster(t)
		p := newNode(t, store, keys.Config{MasterKeys: []keys.MasterKey{master}}).signIn(t)
		n := newNode(t, store, keys.Config{
			MasterKeys: []keys.MasterKey{master}, Algorithm: accesstoken.EdDSA, PollEvery: 1000 * 24 * time.Hour,
		})
		for _, c := range []struct {
			wait time.Duration
			want string
		}{{keys.DefaultPublishAhead - time.Millisecond, "ES256"}, {time.Millisecond, "EdDSA"}} {
			time.Sleep(c.wait)
			p = n.refresh(t, p)
			if got := n.published(t)[kid(t, p)]; got != c.want {
				t.Errorf("%s after it was published: signed with %s, want %s", c.wait, got, c.want)
			}
		}
	})
}

func TestAnotherMasterKey(t *testing.T) {
	store, first, second := newStore(t), newMaster(t), newMaster(t)
	p := newNode(t, store, keys.Config{MasterKeys: []keys.MasterKey{first}}).signIn(t)
	steps := [][]keys.MasterKey{{first, second}, {second, first}, {second}}
	for _, masters := range steps {
		p = newNode(t, store, keys.Config{MasterKeys: masters}).refresh(t, p)
	}
	_, err := keys.Open(t.Context(), keys.Config{Store: store, MasterKeys: []keys.MasterKey{first}})
	if !errors.Is(err, keys.ErrMasterKey) || !strings.Contains(err.Error(), first.Fingerprint()) || !strings.Contains(err.Error(), second.Fingerprint()) {
		t.Errorf("with the old one alone: %v", err)
	}
}

func TestDocumentsThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(text string) string
		want   string
	}{
		"no JSON":        {func(string) string { return "keys" }, "damaged"},
		"a newer format": {func(text string) string { return strings.Replace(text, `"format":1`, `"format":2`, 1) }, "newer Tandem"},
		"another seal": {func(text string) string {
			i := strings.Index(text, `"sealed":"`) + 40
			return text[:i] + string(rune('A'+(text[i]-'A'+1)%26)) + text[i+1:]
		}, "tampered"},
		"nothing sealed": {func(text string) string { before, _, _ := strings.Cut(text, `,"sealed"`); return before + "}" }, "tampered"},
	} {
		t.Run(name, func(t *testing.T) {
			store, master := newStore(t), newMaster(t)
			config := keys.Config{Store: store, MasterKeys: []keys.MasterKey{master}}
			manager(t, config)
			text, version, err := store.LoadKeys(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			changed := []byte(c.change(string(text)))
			if saved, err := store.SaveKeys(t.Context(), changed, version); !saved || err != nil {
				t.Fatal(saved, err)
			}
			if _, err := keys.Open(t.Context(), config); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if after, _, _ := store.LoadKeys(t.Context()); !bytes.Equal(after, changed) {
				t.Error("the document was replaced")
			}
		})
	}
}

// Nobody can read a key out of the store.
func TestTheDocumentIsSealed(t *testing.T) {
	store := newStore(t)
	manager(t, keys.Config{Store: store, MasterKeys: []keys.MasterKey{newMaster(t)}})
	text, _, err := store.LoadKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var envelope map[string]any
	if err := json.Unmarshal(text, &envelope); err != nil {
		t.Fatal(err)
	}
	delete(envelope, "sealed")
	if got := slices.Sorted(maps.Keys(envelope)); !slices.Equal(got, []string{"format", "masterKey"}) {
		t.Errorf("besides what is sealed, there are %v", got)
	}
}

func TestConfigErrorsNameTheField(t *testing.T) {
	good := keys.Config{Store: newStore(t), MasterKeys: []keys.MasterKey{newMaster(t)}}
	for want, change := range map[string]func(*keys.Config){
		"Config.Store: ":                 func(c *keys.Config) { c.Store = nil },
		"Config.MasterKeys: is required": func(c *keys.Config) { c.MasterKeys = nil },
		"Config.MasterKeys: key 0":       func(c *keys.Config) { c.MasterKeys = []keys.MasterKey{{}} },
		"Config.PublishAhead: 2h":        func(c *keys.Config) { c.PublishAhead, c.RotateEvery = 2*time.Hour, time.Hour },
		"Config.PublishAhead: must":      func(c *keys.Config) { c.PublishAhead = -1 },
		"Config.PollEvery: ":             func(c *keys.Config) { c.PollEvery = -1 },
		`"HS256" is none of`:             func(c *keys.Config) { c.Algorithm = "HS256" },
	} {
		config := good
		change(&config)
		if _, err := keys.Open(t.Context(), config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestMasterKeysAreParsed(t *testing.T) {
	a, b := newMaster(t), newMaster(t)
	text := fmt.Appendf(nil, "# the new one\n%s\n\r\n%s", a.Marshal(), bytes.TrimSpace(b.Marshal()))
	got, err := keys.ParseMasterKeys(text)
	if err != nil || len(got) != 2 || got[0] != a || got[1] != b {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := keys.ParseMasterKeys(append([]byte("\ufeff"), a.Marshal()...)); err != nil || len(got) != 1 || got[0] != a {
		t.Errorf("with a byte order mark: %v, %v", got, err)
	}
	for _, bad := range []string{"", "# none\n", "geheim", "Z2VoZWlt"} {
		if _, err := keys.ParseMasterKeys([]byte(bad)); err == nil || strings.Contains(err.Error(), "eheim") || strings.Contains(err.Error(), "Z2Vo") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, text := range []string{a.String(), fmt.Sprintf("%#v", a), fmt.Sprintf("%+v", a)} {
		if text != "keys.MasterKey{"+a.Fingerprint()+"}" {
			t.Errorf("it prints as %s", text)
		}
	}
}
