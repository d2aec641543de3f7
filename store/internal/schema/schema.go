// Package schema is what the stores in SQL share about their migrations.
package schema

import (
	"io/fs"
	"strconv"
	"strings"
)

// Newest returns the version of the last migration in a folder of files such as
// 00001_users.sql.
func Newest(files fs.FS, folder string) (version int64, _ error) {
	entries, err := fs.ReadDir(files, folder)
	if err != nil {
		return 0, err
	}
	for _, entry := range entries {
		number, _, _ := strings.Cut(entry.Name(), "_")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return 0, err
		}
		version = max(version, n)
	}
	return version, nil
}
