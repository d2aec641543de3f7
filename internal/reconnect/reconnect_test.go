package reconnect_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/reconnect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errLost = errors.New("connection reset")

// steady removes the random part, so that each wait is the longest possible.
func steady(time.Duration) time.Duration { return 0 }

// waits returns how long the loop waits after each attempt. A further attempt ends the
// loop.
func waits(t *testing.T, l reconnect.Loop, attempts ...func() reconnect.Attempt) []time.Duration {
	t.Helper()
	var all []time.Duration
	synctest.Test(t, func(t *testing.T) {
		var ended time.Time
		err := l.Run(t.Context(), func(context.Context) reconnect.Attempt {
			if !ended.IsZero() {
				all = append(all, time.Since(ended))
			}
			if len(attempts) == 0 {
				return reconnect.Attempt{Done: true}
			}
			a := attempts[0]()
			attempts = attempts[1:]
			ended = time.Now()
			return a
		})
		if err != nil {
			t.Error(err)
		}
	})
	return all
}

func TestHowLongItWaits(t *testing.T) {
	lost := func() reconnect.Attempt { return reconnect.Attempt{Err: errLost} }
	lasted := func(life time.Duration) func() reconnect.Attempt {
		return func() reconnect.Attempt {
			opened := time.Now()
			time.Sleep(life)
			return reconnect.Attempt{Err: errLost, Opened: opened}
		}
	}
	slow := func() reconnect.Attempt {
		time.Sleep(time.Minute)
		return lost()
	}
	useful := func() reconnect.Attempt { return reconnect.Attempt{Err: errLost, Useful: true} }
	asked := func(wait time.Duration) func() reconnect.Attempt {
		return func() reconnect.Attempt { return reconnect.Attempt{Err: errLost, AtLeast: wait} }
	}
	atOnce := func() reconnect.Attempt { return reconnect.Attempt{Err: errLost, AtOnce: true} }
	busy := func() reconnect.Attempt {
		return reconnect.Attempt{Err: fmt.Errorf("dial: %w", &tandem.TemporaryError{RetryAt: time.Now().Add(time.Minute), Err: errLost})}
	}
	type attempts = []func() reconnect.Attempt
	const s = time.Second
	for _, c := range []struct {
		name     string
		loop     reconnect.Loop
		attempts attempts
		want     []time.Duration
	}{
		{"twice as long each time, up to a limit", reconnect.Loop{}, attempts{lost, lost, lost, lost, lost, lost, lost}, []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 30 * s, 30 * s}},
		{"between other limits", reconnect.Loop{MinWait: 2 * s, MaxWait: 5 * s}, attempts{lost, lost, lost}, []time.Duration{2 * s, 4 * s, 5 * s}},
		{"a wait that is longer than the limit counts", reconnect.Loop{MinWait: time.Minute}, attempts{lost, lost}, []time.Duration{time.Minute, time.Minute}},
		{"a connection that lasted begins anew", reconnect.Loop{}, attempts{lost, lost, lasted(10 * s), lost}, []time.Duration{s, 2 * s, s, 2 * s}},
		{"one that didn't, does not", reconnect.Loop{}, attempts{lost, lost, lasted(9 * s)}, []time.Duration{s, 2 * s, 4 * s}},
		{"a handshake that took long is no connection", reconnect.Loop{}, attempts{lost, lost, slow}, []time.Duration{s, 2 * s, 4 * s}},
		{"one that was of use begins anew", reconnect.Loop{}, attempts{lost, lost, useful}, []time.Duration{s, 2 * s, s}},
		{"not at all", reconnect.Loop{}, attempts{atOnce, lost}, []time.Duration{0, 2 * s}},
		{"as the server asks", reconnect.Loop{}, attempts{asked(7 * s), asked(s)}, []time.Duration{7 * s, 2 * s}},
		{"a server that asks for a day is not believed", reconnect.Loop{}, attempts{asked(24 * time.Hour)}, []time.Duration{time.Hour}},
		{"as the session asks", reconnect.Loop{}, attempts{busy}, []time.Duration{time.Minute}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.loop.Jitter = steady
			if got := waits(t, c.loop, c.attempts...); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	t.Run("spread by chance, and never less than was asked for", func(t *testing.T) {
		most := func(limit time.Duration) time.Duration { return limit - 1 }
		got := waits(t, reconnect.Loop{Jitter: most}, lost, lost, asked(8*s))
		if want := []time.Duration{s / 2, s, 10 * s}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		for range 100 {
			if got := waits(t, reconnect.Loop{}, asked(8*s))[0]; got < 8*s || got > 10*s {
				t.Fatalf("waited %s", got)
			}
		}
	})
}

func TestWhatEndsIt(t *testing.T) {
	ended := &tandem.EndedError{SessionID: "1", Reason: "revoked"}
	for _, c := range []struct {
		name    string
		attempt reconnect.Attempt
		want    error
	}{
		{"it is done", reconnect.Attempt{Done: true}, nil},
		{"it is done, in vain", reconnect.Attempt{Done: true, Err: errLost}, errLost},
		{"the session has ended", reconnect.Attempt{Err: fmt.Errorf("dial: %w", ended)}, ended},
		{"the session is closed", reconnect.Attempt{Err: tandem.ErrClosed}, tandem.ErrClosed},
		{"nobody has signed in", reconnect.Attempt{Err: tandem.ErrNotSignedIn}, tandem.ErrNotSignedIn},
		{"another user has", reconnect.Attempt{Err: tandem.ErrUserChanged}, tandem.ErrUserChanged},
		{"the session has no business there", reconnect.Attempt{Err: reconnect.ErrForeignOrigin}, reconnect.ErrForeignOrigin},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				attempts := 0
				err := reconnect.Loop{}.Run(t.Context(), func(context.Context) reconnect.Attempt {
					attempts++
					return c.attempt
				})
				if !errors.Is(err, c.want) || attempts != 1 {
					t.Errorf("%v after %d attempts, want %v after 1", err, attempts, c.want)
				}
			})
		})
	}
}

