package main

import (
	"os"
	"runtime"
	"runtime/debug"

	"modernc.org/sqlite"
)

// gcPercent suits a server with a small heap: with Go's default of 100 the runtime would
// collect garbage every few milliseconds, to save some 20 MB.
const gcPercent = 400

// tune sets the garbage collector and the number of Go's processors, unless GOGC or
// GOMAXPROCS is set. The goroutine that writes an embedded SQLite database spends most of
// its time in a system call, waiting for the disk, and occupies one of Go's processors
// meanwhile; one more processor keeps the machine's CPUs busy.
func tune(embedded bool) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if !embedded {
		return
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
	// SQLite then syncs the data and the metadata needed to read it, but not the file's
	// timestamps, as the SQLite of Linux distributions does. On macOS and Windows the call
	// fails and changes nothing.
	_, _ = sqlite.Fdatasync(true)
}
