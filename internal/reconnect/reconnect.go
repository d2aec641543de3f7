// Package reconnect is what long-lived streams of a session share: a loop that
// connects again and again, and handshakes that carry the session's access token.
package reconnect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/tandem-auth/tandem"
)

const (
	// settled is how long a connection has to last for what failed before it to be
	// forgotten.
	settled = 10 * time.Second

	// maxAsked is the longest wait that a server is believed.
	maxAsked = time.Hour
)

// A Loop connects until there is no point in it any more. Its zero value is ready to
// use.
type Loop struct {
	// MinWait is the wait after a first failure, less a random part of up to a half;
	// each further one doubles it. Defaults to 1 second.
	MinWait time.Duration

	// MaxWait is what it grows to. Defaults to 30 seconds, or MinWait if that is more.
	MaxWait time.Duration

	// Logger hears of connections that were lost. Defaults to none.
	Logger *slog.Logger

	// Jitter draws from [0, limit), for limit > 0. Defaults to drawing at random.
	Jitter func(limit time.Duration) time.Duration
}

// Check returns an error that names the field which is wrong.
func (l Loop) Check() error {
	switch {
	case l.MinWait < 0:
		return fmt.Errorf("Options.MinWait: %s is negative", l.MinWait)
	case l.MaxWait < 0:
		return fmt.Errorf("Options.MaxWait: %s is negative", l.MaxWait)
	}
	return nil
}

// An Attempt is how one connection came to its end.
type Attempt struct {
	// Err is what ended it.
	Err error
	// Done: it was the last one, and Err is how the stream has ended.
	Done bool
	// Opened is when the handshake was answered well; zero if it wasn't.
	Opened time.Time
	// Useful: it did its work, however short it was. What failed before is forgotten.
	Useful bool
	// AtOnce: the next one is not to be waited for.
	AtOnce bool
	// AtLeast is how long the server asked to be left alone.
	AtLeast time.Duration
}

// Settled reports whether the connection was up for long enough to say that it worked.
func (a Attempt) Settled() bool {
	return !a.Opened.IsZero() && time.Since(a.Opened) >= settled
}

// Run calls connect, waits and calls it again, until it is done, ctx ends or the
// session does: an [*tandem.EndedError], [tandem.ErrClosed], [tandem.ErrNotSignedIn],
// [tandem.ErrUserChanged] and [ErrForeignOrigin] are returned as they are. A
// [*tandem.TemporaryError] is waited out.
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
		l.Logger.InfoContext(ctx, "connection lost", "error", a.Err, "again_in", wait)
		if !sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

// attempt ends the context of a connection along with the connection.
func (l Loop) attempt(ctx context.Context, connect func(context.Context) Attempt) Attempt {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return connect(ctx)
}

// isEnd reports whether err says that no later handshake of the stream can fare better.
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

// wait returns how long to wait after so many failures in a row. What the server asked
// for is waited out in full, and a random part on top keeps many clients from coming
// at once.
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

// Definitive reports whether a status that refuses a handshake is the server's last
// word. A busy server's is not. What is no answer to a handshake at all (200 with a
// page in it) tells of a wrong URL, unless the stream has been open before: then
// something in between is showing a page of its own.
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

// RetryAfter reads the header of that name (RFC 9110 section 10.2.3); 0 if there is
// none.
func RetryAfter(header http.Header) time.Duration {
	text := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(min(max(seconds, 0), int(maxAsked/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(time.Until(at), 0), maxAsked)
	}
	return 0
}
