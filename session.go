package tandem

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// A Session keeps one user signed in. It is safe for concurrent use, and meant
// to be shared: a program has one for each user that it acts for.
type Session struct {
	config    Config
	origins   origins
	store     Store
	auth      tandemServer // of no use if config has a Refresher
	refresher Refresher

	// live is the pair in use; nil while there is none. Whoever replaces it says
	// what it replaces, so that the loser of a race changes nothing.
	live atomic.Pointer[credential]

	mu        sync.Mutex
	flight    *flight      // the refresh under way, if there is one
	failure   failure      // what the latest refresh met with, if it failed
	looked    time.Time    // when the store was last read while a failure is remembered
	ended     *EndedError  // why there is no live pair, if there was one
	unsaved   *unsaved     // a pair that the store has failed to keep
	saving    bool         // whether saveLater runs
	lastUsed  Pair         // what Tandem's own server was last given
	overtaken overtakenSet // refresh tokens that the store had before
	revoke    []string     // the refresh tokens of sign-outs that the server has not heard of
	stats     stats

	ctx         context.Context // ends with Close
	cancel      context.CancelFunc
	fetchCtx    context.Context // ends closeGrace later
	cancelFetch context.CancelFunc
	closed      atomic.Bool // set with mu held, so that no flight starts after it
	tasks       sync.WaitGroup
}

// String tells whether there is a session, and shows no token.
func (s *Session) String() string {
	if status := s.Status(); status.SignedIn {
		return fmt.Sprintf("tandem.Session{%s of %q}", status.SessionID, status.Username)
	}
	return "tandem.Session{not signed in}"
}

// GoString is [Session.String].
func (s *Session) GoString() string { return s.String() }

// Open returns the session that the store keeps; if it keeps none, a session
// that waits for [Session.SignIn]. The store is asked, the server is not. Close
// the session when it is no longer needed: that signs nobody out.
//
// The error names the field of config that is wrong, or is the store's.
func Open(ctx context.Context, store Store, config Config) (*Session, error) {
	if store == nil {
		return nil, errors.New("tandem: no store; NewMemoryStore makes one")
	}
	allowed := newOrigins()
	var base *url.URL
	if config.Refresher == nil {
		var err error
		if base, err = parseBase(config.URL); err != nil {
			return nil, fmt.Errorf("tandem: Config.URL: %w", err)
		}
		allowed.add(base)
	} else if config.URL != "" {
		return nil, errors.New("tandem: Config.URL: it is the address of a Tandem server, and there is a Refresher in its place; name the APIs in Config.Origins")
	}
	for _, origin := range config.Origins {
		u, err := parseBase(origin)
		if err == nil && u.Path != "" {
			err = fmt.Errorf("%q has a path; an origin is scheme, host and port", origin)
		}
		if err != nil {
			return nil, fmt.Errorf("tandem: Config.Origins: %w", err)
		}
		allowed.add(u)
	}
	if config.RefreshTimeout < 0 {
		return nil, fmt.Errorf("tandem: Config.RefreshTimeout: %s is negative", config.RefreshTimeout)
	}
	config = config.withDefaults()

	kept, err := store.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("tandem: load the session: %w", err)
	}
	s := &Session{
		config:    config,
		origins:   allowed,
		store:     store,
		auth:      newTandemServer(base, config),
		refresher: config.Refresher,
	}
	if s.refresher == nil {
		s.refresher = s.auth
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.fetchCtx, s.cancelFetch = context.WithCancel(context.Background())
	if !kept.IsZero() {
		s.live.Store(s.newCredential(kept))
	}
	return s, nil
}

// closeGrace is how long Close lets a refresh go on that is under way: what a short
// program has asked for should not be for nothing.
const closeGrace = time.Second

