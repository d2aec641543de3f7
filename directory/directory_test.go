package directory_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
	"github.com/tandem-auth/tandem/store/sqlitestore"
)

const right = "correct horse"

// cheap makes the tests quick.
var cheap = directory.Config{Memory: 64, Iterations: 1}

func newDirectory(t testing.TB, config directory.Config) (*directory.Directory, *sqlitestore.Store) {
	t.Helper()
	users, err := sqlitestore.Open(context.Background(), filepath.Join(t.TempDir(), "tandem.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = users.Close() })
	return directory.New(users, config), users
}

func add(t testing.TB, d *directory.Directory, name, password string) {
	t.Helper()
	if err := d.Add(t.Context(), name, password); err != nil {
		t.Fatal(err)
	}
}

func TestAUserSignsInWithTheRightPasswordAlone(t *testing.T) {
	d, _ := newDirectory(t, cheap)
	add(t, d, "ann", right)
	add(t, d, "bob", "another password")

	ann, err := d.Authenticate(t.Context(), "ann", right)
	if err != nil || ann.Username != "ann" || ann.Subject == "" || ann.Subject == "ann" {
		t.Errorf("%+v, %v", ann, err)
	}
	for _, c := range [][2]string{
		{"ann", "another password"},
		{"ann", ""},
		{"ann", right + " "},
		{"ann", "Correct horse"},
		{"Ann", right},
		{"carol", right},
		{"", ""},
	} {
		if _, err := d.Authenticate(t.Context(), c[0], c[1]); !errors.Is(err, server.ErrInvalidCredentials) {
			t.Errorf("%q: %v, want ErrInvalidCredentials", c, err)
		}
	}
}

// A keyboard may send é as one character or as two.
func TestNamesAndPasswordsMayBeTypedOnAnotherKeyboard(t *testing.T) {
	d, _ := newDirectory(t, cheap)
	add(t, d, "Ren\u00e9", "caf\u00e9 au lait")
	if _, err := d.Authenticate(t.Context(), "Rene\u0301", "cafe\u0301 au lait"); err != nil {
		t.Error(err)
	}
}

func TestNamesAndPasswordsThatAreRefused(t *testing.T) {
	d, users := newDirectory(t, cheap)
	add(t, d, "ann", right)
	for _, c := range []struct{ name, password, want string }{
		{"", right, "the name is empty"},
		{strings.Repeat("x", 257), right, "longer than 256 bytes"},
		{"a\nb", right, "invisible characters"},
		{"ann\u202e", right, "invisible characters"},
		{"a\u200bnn", right, "invisible characters"},
		{"ann\u2800", right, "invisible characters"}, // a Braille pattern without dots
		{"a\xff", right, "not UTF-8"},
		{" bob", right, "begins or ends with a space"},
		{"bob", "", "at least 8 characters"},
		{"bob", "七个字的密码啊", "at least 8 characters"},
		{"bob", "1234567\xff", "not UTF-8"},
		{"bob", strings.Repeat("x", 1025), "at most 1024 bytes"},
		{"bob", "password1", "one of the most common"},
		{"bob", "Password1", "one of the most common"},
		{"bob", " iloveyou1 ", "one of the most common"},
		{"bob", "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44", "one of the most common"}, // full width
		{"bob.builder", "Bob.Builder", "or the user's name"},
		{"ann", right, store.ErrExists.Error()},
	} {
		err := d.Add(t.Context(), c.name, c.password)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.name, err, c.want)
		}
		if err != nil && c.password != "" && strings.Contains(err.Error(), c.password) {
			t.Errorf("the error has the password in it: %v", err)
		}
	}
	if list, err := users.Users(t.Context()); len(list) != 1 || err != nil {
		t.Errorf("%v, %v; want ann alone", list, err)
	}
}

// A user who pastes a name, or whose keyboard completes it, may send a space with it.
func TestSpacesAroundANameDoNotCount(t *testing.T) {
	d, _ := newDirectory(t, cheap)
	add(t, d, "ann", right)
	for _, name := range []string{"ann ", " ann", "\u00a0ann\t"} {
		if ann, err := d.Authenticate(t.Context(), name, right); err != nil || ann.Username != "ann" {
			t.Errorf("%q: %+v, %v", name, ann, err)
		}
		if subject, err := d.SubjectOf(t.Context(), name); err != nil || subject == "" {
			t.Errorf("%q: subject %q, %v", name, subject, err)
		}
	}
}

func TestCommonPasswordsMayBeAllowed(t *testing.T) {
	d, _ := newDirectory(t, directory.Config{Memory: 64, Iterations: 1, MinPassword: 4, AllowCommon: true})
	add(t, d, "demo", "demo")
}

