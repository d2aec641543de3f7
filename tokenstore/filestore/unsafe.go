package filestore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// ErrUnusable is matched, by [errors.Is], by the error for a session file that stays
// useless until somebody does something: every [UnsafeError], and that for a file that
// is damaged, of a later format or no session at all. Trying again changes nothing; a
// program may offer to [Forget] the session and to sign in anew.
var ErrUnusable = errors.New("the session file cannot be used as it is")

// An UnsafeError is a session file, its folder or a lock beside it that has the wrong
// owner or mode, or that is no regular file. It matches [ErrUnusable].
type UnsafeError struct {
	Path    string // what is wrong
	Problem string // what is wrong with it: "can be read by others (mode 0644)"
	Cure    string // what its user can do: "run chmod 600 PATH"
	Err     error  // what the system said, such as fs.ErrPermission; may be nil
}

// Error names the file, its owner or mode, and what to do.
func (e *UnsafeError) Error() string { return e.Path + " " + e.Problem + ": " + e.Cure }

// Unwrap returns what the system said.
func (e *UnsafeError) Unwrap() error { return e.Err }

// Is reports whether target is [ErrUnusable].
func (e *UnsafeError) Is(target error) bool { return target == ErrUnusable }

// An unusableError is what a file has that cannot be read as a session. It matches ErrUnusable.
type unusableError struct{ error }

func (u unusableError) Unwrap() error      { return u.error }
func (unusableError) Is(target error) bool { return target == ErrUnusable }

// notAFile returns the error for what is in place of a file.
func notAFile(path string, mode fs.FileMode) error {
	var kind string
	switch mode.Type() {
	case fs.ModeDir:
		kind = "a folder"
	case fs.ModeNamedPipe:
		kind = "a named pipe"
	case fs.ModeSocket:
		kind = "a socket"
	default:
		kind = "a device"
	}
	return &UnsafeError{Path: path, Problem: "is " + kind + ", not a file", Cure: "move it away, or name another place"}
}

// readableByOthers returns the error for a file at path that is not its owner's alone,
// or nil.
func readableByOthers(path string, info fs.FileInfo) error {
	mode := info.Mode().Perm()
	if mode&0o077 == 0 || runtime.GOOS == "windows" {
		return nil
	}
	problem, cure := fmt.Sprintf("can be read by others (mode %04o)", mode), "run chmod 600 "+path
	if uid, known := ownerOf(info); known && isAnothers(uid) {
		problem = fmt.Sprintf("belongs to %s and can be read by others (mode %04o)", nameOf(uid), mode)
		cure = fmt.Sprintf("run sudo chown %s %s && chmod 600 %[2]s", myName(), path)
	}
	return &UnsafeError{Path: path, Problem: problem, Cure: cure + ", and sign out everywhere if others had access"}
}

// explain turns a permission that was denied into an [UnsafeError]: who owns what is in
// the way, and what gives it back. path is the session file, place what was opened, made
// or changed. An error that it cannot explain comes back as it is.
func explain(path, place string, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	info, statErr := os.Lstat(place)
	for statErr != nil && place != filepath.Dir(place) {
		place = filepath.Dir(place)
		info, statErr = os.Lstat(place)
	}
	if statErr != nil {
		return err
	}
	uid, known := ownerOf(info)
	mode, need := info.Mode().Perm(), fs.FileMode(0o600)
	if info.IsDir() {
		need = 0o700
	}
	unsafe := &UnsafeError{Path: place, Err: err}
	switch {
	case !known:
		return err
	case isAnothers(uid):
		unsafe.Problem = fmt.Sprintf("belongs to %s (mode %04o), and this process runs as %s", nameOf(uid), mode, myName())
		unsafe.Cure = takeOver(path, place, info.IsDir())
	case mode&need != need:
		unsafe.Problem = fmt.Sprintf("is closed to its owner (mode %04o)", mode)
		unsafe.Cure = fmt.Sprintf("run chmod %o %s", need, place)
	default:
		return err
	}
	return unsafe
}

// takeOver returns what gives a user back what a program that was run once with sudo
// has left to root: the files of the session at path, or the outermost folder above
// place that stands in one of the user's own. A folder elsewhere is none of the user's.
func takeOver(path, place string, isFolder bool) string {
	if !isFolder {
		theirs := slices.DeleteFunc([]string{path, path + swapSuffix, path + refreshSuffix}, isMineOrGone)
		return fmt.Sprintf("run sudo chown %s %s", myName(), strings.Join(theirs, " "))
	}
	for folder := place; folder != filepath.Dir(folder); folder = filepath.Dir(folder) {
		if isMineOrGone(filepath.Dir(folder)) {
			return fmt.Sprintf("run sudo chown -R %s %s", myName(), folder)
		}
	}
	return "name another place"
}

func isMineOrGone(path string) bool {
	info, err := os.Lstat(path)
	if err != nil {
		return true
	}
	uid, known := ownerOf(info)
	return !known || !isAnothers(uid)
}

// isAnothers reports whether a file of this owner is not this process's own. To root,
// everything is.
func isAnothers(uid int) bool { return uid != os.Geteuid() && os.Geteuid() != 0 }

func myName() string { return nameOf(os.Geteuid()) }

// nameOf returns a user's name, or the number of one that has none, as in a container.
func nameOf(uid int) string {
	if found, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return found.Username
	}
	return strconv.Itoa(uid)
}
