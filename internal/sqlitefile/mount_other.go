//go:build !linux

package sqlitefile

import "os"

func isOnReadOnly(*os.File) bool { return false }
