package tandem

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"
)

// An EventKind is the kind of an [Event].
type EventKind string

// Kinds of events.
const (
	// EventSignIn: a session began. Duration is how long the sign-in took.
	EventSignIn EventKind = "sign_in"
	// EventRefresh: the server gave out the next tokens. Duration includes all attempts.
	EventRefresh EventKind = "refresh"
	// EventRefreshFailed: a refresh failed after all attempts; Err is a [*TemporaryError],
	// and the session lives on.
	EventRefreshFailed EventKind = "refresh_failed"
	// EventAdopt: the session adopted tokens that another session of the same store had
	// stored.
	EventAdopt EventKind = "adopt"
	// EventReplay: an API refused a request, and the session sends it again. The context
	// is the request's.
	EventReplay EventKind = "replay"
	// EventStoreFailed: the store failed to keep or to delete the tokens; Err is its
	// error. The session uses new tokens all the same, and stores them later.
	EventStoreFailed EventKind = "store_failed"
	// EventLockWait: a refresh has waited for the store's lock for two seconds, and goes
	// on waiting: another process is refreshing, or hangs.
	EventLockWait EventKind = "lock_wait"
	// EventEnd: the session has ended; Err is an [*EndedError].
	EventEnd EventKind = "end"
	// EventSignOut: the program called [Session.SignOut]. Err is set if the session could
	// not tell the server.
	EventSignOut EventKind = "sign_out"
)

// An Event is something that has happened to a session. It never contains a token.
type Event struct {
	Kind      EventKind
	SessionID string
	// Begun is when it began, and Duration how long it took; 0 for an event without
	// duration.
	Begun    time.Time
	Duration time.Duration
	// Err is the error of a failure, or nil.
	Err error
}

// took returns an event that began at begun and ends now.
func (s *Session) took(kind EventKind, sessionID string, begun time.Time, err error) Event {
	return Event{Kind: kind, SessionID: sessionID, Begun: begun, Duration: s.config.Now().Sub(begun), Err: err}
}

// tell logs an event and passes it to Observe. The caller holds no lock.
func (s *Session) tell(ctx context.Context, e Event) {
	s.log(ctx, e)
	s.observe(ctx, e)
}

func (s *Session) observe(ctx context.Context, events ...Event) {
	if s.config.Observe == nil {
		return
	}
	for _, e := range events {
		s.config.Observe(ctx, e)
	}
}

func (s *Session) log(ctx context.Context, events ...Event) {
	for _, e := range events {
		s.logOne(ctx, e)
	}
}

func (s *Session) logOne(ctx context.Context, e Event) {
	log := s.config.Logger
	session := slog.String("session", e.SessionID)
	switch e.Kind {
	case EventSignIn:
		log.InfoContext(ctx, "signed in", session)
	case EventRefresh:
		log.DebugContext(ctx, "refreshed", session, slog.Duration("took", e.Duration))
	case EventRefreshFailed:
		if temporary, ok := errors.AsType[*TemporaryError](e.Err); ok {
			log.WarnContext(ctx, "refresh failed, the session lives on", session, slog.Any("error", temporary.Err), slog.Time("retry_at", temporary.RetryAt))
		}
	case EventAdopt:
		log.DebugContext(ctx, "took up what another session of the store fetched", session)
	case EventReplay:
		log.DebugContext(ctx, "access token was refused, the request is sent again", session)
	case EventStoreFailed:
		log.ErrorContext(ctx, "the store failed; the session goes on in memory", session, slog.Any("error", e.Err))
	case EventLockWait:
		log.WarnContext(ctx, "waiting for another process, which has locked the store", session)
	case EventEnd:
		log.InfoContext(ctx, "session has ended", session, slog.Any("reason", e.Err))
	case EventSignOut:
		if e.Err != nil {
			log.WarnContext(ctx, "signed out here, but the server does not know yet", session, slog.Any("error", e.Err))
			return
		}
		log.InfoContext(ctx, "signed out", session)
	}
}

type stats struct {
	requests, expiries, replays, refreshes, refreshFailures, ends atomic.Int64
}

// Stats counts what a session has done since it was opened.
type Stats struct {
	// Requests that were sent with an access token, replays not counted.
	Requests int64
	// Expiries of access tokens in use: they ran out, or were refused.
	Expiries int64
	// Replays of requests that were refused with 401.
	Replays int64
	// Refreshes that fetched a new pair.
	Refreshes int64
	// RefreshFailures, after all attempts in a row.
	RefreshFailures int64
	// Ends of a session that were not this session's own SignOut.
	Ends int64
}

// Stats returns the counts as they are now.
func (s *Session) Stats() Stats {
	return Stats{
		Requests:        s.stats.requests.Load(),
		Expiries:        s.stats.expiries.Load(),
		Replays:         s.stats.replays.Load(),
		Refreshes:       s.stats.refreshes.Load(),
		RefreshFailures: s.stats.refreshFailures.Load(),
		Ends:            s.stats.ends.Load(),
	}
}
