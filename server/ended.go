package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

const (
	longestPoll = 20 * time.Second
	beat        = time.Second // between two words to a follower, if there are no news
	writeTime   = 10 * time.Second
)

// oauthEnded is the feed of ended sessions, for APIs: as server-sent events or, for a client
// that wants JSON, one answer as soon as there is news. The cursor that it gives is a time
// in ms; "since" or Last-Event-ID goes on from there. Without a cursor it begins with the
// sessions whose access tokens may still live. An event may come more than once.
func (s *Server) oauthEnded(w http.ResponseWriter, r *http.Request) error {
	client, err := s.client(r, form{})
	if err != nil {
		return err
	}
	if !client.MayIntrospect || client.IsPublic() {
		return &problem{status: http.StatusForbidden, Code: codeUnauthorizedClient, Description: "this client may not follow the ends of sessions"}
	}
	if s.feed == nil {
		return notFound("this server has no feed: its store cannot list ended sessions (server.EndedStore)")
	}
	since, err := s.cursor(r)
	if err != nil {
		return err
	}
	if r.Method == http.MethodHead {
		done(w)
		return nil
	}
	// The program's http.Server may bound how long an answer takes.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(longestPoll + writeTime))
	next := s.feed.follow()
	defer s.feed.leave()
	missed, err := s.feed.since(r.Context(), since)
	if err != nil {
		return unavailable("list ended sessions", err)
	}
	if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		s.streamEnded(w, r, missed, next)
		return nil
	}
	return s.pollEnded(w, r, missed, since, next)
}

// cursor returns where a follower goes on.
func (s *Server) cursor(r *http.Request) (time.Time, error) {
	oldest := s.now().Add(-s.cfg.AccessTTL)
	text := r.URL.Query().Get("since")
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		text = id
	}
	if text == "" {
		return oldest, nil
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms < 0 {
		return time.Time{}, invalidRequest("since must be a cursor of this feed")
	}
	if at := time.UnixMilli(ms); at.After(oldest) {
		return at, nil
	}
	return oldest, nil
}

// streamEnded writes until the client leaves or the server is about to stop.
func (s *Server) streamEnded(w http.ResponseWriter, r *http.Request, missed []store.Session, next int) {
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // nginx would keep the events back
	stream := eventStream{w: w, control: http.NewResponseController(w)}
	told := time.Time{}
	events := missed
	for {
		var upTo time.Time
		var more <-chan struct{}
		var ok bool
		var fresh []store.Session
		fresh, next, upTo, more, ok = s.feed.after(next)
		if !ok {
			return // too slow: the client begins anew with its cursor
		}
		events = append(events, fresh...)
		if len(events) > 0 || upTo.Sub(told) >= beat {
			for _, text := range s.feed.describe(events) {
				stream.event("session-revoked", "", text)
			}
			if !upTo.IsZero() {
				// All that came before is known now.
				stream.event("up-to", strconv.FormatInt(upTo.UnixMilli(), 10), []byte("{}"))
			}
			if stream.flush() != nil {
				return
			}
			events, told = nil, upTo
		}
		select {
		case <-more:
		case <-r.Context().Done():
			return
		case <-s.leaving:
			return
		}
	}
}

// An eventStream writes server-sent events.
type eventStream struct {
	w       io.Writer
	control *http.ResponseController
	err     error
}

func (e *eventStream) event(name, id string, data []byte) {
	_ = e.control.SetWriteDeadline(time.Now().Add(writeTime)) // some writers have none
	if id != "" {
		id = "id: " + id + "\n"
	}
	if _, err := fmt.Fprintf(e.w, "event: %s\n%sdata: %s\n\n", name, id, data); err != nil {
		e.err = err
	}
}

func (e *eventStream) flush() error {
	if e.err != nil {
		return e.err
	}
	return e.control.Flush()
}

// pollEnded answers as soon as there is news, or after a while without. What ended a moment
// before the cursor may be known to the client or not: it comes along, and is no news.
func (s *Server) pollEnded(w http.ResponseWriter, r *http.Request, missed []store.Session, since time.Time, next int) error {
	ctx, cancel := context.WithTimeout(r.Context(), longestPoll)
	defer cancel()
	answer := struct {
		Events []json.RawMessage `json:"events"`
		Cursor int64             `json:"cursor"`
	}{[]json.RawMessage{}, since.UnixMilli()}
	told := map[rotation.SessionID]bool{}
	hasNews := false
	tell := func(sessions []store.Session, areNews bool) {
		sessions = slices.DeleteFunc(sessions, func(session store.Session) bool { return told[session.ID] })
		answer.Events = append(answer.Events, s.feed.describe(sessions)...)
		for _, session := range sessions {
			told[session.ID] = true
			hasNews = hasNews || areNews || !session.EndedAt.Before(since)
		}
	}
	tell(missed, false)
	patience := time.NewTimer(beat) // with what may be known
	defer patience.Stop()
	for {
		fresh, after, upTo, more, _ := s.feed.after(next)
		next = after
		tell(fresh, true)
		if !upTo.IsZero() {
			answer.Cursor = upTo.UnixMilli()
		}
		if hasNews && !upTo.IsZero() || ctx.Err() != nil {
			s.respond(w, r, http.StatusOK, answer)
			return nil
		}
		select {
		case <-more:
		case <-patience.C:
			hasNews = len(answer.Events) > 0
		case <-ctx.Done():
		case <-s.leaving:
			cancel()
		}
	}
}
