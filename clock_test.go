package tandem_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
)

// A wallClock is what a machine shows whose clock was set, or which has slept: it has
// no monotonic reading.
type wallClock struct{ off atomic.Int64 }

func (c *wallClock) set(off time.Duration) { c.off.Store(int64(off)) }

func (c *wallClock) now() time.Time { return time.Now().Add(time.Duration(c.off.Load())).Round(0) }

// Whatever the clock does, it costs a refresh at most, and never the session.
func TestClocksThatJump(t *testing.T) {
	for name, c := range map[string]struct {
		jump              time.Duration
		refreshes, asked  int
		refreshesInTheEnd int // after the clock was put right, and the token has expired
	}{
		"a laptop that slept for a night":      {8 * time.Hour, 1, 1, 2},
		"a clock that is set ahead by a year":  {365 * 24 * time.Hour, 1, 1, 2},
		"a clock that is set back by a moment": {-time.Second, 0, 1, 1},
		"a clock that is set back by a year":   {-365 * 24 * time.Hour, 1, 1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			clock := &wallClock{}
			inWorld(t, func(w *world) {
				clock.set(c.jump)
				w.mustHello(w.session)
				w.expectServed(testserver.Refresh, c.refreshes)
				w.expectServed(testserver.Hello, c.asked)
				clock.set(0)
				w.expire()
				w.mustHello(w.session)
				w.expectServed(testserver.Refresh, c.refreshesInTheEnd)
				w.expectEnds()
			}, func(config *tandem.Config) { config.Now = clock.now })
		})
	}
}

// A token that was received in the future is replaced, once: nobody knows until when it
// is good.
func TestAClockThatIsBackWhenTheTokenExpires(t *testing.T) {
	clock := &wallClock{}
	inWorld(t, func(w *world) {
		clock.set(-time.Hour)
		w.expire()
		for range 3 {
			w.mustHello(w.session)
		}
		w.expectServed(testserver.Refresh, 1)
		w.expectServed(testserver.Hello, 3)
	}, func(config *tandem.Config) { config.Now = clock.now })
}
