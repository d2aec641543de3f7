package sqlitefile

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Exposed describes what other users of the machine can do to the database at path and to
// its folder. The result is empty if the permissions are those that [NewLock] and the
// store set.
func Exposed(path string) []string {
	if runtime.GOOS == "windows" {
		return nil
	}
	var found []string
	if s := ExposedFolder(filepath.Dir(path), "a database"); s != "" {
		found = append(found, s)
	}
	for _, suffix := range []string{"", "-wal", "-shm", lockSuffix} {
		if s := exposedFile(path + suffix); s != "" {
			found = append(found, s)
		}
	}
	return found
}

// ExposedFolder describes what other users of the machine can do to a folder, in which
// what they would put is named by thing, such as "a backup". The result is empty if only
// its owner may write there, and that is this process's user or root.
func ExposedFolder(path, thing string) string {
	if runtime.GOOS == "windows" {
		return ""
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return ""
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Sprintf("others can put %s of theirs into the folder %s (mode %04o): run chmod go-w %[2]s", thing, path, info.Mode().Perm())
	case isStrangers(info):
		return fmt.Sprintf("the folder %s belongs to the user %d, who can put %s there: run chown", path, ownerOf(info), thing)
	}
	return ""
}

func exposedFile(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	switch mode := info.Mode().Perm(); {
	case mode&0o022 != 0:
		return fmt.Sprintf("others can change %s (mode %04o): run chmod 600 %[1]s", path, mode)
	case mode&0o044 != 0:
		return fmt.Sprintf("others can read %s (mode %04o), with the hashes of passwords in it: run chmod 600 %[1]s", path, mode)
	case isStrangers(info):
		return fmt.Sprintf("%s belongs to the user %d, who can change it: run chown", path, ownerOf(info))
	}
	return ""
}

// isStrangers reports whether a file belongs to neither this process's user nor root.
func isStrangers(info fs.FileInfo) bool {
	owner := ownerOf(info)
	return owner > 0 && owner != os.Geteuid()
}
