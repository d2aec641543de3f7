package directory_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
)

// A user who is disabled is as good as unknown: at the sign-in, at one that is under way, and
// at the next refresh of a session.
func TestADisabledUser(t *testing.T) {
	d, _ := newDirectory(t, cheap)
	add(t, d, "ann", right)
	ann, err := d.Authenticate(t.Context(), "ann", right)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Disable(t.Context(), " ann "); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Authenticate(t.Context(), "ann", right); !errors.Is(err, server.ErrInvalidCredentials) {
		t.Errorf("a sign-in: %v", err)
	}
	if valid, err := d.StillValid(t.Context(), ann); valid || err != nil {
		t.Errorf("a sign-in under way: %t, %v", valid, err)
	}
	if _, err := d.Refresh(t.Context(), ann); !errors.Is(err, server.ErrUserGone) {
		t.Errorf("a refresh: %v", err)
	}
	if err := d.Enable(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Authenticate(t.Context(), "ann", right); err != nil {
		t.Errorf("after Enable: %v", err)
	}
	for name, do := range map[string]func() error{
		"Disable":  func() error { return d.Disable(t.Context(), "bob") },
		"Enable":   func() error { return d.Enable(t.Context(), "bob") },
		"Unlock":   func() error { return d.Unlock(t.Context(), "bob") },
		"SetRoles": func() error { return d.SetRoles(t.Context(), "bob", "admin") },
	} {
		if err := do(); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s of an unknown user: %v", name, err)
		}
	}
}

// Roles are the scope of the sign-in, and of each refresh as they are then.
func TestRolesAreTheScope(t *testing.T) {
	d, _ := newDirectory(t, cheap)
	if err := d.Add(t.Context(), "ann", right, "b", "a", "b"); err != nil {
		t.Fatal(err)
	}
	ann, err := d.Authenticate(t.Context(), "ann", right)
	if err != nil || ann.Scope != "a b" {
		t.Fatalf("scope %q, %v", ann.Scope, err)
	}
	if err := d.SetRoles(t.Context(), "ann", "orders:read", "admin"); err != nil {
		t.Fatal(err)
	}
	if now, err := d.Refresh(t.Context(), ann); err != nil || now.Scope != "admin orders:read" {
		t.Errorf("scope %q, %v", now.Scope, err)
	}
	for _, roles := range [][]string{{""}, {"two words"}, {`"`}, {"ä"}, {strings.Repeat("x", 1001)}} {
		if err := d.SetRoles(t.Context(), "ann", roles...); !errors.Is(err, directory.ErrRule) {
			t.Errorf("%q: %v", roles, err)
		}
	}
	if now, err := d.Refresh(t.Context(), ann); err != nil || now.Scope != "admin orders:read" {
		t.Errorf("after mistakes: %q, %v", now.Scope, err)
	}
}

// Whoever gets the name of a user who was removed does not get the user's sessions.
func TestANameThatIsGivenAgain(t *testing.T) {
	d, _ := newDirectory(t, cheap)
	add(t, d, "ann", right)
	ann, err := d.Authenticate(t.Context(), "ann", right)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Remove(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := d.Refresh(t.Context(), ann); !errors.Is(err, server.ErrUserGone) {
			t.Errorf("%v, want ErrUserGone", err)
		}
		_ = d.Add(t.Context(), "ann", right)
	}
}

func TestUnlockedAt(t *testing.T) {
	d, _ := newDirectory(t, cheap)
	add(t, d, "ann", right)
	at := func(name string) time.Time {
		t.Helper()
		at, err := d.UnlockedAt(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	if !at("ann").IsZero() || !at("nobody").IsZero() {
		t.Error("nobody was unlocked yet")
	}
	before := time.Now().Truncate(time.Millisecond)
	if err := d.Unlock(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	if got := at("ANN"); !got.IsZero() {
		t.Errorf("case matters: %v", got)
	}
	if got := at(" ann "); got.Before(before) {
		t.Errorf("unlocked at %v, want %v or later", got, before)
	}
}
