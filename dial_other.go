//go:build !linux && !darwin

package tandem

import "time"

// setUserTimeout does nothing: keep-alive probes and HTTP/2 pings have to do.
func setUserTimeout(uintptr, time.Duration) {}
