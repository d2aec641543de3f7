//go:build !unix

package sqlitefile

import "io/fs"

const nonBlocking = 0

func isReadOnly(error) bool { return false }

func ownerOf(fs.FileInfo) int { return -1 }
