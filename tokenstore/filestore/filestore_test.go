package filestore_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/tokenstore/filestore"
	"github.com/tandem-auth/tandem/tokenstore/tokenstoretest"
)

func open(t testing.TB, path string) *filestore.Store {
	t.Helper()
	s, err := filestore.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	tokenstoretest.Run(t, func(t testing.TB) func() tandem.Store {
		path := filepath.Join(t.TempDir(), "session.json")
		return func() tandem.Store { return open(t, path) }
	})
}

func somePair() tandem.Pair {
	return tandem.Pair{SessionID: "1", AccessToken: "geheim-a", RefreshToken: "geheim-r", ExpiresAt: time.Now()}
}

func keep(t *testing.T, s *filestore.Store, prev, next tandem.Pair) {
	t.Helper()
	if swapped, err := s.CompareAndSwap(t.Context(), prev, next); !swapped || err != nil {
		t.Fatal(swapped, err)
	}
}

func TestTheFileIsForItsOwnerAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	path := filepath.Join(t.TempDir(), "new", "folder", "session.json")
	keep(t, open(t, path), tandem.Pair{}, somePair())
	for file, want := range map[string]os.FileMode{
		path: 0o600, path + ".swap": 0o600, filepath.Dir(path): 0o700, filepath.Dir(filepath.Dir(path)): 0o700,
	} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want mode %04o", file, info, err, want)
		}
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := filestore.Open(path); err == nil || !strings.Contains(err.Error(), "run chmod 600 "+path) {
		t.Errorf("a file that the group can read: %v", err)
	}
}

// The error for an unusable file names the file, shows nothing of its content, and
// leaves it unchanged.
func TestFilesThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"empty":          {"", "is damaged: delete it, and sign in again"},
		"cut short":      {`{"version":1,"pair":{"refreshToken":"gehe`, "is damaged"},
		"of wrong types": {`{"version":1,"pair":{"refreshToken":["geheim"]}}`, "is damaged"},
		"newer":          {`{"version":3,"pair":{}}`, "was written by a newer version (format 3"},
		"something else": {`{"refreshToken":"geheim"}`, "is not a session"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "session.json")
			s := open(t, path)
			if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, openErr := filestore.Open(path)
			_, loadErr := s.Load(t.Context())
			_, swapErr := s.CompareAndSwap(t.Context(), tandem.Pair{}, somePair())
			for call, err := range map[string]error{"Open": openErr, "Load": loadErr, "CompareAndSwap": swapErr} {
				if !errors.Is(err, filestore.ErrUnusable) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "gehe") {
					t.Errorf("%s: %v, want %q", call, err, c.want)
				}
			}
			if after, _ := os.ReadFile(path); string(after) != c.content {
				t.Error("the file was changed")
			}
		})
	}
	if _, err := filestore.Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is a folder, not a file") {
		t.Errorf("a folder: %v", err)
	}
}

// If the path is a link to another place, the link stays.
func TestALinkStaysALink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target.json"), filepath.Join(dir, "link.json")
	keep(t, open(t, target), tandem.Pair{}, somePair())
	if err := os.Symlink(target, link); err != nil {
		t.Skip(err)
	}
	next := somePair()
	next.RefreshToken = "another"
	keep(t, open(t, link), somePair(), next)
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link: %v, %v", info, err)
	}
	if got, err := open(t, target).Load(t.Context()); err != nil || got.RefreshToken != "another" {
		t.Errorf("its target: %v, %v", got, err)
	}
}

// A link may lead to a file that does not exist, before the first sign-in or after a
// sign-out. All processes use the link's target, whenever they start.
func TestALinkToAFileThatIsNotThere(t *testing.T) {
	folder := t.TempDir()
	target, link, relative := filepath.Join(folder, "real.json"), filepath.Join(folder, "link.json"), filepath.Join(folder, "relative.json")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("link.json", relative); err != nil {
		t.Fatal(err)
	}
	early := open(t, link)
	keep(t, early, tandem.Pair{}, somePair())
	keep(t, early, somePair(), tandem.Pair{})
	late := open(t, relative)
	keep(t, late, tandem.Pair{}, somePair())
	if got, err := early.Load(t.Context()); err != nil || got.RefreshToken != somePair().RefreshToken {
		t.Errorf("the one that was there before has %v, %v", got, err)
	}
	if early.Path() != late.Path() {
		t.Errorf("they use %s and %s", early.Path(), late.Path())
	}

	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("relative.json", link); err != nil {
		t.Fatal(err)
	}
	if _, err := filestore.Open(link); err == nil || !strings.Contains(err.Error(), "links") {
		t.Errorf("links in a circle: %v", err)
	}
}

// After a crash in the middle of a write, the temporary file does no harm, and the next
// write removes it. Files of other programs stay.
func TestWhatACrashLeavesBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "session.json")
	s := open(t, path)
	keep(t, s, tandem.Pair{}, somePair())
	for _, name := range []string{".123.new", ".456.new", ".mine.new", ".456.old"} {
		if err := os.WriteFile(path+name, []byte(`{"version":1,"pa`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := open(t, path).Load(context.Background()); err != nil || got.RefreshToken != somePair().RefreshToken {
		t.Errorf("got %v, %v", got, err)
	}
	keep(t, s, somePair(), tandem.Pair{})
	for name, want := range map[string]bool{".123.new": false, ".456.new": false, ".mine.new": true, ".456.old": true} {
		if _, err := os.Stat(path + name); errors.Is(err, fs.ErrNotExist) == want {
			t.Errorf("%s: %v, want it there: %v", name, err, want)
		}
	}
}

// In a folder that everybody can write, everybody could replace the file with a session
// of their own. In a folder like /tmp nobody can.
func TestAFolderThatEverybodyCanWrite(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	folder := t.TempDir()
	for mode, want := range map[os.FileMode]string{
		0o777:                 "run chmod o-w " + folder,
		0o777 | os.ModeSticky: "",
		0o770:                 "",
	} {
		if err := os.Chmod(folder, mode); err != nil {
			t.Fatal(err)
		}
		_, err := filestore.Open(filepath.Join(folder, "session.json"))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("mode %v: %v, want %q", mode, err, want)
		}
	}
}
