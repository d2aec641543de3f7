// Package retryafter reads and writes the Retry-After header (RFC 9110 section 10.2.3).
package retryafter

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Name of the header.
const Name = "Retry-After"

// Parse returns how long a server asks to wait, at most longest; 0 if it doesn't. A date
// is compared with the server's own clock, the Date header, or with now without one.
func Parse(header http.Header, now time.Time, longest time.Duration) time.Duration {
	text := header.Get(Name)
	var asked time.Duration
	if seconds, err := strconv.Atoi(text); err == nil || errors.Is(err, strconv.ErrRange) {
		asked = time.Duration(min(max(seconds, 0), int(longest/time.Second))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		if date, err := http.ParseTime(header.Get("Date")); err == nil {
			now = date
		}
		asked = at.Sub(now)
	}
	return min(max(asked, 0), longest)
}

// Format returns the header for a wait: whole seconds, rounded up, at least one.
func Format(wait time.Duration) string {
	return strconv.FormatInt(int64(max(1, math.Ceil(wait.Seconds()))), 10)
}
