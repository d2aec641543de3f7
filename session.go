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
	keeper    keeper
	refresher Refresher
	server    *tandemServer // Tandem's own; nil if config has a Refresher

	mu       sync.Mutex
	flight   *flight   // the refresh under way, if there is one
	failure  failure   // what the latest refresh met with, if it failed
	lookedAt time.Time // when the store was last read while a failure is remembered
	saving   bool      // whether saveLater runs
	revoke   []string  // the refresh tokens of sign-outs that the server has not heard of
	stats    stats

	ctx         context.Context // ends with Close
	cancel      context.CancelFunc
	fetchCtx    context.Context // ends closeGrace later
	cancelFetch context.CancelFunc
	closed      atomic.Bool // set with mu held, so that no task starts after it
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
	config, base, err := config.resolve()
	if err != nil {
		return nil, fmt.Errorf("tandem: Config.%w", err)
	}
	s := &Session{config: config, refresher: config.Refresher}
	if s.origins, err = config.origins(base); err != nil {
		return nil, fmt.Errorf("tandem: Config.Origins: %w", err)
	}
	if s.refresher == nil {
		s.server = newTandemServer(base, config)
		s.refresher = s.server
	}
	s.keeper = keeper{
		store: store, issuer: config.Issuer, formerIssuers: config.FormerIssuers, server: serverOf(s.refresher),
		now: config.Now, dress: s.newCredential,
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.fetchCtx, s.cancelFetch = context.WithCancel(context.Background())
	var other *OtherServerError
	if _, err := s.keeper.adopt(ctx); err != nil && !errors.As(err, &other) {
		return nil, fmt.Errorf("tandem: %w", err)
	}
	return s, nil
}

// closeGrace is how long Close lets a refresh go on that is under way: what a short
// program has asked for should not be for nothing.
const closeGrace = time.Second

// Close ends what the session does in the background and waits for it: for a refresh
// under way up to a second, or, at a server that takes a refresh token once, until it
// returns. Calls that wait for it return [ErrClosed]. It signs nobody out: the store
// keeps the session. An OnEnd or Observe callback that is running is not waited for,
// so that it may call Close itself; the context of OnEnd ends. Close may be called
// twice.
//
// The error is the store's, if it has failed to keep the latest pair and fails once more
// within a second: whoever opens the session next may have to sign in again.
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
	if err := s.keeper.flush(ctx); err != nil {
		return fmt.Errorf("keep the session: %w", err)
	}
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
// first; if it has been replaced meanwhile, nothing happens. Each call costs a refresh:
// don't repeat it when the API refuses the fresh token too. [Session.Transport] and
// [Session.Call] don't.
func (s *Session) Invalidate(accessToken string) {
	if c := s.keeper.live.Load(); c != nil && c.AccessToken == accessToken {
		c.invalid.Store(true)
	}
}

// Reload looks into the store for what another process has done meanwhile, and takes it
// up: it may have refreshed, signed in as somebody else, or signed out. A session does so
// by itself before every refresh; a program in which that has to be noticed at once, at
// the price of reading the store, calls Reload before it makes a request.
//
// The error is the store's, the context's, or an [*OtherServerError]. The session then
// goes on as it is.
func (s *Session) Reload(ctx context.Context) error {
	if s.closed.Load() {
		return ErrClosed
	}
	c := s.keeper.live.Load()
	if c == nil {
		return s.adopt(ctx)
	}
	adopted, gone, err := s.keeper.reload(ctx, c)
	switch {
	case gone: // the next call that needs a token finds out, and tells
		c.invalid.Store(true)
	case adopted:
		s.tellAdopted(ctx)
	}
	return err
}

// Allows reports whether requests to u are sent the access token: u is of the server's
// origin or of one of Config.Origins, and no sign-in or refresh.
func (s *Session) Allows(u *url.URL) bool {
	return s.origins.has(u) && (s.server == nil || !s.server.isAuthCall(u))
}

// user returns the credential that says in whose name a request begins now; nil if
// that is nobody yet. A session that has just ended, and may be signed in again in
// place, is its user's still.
func (s *Session) user() *credential {
	if c := s.keeper.live.Load(); c != nil {
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
	c := s.keeper.live.Load()
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