func TestACallerThatGivesUpLeavesAtOnce(t *testing.T) {
	for name, connect := range map[string]func(context.Context) reconnect.Attempt{
		"while it waits": func(context.Context) reconnect.Attempt {
			return reconnect.Attempt{Err: errLost, AtLeast: time.Hour}
		},
		"while it is connected": func(ctx context.Context) reconnect.Attempt {
			<-ctx.Done()
			return reconnect.Attempt{Err: errLost}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				begun := time.Now()
				err := reconnect.Loop{}.Run(ctx, connect)
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Minute {
					t.Errorf("%v after %s", err, time.Since(begun))
				}
			})
		})
	}
}

// The context of a connection ends with the connection, not with the stream.
func TestAConnectionsContextEndsWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var before context.Context
		_ = reconnect.Loop{}.Run(t.Context(), func(ctx context.Context) reconnect.Attempt {
			if before != nil {
				if before.Err() == nil {
					t.Error("the first connection's context goes on")
				}
				return reconnect.Attempt{Done: true}
			}
			before = ctx //nolint:fatcontext // checked afterwards
			return reconnect.Attempt{Err: errLost}
		})
	})
}

func TestWhichAnswersAreTheLastWord(t *testing.T) {
	for status, want := range map[int]bool{
		400: true, 401: true, 403: true, 404: true, 410: true, 426: true,
		408: false, 425: false, 429: false, 500: false, 502: false, 503: false,
	} {
		for _, opened := range []bool{false, true} {
			if got := reconnect.Definitive(status, opened); got != want {
				t.Errorf("%d, opened before %v: %v", status, opened, got)
			}
		}
	}
	if !reconnect.Definitive(200, false) {
		t.Error("a page where there was never a stream: the URL is wrong")
	}
	if reconnect.Definitive(200, true) {
		t.Error("a page where there was a stream is that of something in between")
	}
}

func TestRetryAfter(t *testing.T) {
	if got := reconnect.RetryAfter(http.Header{"Retry-After": {"999999"}}); got != time.Hour {
		t.Errorf("%s, want an hour at most", got)
	}
}

func TestErrorsHaveNoURLInThem(t *testing.T) {
	err := reconnect.Bare(fmt.Errorf("dial: %w", &url.Error{Op: "Get", URL: "https://example.com/?key=secret", Err: errLost}))
	if err != errLost { //nolint:errorlint // must not be wrapped
		t.Error(err)
	}
	if reconnect.Bare(errLost) != errLost { //nolint:errorlint // must be unchanged
		t.Error("an error without a URL changed")
	}
}

func TestCheckNamesTheOption(t *testing.T) {
	for want, l := range map[string]reconnect.Loop{
		"Options.MinWait: -1s is negative": {MinWait: -time.Second},
		"Options.MaxWait: -1s is negative": {MaxWait: -time.Second},
	} {
		if err := l.Check(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
