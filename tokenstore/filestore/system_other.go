//go:build !unix

package filestore

import "io/fs"

const nonBlocking = 0

func ownerOf(fs.FileInfo) (uid int, known bool) { return 0, false }
