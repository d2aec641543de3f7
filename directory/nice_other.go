//go:build !linux

package directory

// inBackground runs do. Elsewhere than on Linux threads have no priority of their own.
func inBackground(do func()) { do() }
