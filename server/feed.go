package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

const (
	// feedPace is between two looks into the store while somebody follows. An end on this
	// server is looked for at once.
	feedPace = 250 * time.Millisecond
	// feedLeast is between two looks however many sessions end.
	feedLeast = 20 * time.Millisecond
	// feedOverlap is how far each look goes back. On servers that share a store, an end is
	// committed later than the time that it has, and their clocks differ.
	feedOverlap = 10 * time.Second
	// feedBacklog is how many events the feed keeps for followers that are slow. One that
	// falls further behind begins anew.
	feedBacklog = 100_000
)

// A feed tells its followers which sessions have ended, whichever server ended them. The
// store is the truth; the feed looks into it for as long as somebody follows.
type feed struct {
	store EndedStore
	cfg   Config
	hint  chan struct{} // somebody follows, or a session has ended here

	mu        sync.Mutex
	followers int
	seen      map[rotation.SessionID]time.Time // of the events within the overlap
	events    []store.Session
	first     int       // the number of events[0]
	upTo      time.Time // the feed has the ends before this time, but for the overlap
	news      chan struct{}
}

func newFeed(cfg Config, ended EndedStore) *feed {
	return &feed{
		store: ended, cfg: cfg, hint: make(chan struct{}, 1),
		seen: map[rotation.SessionID]time.Time{}, news: make(chan struct{}),
	}
}

// wake has the feed look at once.
func (f *feed) wake() {
	select {
	case f.hint <- struct{}{}:
	default:
	}
}

// run looks into the store until the context ends.
func (f *feed) run(ctx context.Context) {
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.hint:
		}
		for f.isFollowed() {
			err := f.look(ctx)
			if err != nil && !failing && ctx.Err() == nil {
				f.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "the feed of ended sessions cannot look into the store", slog.Any("error", err))
			}
			failing = err != nil
			if !sleep(ctx, feedLeast, nil) || !sleep(ctx, feedPace-feedLeast, f.hint) {
				return
			}
		}
	}
}

// sleep waits for a time, or until there is a hint. It returns false if the context has
// ended.
func sleep(ctx context.Context, d time.Duration, hint <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-hint:
	}
	return true
}

func (f *feed) isFollowed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.followers > 0
}

// look adds the ends that the feed does not have yet.
func (f *feed) look(ctx context.Context) error {
	now := f.cfg.Now()
	f.mu.Lock()
	since := f.upTo
	f.mu.Unlock()
	if since.IsZero() {
		since = now
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	sessions, err := f.store.Ended(ctx, since.Add(-feedOverlap))
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, session := range sessions {
		if _, known := f.seen[session.ID]; !known {
			f.seen[session.ID] = session.EndedAt
			f.events = append(f.events, session)
		}
	}
	for id, at := range f.seen {
		if at.Before(now.Add(-2 * feedOverlap)) {
			delete(f.seen, id)
		}
	}
	if extra := len(f.events) - feedBacklog; extra > 0 {
		f.events, f.first = f.events[extra:], f.first+extra
	}
	f.upTo = now
	close(f.news)
	f.news = make(chan struct{})
	return nil
}

// follow begins to follow: it returns the number of the next event.
func (f *feed) follow() (next int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.followers++
	if f.followers == 1 {
		f.first += len(f.events)
		f.upTo, f.events = time.Time{}, nil // nobody has looked meanwhile
		f.wake()
	}
	return f.first + len(f.events)
}

func (f *feed) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.followers--
}

// after returns the events from a number on, the number of the next one, up to when the
// feed knows, and what is closed when it knows more. It returns false if the feed does not
// have all of them any more.
func (f *feed) after(number int) (events []store.Session, next int, upTo time.Time, more <-chan struct{}, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next = f.first + len(f.events)
	if number < f.first || number > next {
		return nil, next, f.upTo, f.news, false
	}
	return append([]store.Session(nil), f.events[number-f.first:]...), next, f.upTo, f.news, true
}

// since returns the ends from a time on, for a follower who was away.
func (f *feed) since(ctx context.Context, at time.Time) ([]store.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return f.store.Ended(ctx, at.Add(-feedOverlap))
}

// An endedEvent is a security event token (RFC 8417) without a signature, of the type
// session-revoked of OpenID's CAEP: of one session or, if many of a user end at once, of all
// whose access tokens were issued before a time.
type endedEvent struct {
	Issuer   string             `json:"iss"`
	ID       string             `json:"jti"`
	IssuedAt int64              `json:"iat"`
	Subject  eventSubject       `json:"sub_id"`
	Events   map[string]revoked `json:"events"`
	// AccessExpiresAt is when the last access token of the session has expired.
	AccessExpiresAt int64 `json:"access_exp"`
	// IssuedBefore is 0 in an event of one session.
	IssuedBefore int64 `json:"issued_before,omitempty"`
}

// An eventSubject names a session and its user, or a user (RFC 9493).
type eventSubject struct {
	Format string `json:"format"`

	// Of the format "complex".
	Session *opaqueID  `json:"session,omitempty"`
	User    *userOfIss `json:"user,omitempty"`

	// Of the format "iss_sub".
	Issuer  string `json:"iss,omitempty"`
	Subject string `json:"sub,omitempty"`
}

type opaqueID struct {
	Format string `json:"format"`
	ID     string `json:"id"`
}

type userOfIss struct {
	Format  string `json:"format"`
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
}

type revoked struct {
	At     int64  `json:"event_timestamp"`
	Reason string `json:"reason"`
}

const (
	sessionRevoked = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
	// manyEnds is how many sessions of a user have to end at once for one event of all. A
	// session that goes on, or has begun in the same second, costs that one refresh.
	manyEnds = 20
)

// describe returns the events of sessions that have ended, without those whose access
// tokens have expired.
func (f *feed) describe(sessions []store.Session) []json.RawMessage {
	type cause struct {
		subject string
		at      time.Time
	}
	ends := map[cause]int{}
	for _, session := range sessions {
		ends[cause{session.Subject, session.EndedAt}]++
	}
	var events []json.RawMessage
	for _, session := range sessions {
		of := cause{session.Subject, session.EndedAt}
		until := session.EndedAt.Add(f.cfg.AccessTTL)
		if ends[of] == 0 || f.cfg.Now().After(until.Add(feedOverlap)) {
			continue // told of with others, or without effect
		}
		e := endedEvent{
			Issuer: f.cfg.Issuer, ID: "end-" + session.ID.String(), IssuedAt: session.EndedAt.Unix(),
			Events:          map[string]revoked{sessionRevoked: {session.EndedAt.Unix(), string(session.EndReason)}},
			AccessExpiresAt: ceilSecond(until).Unix(),
		}
		if ends[of] >= manyEnds {
			ends[of] = 0
			e.Subject = eventSubject{Format: "iss_sub", Issuer: f.cfg.Issuer, Subject: session.Subject}
			e.IssuedBefore = ceilSecond(session.EndedAt).Unix()
		} else {
			e.Subject = eventSubject{
				Format:  "complex",
				Session: &opaqueID{"opaque", session.ID.String()},
				User:    &userOfIss{"iss_sub", f.cfg.Issuer, session.Subject},
			}
		}
		text, err := json.Marshal(e)
		if err != nil {
			continue // no string of a session can cause that
		}
		events = append(events, text)
	}
	return events
}

func ceilSecond(t time.Time) time.Time {
	if whole := t.Truncate(time.Second); whole.Before(t) {
		return whole.Add(time.Second)
	}
	return t
}
