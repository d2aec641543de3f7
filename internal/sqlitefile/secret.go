package sqlitefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// maxSecret bounds how many bytes readSecret reads.
const maxSecret = 64 << 10

// readSecret reads a file, and fails if other users of the machine can read it too. If
// the file is a pipe, it does not wait for a writer.
func readSecret(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|nonBlocking, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkSecret(f, info); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecret))
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w; let this user read it: mode 0400 and its owner, or mode 0440 and its group", err)
	}
	return text, err
}

// checkSecret fails for a file that other users can read or write.
func checkSecret(f *os.File, info fs.FileInfo) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	s := secret{path: f.Name(), mode: info.Mode().Perm(), self: os.Geteuid(), onReadOnly: isOnReadOnly(f)}
	s.owner = ownerOf(info)
	folder, err := filepath.EvalSymlinks(filepath.Dir(f.Name()))
	if err != nil {
		return err
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return err
	}
	s.shut, s.inSecrets = isShut(folder), slices.Contains([]string{"/run/secrets", "/var/run/secrets"}, folder)
	return s.check()
}

// isShut reports whether neither the group nor others can reach the files in a folder.
func isShut(folder string) bool {
	for {
		if info, err := os.Lstat(folder); err == nil && info.Mode().Perm()&0o011 == 0 {
			return true
		}
		above := filepath.Dir(folder)
		if above == folder {
			return false
		}
		folder = above
	}
}

// A secret describes the permissions and the place of a file that contains a secret.
type secret struct {
	path        string
	mode        fs.FileMode
	owner, self int  // IDs of the file's user and of this process's user
	onReadOnly  bool // on a read-only mount, as platforms mount secrets
	inSecrets   bool // in the folder in which containers get their secrets
	shut        bool // in a folder that others cannot enter
}

// check returns an error if other users can read or write the file; the error says what to
// do. A file that this process's user owns must be accessible to that user only. The mode of
// a file that a platform mounts is the platform's choice: 0444 (Docker), 0440 with the group
// of the process (Kubernetes with fsGroup, systemd), or 0644 (Kubernetes).
func (s secret) check() error {
	open := s.mode & 0o077
	switch {
	case open == 0, s.onReadOnly, s.shut && s.owner != s.self:
		return nil
	case s.owner == 0 && open&^0o040 == 0 && (s.self != 0 || s.mode&0o222 == 0):
		return nil // root has given the file to a group of this process
	case s.inSecrets && s.owner == 0 && s.mode&0o222 == 0:
		return nil
	case s.owner == s.self:
		return fmt.Errorf("%s can be read by others (mode %04o): run chmod 600 %[1]s, and replace the key if others had access", s.path, s.mode)
	case open&0o022 != 0:
		return fmt.Errorf("%s can be written by others (mode %04o): have its owner, the user %d, run chmod 440 %[1]s and give it to this user's group", s.path, s.mode, s.owner)
	default:
		return fmt.Errorf("%s can be read by others (mode %04o): have its owner, the user %d, give it to this user or group alone "+
			"(chmod 440 and chgrp), or mount it as a read-only secret; and replace the key if others had access", s.path, s.mode, s.owner)
	}
}
