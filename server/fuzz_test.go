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
