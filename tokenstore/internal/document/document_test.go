package document_test

import (
	"strings"
	"testing"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/tokenstore/internal/document"
)

// Whatever is in a store, the outcome is a pair that comes back the same, or an
// error that quotes none of it.
func FuzzParse(f *testing.F) {
	good, err := document.Marshal(tandem.Pair{SessionID: "s", AccessToken: "a", RefreshToken: "r"})
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{string(good), "", "{}", "null", `{"version":2}`, `{"version":1,"pair":{"receivedAt":"never"}}`, string(good) + "x"} {
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
			return // a time that JSON cannot say
		}
		if back, err := document.Parse(again); err != nil || back.RefreshToken != pair.RefreshToken || !back.ExpiresAt.Equal(pair.ExpiresAt) {
			t.Errorf("%v came back as %v, %v", pair, back, err)
		}
	})
}
