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
// unusable until a person or a program acts: by every [UnsafeError], and by the error
// for a file that is damaged, has a later format or contains no session. Trying again
// does not help; a program may offer to [Forget] the session and to sign in again.
var ErrUnusable = errors.New("the session file cannot be used as it is")

// An UnsafeError reports that a session file, its folder or a lock file beside it has
// the wrong owner or mode, or is not a regular file. It matches [ErrUnusable].
type UnsafeError struct {
	Path    string // the file or folder
	Problem string // such as "can be read by others (mode 0644)"
	Cure    string // what the user can do, such as "run chmod 600 PATH"
	Err     error  // the system's error, such as fs.ErrPermission; may be nil
}

// Error names the file, its owner or mode, and what the user can do.
func (e *UnsafeError) Error() string { return e.Path + " " + e.Problem + ": " + e.Cure }

// Unwrap returns the system's error.
func (e *UnsafeError) Unwrap() error { return e.Err }

// Is reports whether target is [ErrUnusable].
func (e *UnsafeError) Is(target error) bool { return target == ErrUnusable }

// An unusableError reports that the content of a file is no usable session. It matches
// ErrUnusable.
type unusableError struct{ error }

func (u unusableError) Unwrap() error      { return u.error }
func (unusableError) Is(target error) bool { return target == ErrUnusable }

// notAFile returns the error for a path at which there is something other than a
// regular file.
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

// readableByOthers returns an error if users other than the owner may access the file
// at path.
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

// explain turns a denied permission into an [UnsafeError], which names the owner of the
// file or folder and the command that restores access. path is the session file, place
// the file or folder that could not be opened, created or changed. explain returns any
// other error unchanged.
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

// takeOver returns the command that gives files back to a user after a program that ran
// with sudo left them to root. It names the files of the session at path, or the
// outermost folder above place that lies in a folder of the user's own. It does not
// name folders elsewhere.
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

// isAnothers reports whether the user uid is not this process's own. For root, every
// file counts as its own.
func isAnothers(uid int) bool { return uid != os.Geteuid() && os.Geteuid() != 0 }

func myName() string { return nameOf(os.Geteuid()) }

// nameOf returns a user's name, or the user's ID if there is no name, as in a
// container.
func nameOf(uid int) string {
	if found, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return found.Username
	}
	return strconv.Itoa(uid)
}
