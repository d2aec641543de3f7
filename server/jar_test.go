package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/rotation"
)

// For every Cookie field, the reader finds the tokens of the jar alone, and cookies that
// the server has set are among them.
func FuzzJar(f *testing.F) {
	key, err := NewRefreshKey()
	if err != nil {
		f.Fatal(err)
	}
	set := &KeySet{}
	if set.codec, err = rotation.NewCodec(key); err != nil {
		f.Fatal(err)
	}
	token := rotation.Token{Session: rotation.SessionID{1, 2, 3}, Position: rotation.Position{Generation: 7, Branch: 1<<63 | 8}, IssuedAt: time.UnixMilli(1)}
	text := set.codec.Encode(token)
	const name = "__Secure-tandem-1-010203000000-00000008"
	for _, field := range []string{
		"", ";", "=", "a=b", name + "=" + text, "x=y; " + name + "=" + text + "; " + name + "=", name + `="` + text + `"`, name + "=" + text[:40],
		"tandem-1-010203000000-00000008=" + text, "__Secure-tandem-10-010203000000-0000008=x", "__Secure-tandem-1-\xff=" + text, "\x00=\x00",
	} {
		f.Add(field, true)
		f.Add(field, false)
	}
	f.Fuzz(func(t *testing.T, field string, https bool) {
		s := &Server{
			cookies: cookieRules{sameSite: http.SameSiteStrictMode, https: https},
			cfg:     Config{Keys: staticKeys{set}},
		}
		s.reloadable.Store(&reloadable{crossOrigin: http.NewCrossOriginProtection()})
		read := func(field string) []heldToken {
			r := httptest.NewRequest(http.MethodPost, "/auth/refresh-token", http.NoBody)
			r.Header = http.Header{"Tandem-Cookie": {"1"}, "Content-Type": {"application/json"}, "Cookie": {field}}
			j, err := s.openJar(r)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.decodeHeld(t.Context(), j.held); err != nil {
				t.Fatal(err)
			}
			for _, id := range j.sessions() {
				if _, err := s.newest(t.Context(), &jar{held: j.held[:1]}, id); err != nil && j.held[0].err == nil && j.held[0].token.Session == id {
					t.Errorf("%q: %v", field, err)
				}
			}
			return j.held
		}
		for _, held := range read(field) {
			if https && !strings.HasPrefix(held.cookie, securePrefix) || !strings.Contains(held.cookie, "tandem-1-"+held.session+"-") {
				t.Errorf("%q: the cookie %q is not of the jar", field, held.cookie)
			}
			if held.err == nil && held.token != token {
				t.Errorf("%q: a token that the server has not made: %+v", field, held.token)
			}
		}
		found := false
		for _, held := range read(field + "; " + name + "=" + text) {
			found = found || held.cookie == name && held.err == nil && held.token == token
		}
		if !found {
			t.Errorf("behind %q the server does not find its own cookie", field)
		}
	})
}
