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
	if s := exposedFolder(filepath.Dir(path)); s != "" {
		found = append(found, s)
	}
	for _, suffix := range []string{"", "-wal", "-shm", lockSuffix} {
		if s := exposedFile(path + suffix); s != "" {
			found = append(found, s)
		}
	}
	return found
}

func exposedFolder(path string) string {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return ""
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Sprintf("others can put a database of theirs into the folder %s (mode %04o): run chmod go-w %[1]s", path, info.Mode().Perm())
	case isStrangers(info):
		return fmt.Sprintf("the folder %s belongs to the user %d, who can put another database there: run chown", path, ownerOf(info))
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
