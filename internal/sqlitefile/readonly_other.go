//go:build !unix

package sqlitefile

func isReadOnly(error) bool { return false }
