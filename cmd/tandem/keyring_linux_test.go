package main

import (
	"os"
	"testing"

	"github.com/tandem-auth/tandem/internal/testkit/keyringtest"
)

// TestKeyringScripts runs the command where there is a keyring, as told in
// testdata/keyring.
func TestKeyringScripts(t *testing.T) {
	keyringtest.Start(t)
	variables := map[string]string{}
	for _, name := range []string{"DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"} {
		variables[name] = os.Getenv(name)
	}
	runScripts(t, "testdata/keyring", variables)
}
