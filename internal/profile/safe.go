package profile

import (
	"fmt"
	"os"
	"runtime"
)

// checkSettings refuses settings that others can change, because the settings decide
// where passwords and tokens go. It also refuses anything but a regular file, because
// opening a pipe could hang.
func checkSettings(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file: move it away, and sign in again", path)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 && runtime.GOOS != "windows" {
		return fmt.Errorf("%s can be changed by others (mode %04o), and with it where passwords and tokens go: look into it, and run chmod 600 %[1]s", path, mode)
	}
	return nil
}
