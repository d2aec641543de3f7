package loopback

import "testing"

func TestIsURL(t *testing.T) {
	for address, want := range map[string]bool{
		"http://auth.example.com":        false,
		"http://192.0.2.7:8080":          false,
		"http://[2001:db8::1]":           false,
		"http://localhost.example.com":   false,
		"http://127.0.0.1.example.com":   false,
		"http://127.evil.example":        false,
		"http://notlocalhost":            false,
		"http://0.0.0.0:8080":            false,
		"http://%zz":                     false,
		"":                               false,
		"http://localhost:8080":          true,
		"https://Localhost.":             true,
		"http://app.localhost/path":      true,
		"http://127.1.2.3":               true,
		"http://[::1]:8080":              true,
		"http://[::ffff:127.0.0.1]:8080": true,
	} {
		if got := IsURL(address); got != want {
			t.Errorf("%s: %t, want %t", address, got, want)
		}
	}
}
