// Package need is for tests that need a program which may not be installed: without it
// the package skips the test and says how to install the program; in CI it fails the
// test.
package need

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Program returns the path of the first program in names that is installed.
func Program(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	Missing(t, strings.Join(names, " or "))
	return ""
}

// Missing skips the test because a part is missing; in CI it fails the test.
func Missing(t testing.TB, part string) {
	t.Helper()
	text := part + " is missing; scripts/install-test-parts installs it (programs only as root on Debian)"
	if os.Getenv("CI") == "true" {
		t.Fatal(text)
	}
	t.Skip(text)
}
