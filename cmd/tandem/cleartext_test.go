package main

import (
	"strings"
	"testing"
)

func TestClearTextIsWarnedOf(t *testing.T) {
	for address, want := range map[string]bool{
		"http://auth.example.com":      true,
		"HTTP://192.0.2.7:8080":        true,
		"http://[2001:db8::1]":         true,
		"http://localhost.example.com": true,
		"http://127.0.0.1.example.com": true,
		"https://auth.example.com":     false,
		"http://localhost:8080":        false,
		"http://Localhost.":            false,
		"http://app.localhost":         false,
		"http://127.1.2.3":             false,
		"http://[::1]:8080":            false,
		"http://[::ffff:127.0.0.1]":    false,
	} {
		var said strings.Builder
		warnOfClearText(console{err: &said}, "https://a.example", address)
		if got := strings.Contains(said.String(), address+" is another machine and has no TLS"); got != want || !want && said.Len() > 0 {
			t.Errorf("%s: %q, want a warning: %t", address, said.String(), want)
		}
	}
}