func TestAPasswordIsChangedAndAUserRemoved(t *testing.T) {
	d, _ := newDirectory(t, cheap)
	add(t, d, "ann", right)
	before, err := d.Find(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"short", "football1"} {
		if err := d.SetPassword(t.Context(), "ann", bad); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
	if err := d.SetPassword(t.Context(), "ann", "a new password"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Authenticate(t.Context(), "ann", right); !errors.Is(err, server.ErrInvalidCredentials) {
		t.Errorf("the old password: %v", err)
	}
	if ann, err := d.Authenticate(t.Context(), "ann", "a new password"); err != nil || ann.Subject != before.Subject {
		t.Errorf("the new password: %+v, %v", ann, err)
	}

	if err := d.Remove(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Authenticate(t.Context(), "ann", "a new password"); !errors.Is(err, server.ErrInvalidCredentials) {
		t.Errorf("a removed user: %v", err)
	}
	for doing, err := range map[string]error{
		"change": d.SetPassword(t.Context(), "ann", right),
		"remove": d.Remove(t.Context(), "ann"),
		"find":   func() error { _, err := d.Find(t.Context(), "ann"); return err }(),
	} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", doing, err)
		}
	}

	// A new user of the same name is not the user of the session.
	add(t, d, "ann", right)
	if ann, _ := d.Authenticate(t.Context(), "ann", right); ann.Subject == before.Subject {
		t.Error("a new user has the subject of a removed one")
	}
}

func TestAHashOfAnotherCostIsReplacedAtTheNextSignIn(t *testing.T) {
	old, users := newDirectory(t, cheap)
	add(t, old, "ann", right)
	dearer := directory.New(users, directory.Config{Memory: 128, Iterations: 2})

	_, _ = dearer.Authenticate(t.Context(), "ann", "wrong password")
	if ann, _ := old.Find(t.Context(), "ann"); !strings.Contains(ann.PasswordHash, "m=64,t=1,p=1") {
		t.Errorf("a wrong password replaced the hash")
	}
	for range 2 {
		if _, err := dearer.Authenticate(t.Context(), "ann", right); err != nil {
			t.Fatal(err)
		}
		if ann, _ := old.Find(t.Context(), "ann"); !strings.Contains(ann.PasswordHash, "m=128,t=2,p=1") {
			t.Errorf("the hash was not replaced")
		}
	}
}

// By default, the cost is what the documentation says.
func TestTheDefaultCost(t *testing.T) {
	d, _ := newDirectory(t, directory.Config{})
	add(t, d, "ann", right)
	if ann, _ := d.Find(t.Context(), "ann"); !strings.HasPrefix(ann.PasswordHash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Error("another cost than documented")
	}
}

func TestWhoWaitsForATurnMayGiveUp(t *testing.T) {
	d, _ := newDirectory(t, directory.Config{Memory: 64, Iterations: 1, Concurrency: 1})
	add(t, d, "ann", right)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Authenticate(ctx, "ann", right); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if _, err := d.Authenticate(t.Context(), "ann", right); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// The directory refuses excess sign-ins at once instead of queueing them for minutes.
func TestTheQueueIsBounded(t *testing.T) {
	d, _ := newDirectory(t, directory.Config{Concurrency: 1})
	add(t, d, "ann", right)
	var busy, checked atomic.Int64
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			_, err := d.Authenticate(t.Context(), "ann", "a guess")
			switch {
			case errors.Is(err, directory.ErrBusy):
				busy.Add(1)
			case errors.Is(err, server.ErrInvalidCredentials):
				checked.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if busy.Load() == 0 || checked.Load() == 0 {
		t.Errorf("%d turned away, %d checked; want some of both", busy.Load(), checked.Load())
	}
	if _, err := d.Authenticate(t.Context(), "ann", right); err != nil {
		t.Errorf("when the flood is over: %v", err)
	}
}

// The identity from a sign-in is no longer valid after a change of the password, or if
// another user has the name. Replacing a hash by one of another cost keeps it valid.
func TestWhetherASignInIsStillValid(t *testing.T) {
	d, users := newDirectory(t, cheap)
	add(t, d, "ann", right)
	ann, err := d.Authenticate(t.Context(), "ann", right)
	if err != nil {
		t.Fatal(err)
	}
	want := func(wanted bool, when string) {
		t.Helper()
		if valid, err := d.StillValid(t.Context(), ann); valid != wanted || err != nil {
			t.Errorf("%s: %v, %v; want %v", when, valid, err, wanted)
		}
	}
	want(true, "at once")
	dearer := directory.New(users, directory.Config{Memory: 128, Iterations: 1})
	if _, err := dearer.Authenticate(t.Context(), "ann", right); err != nil {
		t.Fatal(err)
	}
	want(true, "with another hash of the same password")
	if err := d.SetPassword(t.Context(), "ann", right); err != nil {
		t.Fatal(err)
	}
	want(false, "with a new password, though it is the same")
	if ann, err = d.Authenticate(t.Context(), "ann", right); err != nil {
		t.Fatal(err)
	}
	if err := d.Remove(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	want(false, "when the user is gone")
	add(t, d, "ann", right)
	want(false, "with another user of that name")
}

// Compare the two: an unknown name must cost as much as a wrong password.
func BenchmarkAuthenticate(b *testing.B) {
	d, _ := newDirectory(b, directory.Config{})
	add(b, d, "ann", right)
	for _, name := range []string{"ann", "nobody"} {
		b.Run(fmt.Sprintf("%s/wrong password", name), func(b *testing.B) {
			for b.Loop() {
				_, _ = d.Authenticate(b.Context(), name, "wrong password")
			}
		})
	}
}
