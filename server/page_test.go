package server

import (
	"strings"
	"testing"
)

func FuzzParsePlace(f *testing.F) {
	f.Add("1772366400250-" + strings.Repeat("0f", 16))
	f.Add("-1-" + strings.Repeat("00", 16))
	f.Add("9999999999999999999-x")
	f.Add("1-")
	f.Fuzz(func(t *testing.T, text string) {
		place, err := parsePlace(text)
		if err != nil {
			return
		}
		if place.CreatedAt.IsZero() {
			t.Errorf("%q is the beginning of the list", text)
		}
		again, err := parsePlace(formatPlace(place))
		if err != nil || again != place {
			t.Errorf("%q: %v, then %v, %v", text, place, again, err)
		}
	})
}
