package resource

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tandem-auth/tandem/rotation"
)

// DefaultMaxAge is the default of [Feed].MaxAge.
const DefaultMaxAge = 10 * time.Second

const (
	feedSilence    = 5 * time.Second // after which a connection is given up: the server speaks every second
	feedFirstPause = 100 * time.Millisecond
	feedMostPause  = 2 * time.Second
	maxFeedLine    = 64 << 10
)

// A Feed has a guard follow the ends of sessions: the server tells of each within a second,
// whichever of the servers that share a store has ended it.
type Feed struct {
	// ClientID and Secret are those of this API at the server: tandem api add NAME.
	// Required.
	ClientID, Secret string

	// URLs are those of the feed; the guard follows one of them, and goes to the next one
	// when that fails. Defaults to /oauth/ended below Issuer.
	URLs []string

	// MaxAge is how old the guard's knowledge may be. If it is older, since no server can be
	// reached, the guard asks about each token if Config.Introspection is set. Otherwise it
	// goes by the token alone, or answers 503 with RefuseIfOld. Defaults to DefaultMaxAge.
	MaxAge      time.Duration
	RefuseIfOld bool
}

func (f *Feed) withDefaults(issuer *url.URL) (*Feed, error) {
	if f == nil {
		return nil, nil
	}
	d := *f
	if len(d.URLs) == 0 {
		d.URLs = []string{issuer.JoinPath("/oauth/ended").String()}
	}
	for _, text := range d.URLs {
		if _, err := absolute(text); err != nil {
			return nil, fmt.Errorf("URLs: %w", err)
		}
	}
	d.MaxAge = cmp.Or(d.MaxAge, DefaultMaxAge)
	if d.ClientID == "" || d.Secret == "" {
		return nil, errors.New("ClientID and Secret are required")
	}
	if d.MaxAge < 0 {
		return nil, fmt.Errorf("MaxAge: %v is negative", d.MaxAge)
	}
	return &d, nil
}

// A follower follows the feed in a goroutine of its own, and fills the set of ended
// sessions.
type follower struct {
	config Feed
	guard  Config
	ended  *endedSet
	stop   context.CancelFunc
	done   chan struct{}

	cursor string // used by the goroutine alone
	// knownAt is when the guard last knew of all ends, in nanoseconds since 1970 by its own
	// clock; 0 before it has caught up.
	knownAt atomic.Int64
}

func newFollower(config Config, ended *endedSet) *follower {
	if config.Feed == nil {
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	f := &follower{config: *config.Feed, guard: config, ended: ended, stop: stop, done: make(chan struct{})}
	go f.run(ctx)
	return f
}

// close ends the goroutine. It may be called twice, and for nil.
func (f *follower) close() {
	if f == nil {
		return
	}
	f.stop()
	<-f.done
}

// age returns how old the guard's knowledge is.
func (f *follower) age(now time.Time) time.Duration { return now.Sub(time.Unix(0, f.knownAt.Load())) }

func (f *follower) isFresh(now time.Time) bool { return f.age(now) < f.config.MaxAge }

func (f *follower) run(ctx context.Context) {
	defer close(f.done)
	pause := feedFirstPause
	failing := false
	for n := 0; ctx.Err() == nil; n++ {
		before := f.knownAt.Load()
		err := f.follow(ctx, f.config.URLs[n%len(f.config.URLs)])
		if f.knownAt.Load() != before {
			pause, failing = feedFirstPause, false
		} else if !failing && ctx.Err() == nil {
			failing = true
			f.guard.Logger.LogAttrs(ctx, slog.LevelWarn, "the feed of ended sessions cannot be followed", slog.Any("error", err))
		}
		timer := time.NewTimer(pause + rand.N(pause)) // not all guards at the same moment
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		pause = min(2*pause, feedMostPause)
	}
}

// follow reads the feed at a URL until that fails.
func (f *follower) follow(ctx context.Context, at string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(feedSilence, cancel)
	defer silence.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	req.SetBasicAuth(url.QueryEscape(f.config.ClientID), url.QueryEscape(f.config.Secret))
	if f.cursor != "" {
		req.Header.Set("Last-Event-ID", f.cursor)
	}
	resp, err := f.guard.Client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return fmt.Errorf("the server answers %s", resp.Status)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxFeedLine)
	var event, id, data string
	for lines.Scan() {
		silence.Reset(feedSilence)
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			event = value
		case "id":
			id = value
		case "data":
			data = value
		case "":
			if lines.Text() != "" {
				continue // a comment
			}
			if err := f.note(event, id, data); err != nil {
				return err
			}
			event, id, data = "", "", ""
		}
	}
	return cmp.Or(lines.Err(), errors.New("the feed has ended"))
}

// note takes up one event. What it does not know it leaves out.
func (f *follower) note(event, id, data string) error {
	switch event {
	case "session-revoked":
		var revoked struct {
			Subject struct {
				Format  string
				Session struct{ ID string }
				Subject string `json:"sub"`
			} `json:"sub_id"`
			AccessExpiresAt int64 `json:"access_exp"`
			IssuedBefore    int64 `json:"issued_before"`
		}
		if err := json.Unmarshal([]byte(data), &revoked); err != nil {
			return fmt.Errorf("an event of the feed is malformed: %w", err)
		}
		until := time.Unix(revoked.AccessExpiresAt, 0).Add(f.guard.Leeway)
		if revoked.Subject.Format == "iss_sub" && revoked.IssuedBefore > 0 {
			f.ended.endSubject(revoked.Subject.Subject, time.Unix(revoked.IssuedBefore, 0), until)
			return nil
		}
		session, err := rotation.ParseSessionID(revoked.Subject.Session.ID)
		if err != nil {
			return fmt.Errorf("an event of the feed names no session: %w", err)
		}
		f.ended.end(session, until)
	case "up-to":
		if _, err := strconv.ParseInt(id, 10, 64); err != nil {
			return fmt.Errorf("the feed has the cursor %.20q", id)
		}
		now := f.guard.Now()
		f.cursor = id
		f.knownAt.Store(now.UnixNano())
		f.ended.forget(now)
	}
	return nil
}
