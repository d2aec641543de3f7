//go:build !unix

package datadir

func isReadOnly(error) bool { return false }
