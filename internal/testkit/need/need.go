// Package need is for tests that need a program from outside: where it is
// missing they are skipped, and say what would help; in CI they fail instead.
package need

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Program returns the path of the first of the names that is installed.
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

// Missing skips the test for want of a part, or fails it in CI.
func Missing(t testing.TB, part string) {
	t.Helper()
	text := part + " is missing; scripts/install-test-parts installs it (programs only as root on Debian)"
	if os.Getenv("CI") == "true" {
		t.Fatal(text)
	}
	t.Skip(text)
}
