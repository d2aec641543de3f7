package accesstoken_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem/accesstoken"
)

// For every header, ParseBearer returns a token that a header can carry, or one of two
// errors.
func FuzzParseBearer(f *testing.F) {
	for _, s := range []string{
		"", "Bearer", "Bearer ", "Bearer abc", "bearer  abc== ", "BEARER a.b-c_d~e+f/g", "Basic YTpi",
		"Bearer a b", "Bearer =", "Bearer\tabc", "Bearerabc", "Bearer a,b", "Bearer \u00e9",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		token, err := accesstoken.ParseBearer([]string{s})
		if err != nil {
			if token != "" || (!errors.Is(err, accesstoken.ErrNoBearer) && !errors.Is(err, accesstoken.ErrBadBearer)) {
				t.Errorf("%q: %q, %v", s, token, err)
			}
			return
		}
		if token == "" || !strings.HasSuffix(strings.TrimRight(s, " \t"), token) || strings.ContainsAny(token, " \t,\"\r\n") {
			t.Errorf("%q: a token of %q", s, token)
		}
		if again, err := accesstoken.ParseBearer([]string{"Bearer " + token}); err != nil || again != token {
			t.Errorf("%q: %q the second time, %v", token, again, err)
		}
	})
}

func TestParseBearer(t *testing.T) {
	for _, c := range []struct {
		name   string
		fields []string
		token  string
		err    error
	}{
		{"none", nil, "", accesstoken.ErrNoBearer},
		{"empty", []string{""}, "", accesstoken.ErrNoBearer},
		{"another scheme", []string{"Basic YTpi"}, "", accesstoken.ErrNoBearer},
		{"a scheme that starts alike", []string{"Bearerx abc"}, "", accesstoken.ErrNoBearer},
		{"good", []string{"Bearer abc.def_-~+/=="}, "abc.def_-~+/==", nil},
		{"any case", []string{"bEARER abc"}, "abc", nil},
		{"more spaces", []string{"Bearer   abc "}, "abc", nil},
		{"no token", []string{"Bearer"}, "", accesstoken.ErrBadBearer},
		{"only padding", []string{"Bearer =="}, "", accesstoken.ErrBadBearer},
		{"two tokens", []string{"Bearer abc def"}, "", accesstoken.ErrBadBearer},
		{"two fields", []string{"Bearer abc", "Bearer abc"}, "", accesstoken.ErrBadBearer},
		{"quotes", []string{`Bearer "abc"`}, "", accesstoken.ErrBadBearer},
	} {
		t.Run(c.name, func(t *testing.T) {
			token, err := accesstoken.ParseBearer(c.fields)
			if token != c.token || !errors.Is(err, c.err) {
				t.Errorf("got %q, %v; want %q, %v", token, err, c.token, c.err)
			}
		})
	}
}
