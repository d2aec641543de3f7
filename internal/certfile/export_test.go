package certfile

import "time"

// SetNow replaces the clock.
func (p *Pair) SetNow(now func() time.Time) { p.now = now }
