package main

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/profile"
	"github.com/tandem-auth/tandem/internal/storage"
	"github.com/tandem-auth/tandem/store"
)

// What others have chosen, as a user's name and a server's message, does not play with
// the terminal.
func TestNothingHiddenGetsToATerminal(t *testing.T) {
	var out, errs strings.Builder
	c := console{out: &out, err: &errs}
	if err := c.print(nil, "Signed in as %s.\n", "ann\x1b[2J\u202e"); err != nil {
		t.Fatal(err)
	}
	c.report(failure{Message: "the server says \x1b]0;x\x07no\u200b\nand no"})
	if got := out.String(); got != "Signed in as ann[2J.\n" {
		t.Errorf("printed %q", got)
	}
	if got := errs.String(); got != "tandem: the server says ]0;xno\nand no\n" {
		t.Errorf("reported %q", got)
	}
}

// The same holds for what a server answers, and for what is kept in files that a server's
// answer has got into.
func TestNothingHiddenOfAServerGetsToATerminal(t *testing.T) {
	var out, errs strings.Builder
	c := console{out: &out, err: &errs}
	expect := func(name, want string) {
		t.Helper()
		if got := out.String(); got != want {
			t.Errorf("%s printed %q, want %q", name, got, want)
		}
		if got := errs.String(); strings.ContainsAny(got, "\x1b\u202e\u200b") {
			t.Errorf("%s warned %q", name, got)
		}
		out.Reset()
		errs.Reset()
	}

	fetch := fetchCommand{Include: true}
	err := fetch.show(&http.Response{
		Proto: "HTTP/1.1", Status: "200 \x1b[31mOK", Header: http.Header{"X-Odd": {"a\u202eb\x1b[2J"}},
		Body: io.NopCloser(strings.NewReader("\x1b is the body's own affair")),
	}, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	expect("fetch", "HTTP/1.1 200 [31mOK\nX-Odd: ab[2J\n\n\x1b is the body's own affair")

	c.warn("odd", "the server says %s", "\x1b]0;x\x07no\u200b")
	expect("a warning", "")

	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	root, err := profile.Root()
	if err != nil {
		t.Fatal(err)
	}
	p, err := profile.New(root, profile.Default, "http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Save(); err != nil {
		t.Fatal(err)
	}
	kept, err := p.Store()
	if err != nil {
		t.Fatal(err)
	}
	pair := tandem.Pair{Issuer: p.URL, SessionID: "1", Username: "\x1b[31mann\u202e", AccessToken: "a", RefreshToken: "r"}
	if swapped, err := kept.CompareAndSwap(t.Context(), tandem.Pair{}, pair); !swapped || err != nil {
		t.Fatal(swapped, err)
	}
	if err := (&statusCommand{Offline: true}).Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	expect("status", "Signed in to http://127.0.0.1:1 as [31mann.\nThe access token has run out; the next one is fetched when it is needed.\n")
	if err := (&profilesCommand{}).Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	expect("profiles", "  NAME     SERVER              USER     KEPT IN\n* default  http://127.0.0.1:1  [31mann  file\n")

	data := t.TempDir()
	users, err := storage.Folder(data).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The directory refuses such a name; another program may have written it.
	user := store.User{Name: "\x1b[31mann\u202e", Subject: "s\u200b", PasswordHash: "x", Version: 1, CreatedAt: time.Unix(1_800_000_000, 0)}
	if err := errors.Join(users.AddUser(t.Context(), user), users.Close()); err != nil {
		t.Fatal(err)
	}
	list := userListCommand{storeFlags{Data: data}}
	if err := list.Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	expect("user list", "NAME     SUBJECT  SINCE       ROLES  STATE\n[31mann  s        "+user.CreatedAt.Format(time.DateOnly)+"         active\n")
}
