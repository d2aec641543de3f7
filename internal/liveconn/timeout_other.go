//go:build !linux && !darwin

package liveconn

import "time"

// setUserTimeout does nothing: the system has no such option, so only keep-alive probes
// and HTTP/2 pings detect a dead connection.
func setUserTimeout(uintptr, time.Duration) {}
