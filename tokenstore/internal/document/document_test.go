package document_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/tokenstore/internal/document"
)

func somePair() tandem.Pair {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return tandem.Pair{
		Issuer: "https://auth.example.com", SessionID: "s", Username: "ann", Revision: 7, AccessToken: "a", RefreshToken: "r",
		ReceivedAt: at, ExpiresAt: at.Add(time.Hour), RefreshExpiresAt: at.Add(24 * time.Hour),
	}
}

// Later versions must be able to read each format.
func TestFormats(t *testing.T) {
	const times = `"receivedAt":"2026-01-02T03:04:05Z","expiresAt":"2026-01-02T04:04:05Z"`
	second := somePair()
	first := second
	first.Issuer, first.Revision, first.RefreshExpiresAt = "", 0, time.Time{}
	for name, c := range map[string]struct {
		text string
		want tandem.Pair
		err  error
	}{
		"format 1": {text: `{"version":1,"pair":{"sessionId":"s","username":"ann","accessToken":"a","refreshToken":"r",` + times + `}}`, want: first},
		"format 2": {text: `{"version":2,"pair":{"issuer":"https://auth.example.com","sessionId":"s","username":"ann","revision":7,` +
			`"accessToken":"a","refreshToken":"r",` + times + `,"refreshExpiresAt":"2026-01-03T03:04:05Z"}}`, want: second},
		"format 1 with fields that it does not have": {text: `{"version":1,"pair":{"issuer":"https://thief.example","revision":9,` +
			`"sessionId":"s","username":"ann","accessToken":"a","refreshToken":"r",` + times + `,"refreshExpiresAt":"2026-01-03T03:04:05Z"}}`, want: first},
		"a later format":                  {text: `{"version":3,"pair":{"refreshToken":"geheim"}}`, err: document.ErrNewer},
		"a later format of another shape": {text: `{"version":3,"pair":["geheim"]}`, err: document.ErrNewer},
		"no format":                       {text: `{"refreshToken":"geheim"}`, err: document.ErrNone},
		"a format below the first":        {text: `{"version":-1,"pair":{"refreshToken":"geheim"}}`, err: document.ErrNone},
		"a revision below the first":      {text: `{"version":2,"pair":{"refreshToken":"geheim","revision":-1}}`, err: document.ErrDamaged},
		"cut short":                       {text: `{"version":2,"pair":{"refreshToken":"gehe`, err: document.ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := document.Parse([]byte(c.text))
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("got %+v, %v; want %+v, %v", got, err, c.want, c.err)
			}
			if err != nil && strings.Contains(err.Error(), "gehe") {
				t.Errorf("the error shows a token: %v", err)
			}
		})
	}

	if _, err := document.Parse([]byte(`{"version":3}`)); err == nil || !strings.Contains(err.Error(), "format 3, this one knows up to 2): upgrade this program") {
		t.Errorf("a later format: %v", err)
	}
	if text, err := document.Marshal(somePair()); err != nil || !strings.HasPrefix(string(text), `{"version":2,`) {
		t.Errorf("written is %s, %v", text, err)
	}
}

// For any content, Parse returns a pair that survives another round trip, or an error
// that quotes none of the content.
func FuzzParse(f *testing.F) {
	good, err := document.Marshal(somePair())
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{
		string(good), strings.Replace(string(good), `"version":2`, `"version":1`, 1), "", "{}", "null", `{"version":3}`,
		`{"version":1,"pair":{"receivedAt":"never"}}`, `{"version":2,"pair":{"revision":1e3}}`, string(good) + "x",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		pair, err := document.Parse([]byte(text))
		if err != nil {
			if len(text) > 20 && strings.Contains(err.Error(), text) {
				t.Errorf("the error quotes it: %v", err)
			}
			return
		}
		again, err := document.Marshal(pair)
		if err != nil {
			return // a time that JSON cannot represent
		}
		back, err := document.Parse(again)
		if err != nil || !back.ReceivedAt.Equal(pair.ReceivedAt) || !back.ExpiresAt.Equal(pair.ExpiresAt) || !back.RefreshExpiresAt.Equal(pair.RefreshExpiresAt) {
			t.Fatalf("%v came back as %v, %v", pair, back, err)
		}
		// Two equal times may have different locations.
		back.ReceivedAt, back.ExpiresAt, back.RefreshExpiresAt = pair.ReceivedAt, pair.ExpiresAt, pair.RefreshExpiresAt
		if back != pair {
			t.Errorf("%#v came back as %#v", pair, back)
		}
	})
}