// Close ends what the session does in the background and waits for it: for a refresh
// under way up to a second, or, with a [Config.Refresher], until it returns. Calls
// that wait for it return [ErrClosed]. It signs nobody out: the store
// keeps the session. An OnEnd or Observe callback that is running is not waited for,
// so that it may call Close itself; the context of OnEnd ends. Close may be called
// twice.
func (s *Session) Close() error {
	s.mu.Lock()
	s.closed.Store(true)
	s.mu.Unlock()
	s.cancel()
	grace := time.AfterFunc(closeGrace, s.cancelFetch)
	s.tasks.Wait()
	grace.Stop()
	s.cancelFetch()
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	s.save(ctx)
	return nil
}

// Token returns an access token that is good now, refreshing it if need be: for
// programs that send it themselves. When a server refuses it, call
// [Session.Invalidate] with it.
//
// The error is [ErrNotSignedIn], an [*EndedError], a [*TemporaryError],
// [ErrClosed] or the context's.
func (s *Session) Token(ctx context.Context) (string, error) {
	token, _, err := s.TokenUntil(ctx)
	return token, err
}

// TokenUntil is [Session.Token], and says when the access token stops being good.
func (s *Session) TokenUntil(ctx context.Context) (accessToken string, until time.Time, err error) {
	c, err := s.credential(ctx, nil)
	if err != nil {
		return "", time.Time{}, err
	}
	return c.AccessToken, c.ExpiresAt, nil
}

// Invalidate says that a server refused the given access token though it should
// be good. If it is still the one in use, the next call that needs one refreshes
// first; if it has been replaced meanwhile, nothing happens. Each is believed, and
// costs a refresh: where even a fresh token is refused, it is the API that does not
// want it, and going on is no use. [Session.Transport] and [Session.Call] know that.
func (s *Session) Invalidate(accessToken string) {
	if c := s.live.Load(); c != nil && c.AccessToken == accessToken {
		c.invalid.Store(true)
	}
}

// Reload looks into the store for what another process has done meanwhile, and takes it
// up: it may have refreshed, signed in as somebody else, or signed out. A session does so
// by itself before every refresh; a program in which that has to be noticed at once, at
// the price of reading the store, calls Reload before it makes a request.
//
// The error is the store's, or the context's. The session then goes on as it is.
func (s *Session) Reload(ctx context.Context) error {
	if s.closed.Load() {
		return ErrClosed
	}
	c := s.live.Load()
	if c == nil {
		return s.adopt(ctx)
	}
	kept, err := s.store.Load(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("load the session: %w", err)
	case s.notSaved() != nil, kept.same(c.Pair), s.outdated(kept):
	case kept.IsZero(): // the next call that needs a token finds out, and tells
		c.invalid.Store(true)
	case s.live.CompareAndSwap(c, s.newCredential(kept)):
		s.tell(ctx, Event{Kind: EventAdopt, SessionID: kept.SessionID, Begun: s.config.Now()})
	}
	return nil
}

// user returns the credential that says in whose name a request begins now; nil if
// that is nobody yet. A session that has just ended, and may be signed in again in
// place, is its user's still.
func (s *Session) user() *credential {
	if c := s.live.Load(); c != nil {
		return c
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight != nil {
		return s.flight.from
	}
	return nil
}

// A Status is a session at one moment.
type Status struct {
	SignedIn  bool
	SessionID string
	Username  string
	// ExpiresAt is when the access token stops being good; a refresh then fetches
	// the next one.
	ExpiresAt time.Time
}

// Status returns the session as it is now, without asking the server.
func (s *Session) Status() Status {
	c := s.live.Load()
	if c == nil {
		return Status{}
	}
	return Status{SignedIn: true, SessionID: c.SessionID, Username: c.Username, ExpiresAt: c.ExpiresAt}
}

func (s *Session) newCredential(p Pair) *credential {
	life := p.ExpiresAt.Sub(p.ReceivedAt)
	ahead := min(s.config.RefreshAhead, life)
	if s.config.RefreshAhead == 0 {
		ahead = min(life/5, time.Minute)
	}
	c := &credential{Pair: p, authorization: "Bearer " + p.AccessToken, refreshAt: p.ExpiresAt}
	if ahead > 0 {
		jitter := s.config.Jitter(ahead/2 + 1)
		c.refreshAt = p.ExpiresAt.Add(jitter - ahead)
	}
	return c
}
