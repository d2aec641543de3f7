// Package reconnect contains the parts that the long-lived streams of a session share:
// a loop that connects again when a connection is lost, and handshakes that carry the
// session's access token.
package reconnect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/retryafter"
)

const (
	// settled is how long a connection must last to reset the wait.
	settled = 10 * time.Second

	// maxAsked is the longest wait that a server can ask for.
	maxAsked = time.Hour
)

// A Loop connects again and again, until an attempt says that it was the last one. Its
// zero value is ready to use.
type Loop struct {
	// MinWait is the wait after the first failure. Each further failure doubles the
	// wait; the loop subtracts a random part of up to a half. Defaults to 1 second.
	MinWait time.Duration

	// MaxWait bounds the doubling. Defaults to 30 seconds, or to MinWait if that is
	// longer.
	MaxWait time.Duration

	// Logger gets a line for each connection that was lost or could not be made.
	// Defaults to none.
	Logger *slog.Logger

	// Jitter draws from [0, limit), for limit > 0. Defaults to drawing at random.
	Jitter func(limit time.Duration) time.Duration
}

// Check returns an error that names the wrong field.
func (l Loop) Check() error {
	switch {
	case l.MinWait < 0:
		return fmt.Errorf("Options.MinWait: %s is negative", l.MinWait)
	case l.MaxWait < 0:
		return fmt.Errorf("Options.MaxWait: %s is negative", l.MaxWait)
	}
	return nil
}

// An Attempt says how one connection ended.
type Attempt struct {
	// Err is the error that ended the connection.
	Err error
	// Done makes the loop end and return Err.
	Done bool
	// Opened is when the server accepted the handshake; zero if it did not.
	Opened time.Time
	// Useful resets the wait even if the connection was short, because it did its work.
	Useful bool
	// AtOnce makes the next attempt follow without a wait.
	AtOnce bool
	// AtLeast is how long the server asked the client to wait.
	AtLeast time.Duration
}

// Settled reports whether the connection lasted long enough to reset the wait.
func (a Attempt) Settled() bool {
	return !a.Opened.IsZero() && time.Since(a.Opened) >= settled
}

// Run calls connect, waits and calls it again, until an attempt is done, ctx ends or
// the session ends. It returns an [*tandem.EndedError], [tandem.ErrClosed],
// [tandem.ErrNotSignedIn], [tandem.ErrUserChanged] and [ErrForeignOrigin] unchanged,
// and tries again after a [*tandem.TemporaryError].
func (l Loop) Run(ctx context.Context, connect func(context.Context) Attempt) error {
	l = l.withDefaults()
	for failures := 1; ; failures++ {
		a := l.attempt(ctx, connect)
		switch {
		case a.Done || isEnd(a.Err):
			return a.Err
		case ctx.Err() != nil:
			return ctx.Err()
		case a.Useful || a.Settled():
			failures = 1
		}
		wait := l.wait(failures, a)
		if a.Opened.IsZero() {
			l.Logger.InfoContext(ctx, "connection failed", "error", a.Err, "again_in", wait)
		} else {
			l.Logger.InfoContext(ctx, "connection lost", "error", a.Err, "again_in", wait)
		}
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

// attempt calls connect with a context that ends when connect returns.
func (l Loop) attempt(ctx context.Context, connect func(context.Context) Attempt) Attempt {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return connect(ctx)
}

// isEnd reports whether err means that no later handshake of the stream can succeed.
func isEnd(err error) bool {
	if _, ok := errors.AsType[*tandem.EndedError](err); ok {
		return true
	}
	for _, end := range []error{tandem.ErrClosed, tandem.ErrNotSignedIn, tandem.ErrUserChanged, ErrForeignOrigin} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// wait returns how long to wait after the given number of failures in a row. The wait
// is never shorter than the server asked for; a random part on top spreads the clients.
func (l Loop) wait(failures int, a Attempt) time.Duration {
	asked := a.AtLeast
	if temporary, ok := errors.AsType[*tandem.TemporaryError](a.Err); ok {
		asked = max(asked, time.Until(temporary.RetryAt))
	}
	asked = min(max(asked, 0), maxAsked)
	if a.AtOnce && asked == 0 {
		return 0
	}
	longest := l.MinWait
	for range failures - 1 {
		if longest >= l.MaxWait/2 {
			longest = l.MaxWait
			break
		}
		longest *= 2
	}
	return max(longest-l.Jitter(longest/2+1), asked+l.Jitter(asked/4+1))
}

func sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

func (l Loop) withDefaults() Loop {
	if l.MinWait == 0 {
		l.MinWait = time.Second
	}
	if l.MaxWait == 0 {
		l.MaxWait = 30 * time.Second
	}
	l.MaxWait = max(l.MaxWait, l.MinWait)
	if l.Logger == nil {
		l.Logger = slog.New(slog.DiscardHandler)
	}
	if l.Jitter == nil {
		l.Jitter = rand.N
	}
	return l
}

// Definitive reports whether a status that refuses a handshake is final. The status of
// a busy server is not final. A status below 400 (such as 200 with an HTML page) means
// that the URL is wrong, unless the stream has been open before: then the page comes
// from a proxy or a captive portal, and a later handshake may succeed.
func Definitive(status int, openedBefore bool) bool {
	switch {
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return false
	case status >= http.StatusInternalServerError:
		return false
	case status >= http.StatusBadRequest:
		return true
	}
	return !openedBefore
}

// RetryAfter returns the wait that the Retry-After header asks for (RFC 9110 section
// 10.2.3), at most an hour; 0 if there is none.
func RetryAfter(header http.Header) time.Duration {
	return retryafter.Parse(header, time.Now(), maxAsked)
}
