package origin_test

import (
	"strings"
	"testing"

	"github.com/tandem-auth/tandem/internal/origin"
)

// Canonical returns the same text for each form of an origin, in ASCII, and with nothing
// after the host and port.
func FuzzCanonical(f *testing.F) {
	for _, s := range []string{
		"https://app.example.com", "HTTPS://App.Example.Com:443", "https://b\u00fccher.example", "capacitor://localhost", "http://[::1]:5173",
		"http://[fe80::1%25eth0]", "https://a:b@c", "https://a/", "https://a?", "https://a#", "https://*", "null", "file://x", "https://a:0443", "x://%41",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		canonical, err := origin.Canonical(text)
		if err != nil {
			return
		}
		if again, err := origin.Canonical(canonical); err != nil || again != canonical {
			t.Errorf("%q became %q, and that %q, %v", text, canonical, again, err)
		}
		_, host, _ := strings.Cut(canonical, "://")
		if strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r > '~' || r >= 'A' && r <= 'Z' }) || strings.ContainsAny(host, "/?#@*%") {
			t.Errorf("%q became %q", text, canonical)
		}
	})
}
