package server

import (
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// For every header, parseBearer returns a token that a header can carry, or one of two
// errors.
func FuzzParseBearer(f *testing.F) {
	for _, s := range []string{
		"", "Bearer", "Bearer ", "Bearer abc", "bearer  abc== ", "BEARER a.b-c_d~e+f/g", "Basic YTpi",
		"Bearer a b", "Bearer =", "Bearer\tabc", "Bearerabc", "Bearer a,b", "Bearer \u00e9",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		token, err := parseBearer([]string{s})
		if err != nil {
			if token != "" || (!errors.Is(err, errNoBearer) && !errors.Is(err, errBadBearer)) {
				t.Errorf("%q: %q, %v", s, token, err)
			}
			return
		}
		if token == "" || !strings.HasSuffix(strings.TrimRight(s, " \t"), token) || strings.ContainsAny(token, " \t,\"\r\n") {
			t.Errorf("%q: a token of %q", s, token)
		}
		if again, err := parseBearer([]string{"Bearer " + token}); err != nil || again != token {
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
		{"none", nil, "", errNoBearer},
		{"empty", []string{""}, "", errNoBearer},
		{"another scheme", []string{"Basic YTpi"}, "", errNoBearer},
		{"a scheme that starts alike", []string{"Bearerx abc"}, "", errNoBearer},
		{"good", []string{"Bearer abc.def_-~+/=="}, "abc.def_-~+/==", nil},
		{"any case", []string{"bEARER abc"}, "abc", nil},
		{"more spaces", []string{"Bearer   abc "}, "abc", nil},
		{"no token", []string{"Bearer"}, "", errBadBearer},
		{"only padding", []string{"Bearer =="}, "", errBadBearer},
		{"two tokens", []string{"Bearer abc def"}, "", errBadBearer},
		{"two fields", []string{"Bearer abc", "Bearer abc"}, "", errBadBearer},
		{"quotes", []string{`Bearer "abc"`}, "", errBadBearer},
	} {
		t.Run(c.name, func(t *testing.T) {
			token, err := parseBearer(c.fields)
			if token != c.token || !errors.Is(err, c.err) {
				t.Errorf("got %q, %v; want %q, %v", token, err, c.token, c.err)
			}
		})
	}
}

// For every body, parsing returns fields, or an answer with a status below 500.
func FuzzBody(f *testing.F) {
	for _, s := range []string{
		`{"refreshToken":"x"}`, `{"refreshToken":null}`, `{"refreshToken":1}`, `{"refreshToken":"\ud800"}`,
		`{"refreshToken":"x"}{}`, `{"refreshToken":"x","refreshToken":"y"}`, `[]`, `null`, `"x"`, `1`, ``, ` `, `{`, "\xff", `{"a":"` + "\xff" + `"}`,
	} {
		f.Add("application/json", []byte(s))
	}
	f.Add("application/json; charset=utf-8", []byte(`{}`))
	f.Add("text/plain", []byte(`{}`))
	f.Fuzz(func(t *testing.T, contentType string, data []byte) {
		body, err := parseFields(contentType, data)
		if err == nil {
			_, err = body.text("refreshToken", 100)
		}
		if err != nil {
			var p *problem
			if !errors.As(err, &p) || p.status < 400 || p.status >= 500 {
				t.Errorf("%q, %q: %v", contentType, data, err)
			}
			return
		}
		var want struct {
			Token any `json:"refreshToken"`
		}
		if err := json.Unmarshal(data, &want); err != nil {
			t.Errorf("took what is not a JSON object: %q", data)
		}
		if text, _ := body.text("refreshToken", 100); text == "" || len(text) > 100 || !utf8.ValidString(text) {
			t.Errorf("%q: %q", data, text)
		}
	})
}

func TestLabel(t *testing.T) {
	long := strings.Repeat("x", maxDevice-1)
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"  Alice's phone ", "Alice's phone"},
		{"a\x00b\x1b[31mc\nd\u0085e", "ab[31mcde"},
		{"a\xffb", "ab"},
		{"Alice's\u202e enohp\u200b", "Alice's enohp"},
		{"\u2066\u3164\u200b", ""},
		{long + "é", long},
		{long + "yz", long + "y"},
		{"\n\t", ""},
	} {
		if got := label(c.in); got != c.want {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
}

// For every query, the tickets are those that net/url finds, and what is left has none and
// has all other fields as they were.
func FuzzCutTickets(f *testing.F) {
	for _, s := range []string{"", "ticket=a", "a=b&ticket=c&d", "ticket", "ticket=a&ticket=b", "%74icket=%61", "ticket=%zz", "tickets=a", "a;ticket=b", "&&", "ticket=a=b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		tickets, rest := cutTickets(query)
		if strings.ContainsAny(query, ";%") { // net/url drops fields with a mistake
			return
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(tickets, values[ticketParameter]) {
			t.Errorf("%q: tickets %q, want %q", query, tickets, values[ticketParameter])
		}
		left, err := url.ParseQuery(rest)
		if err != nil {
			t.Fatal(err)
		}
		delete(values, ticketParameter)
		if !maps.EqualFunc(left, values, slices.Equal) {
			t.Errorf("%q: left is %v, want %v", query, left, values)
		}
	})
}
