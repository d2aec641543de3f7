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

// A Session keeps one user signed in. It is safe for concurrent use and meant to be
// shared: a program has one Session for each user on whose behalf it acts.
type Session struct {
	config    Config
	origins   origins
	keeper    keeper
	refresher Refresher
	server    *tandemServer // Tandem's own; nil if config has a Refresher

	mu       sync.Mutex
	flight   *flight   // the refresh under way, if there is one
	failure  failure   // why the latest refresh failed, if it did
	lookedAt time.Time // when the session last read the store while it remembered a failure
	saving   bool      // whether saveLater runs
	revoke   []string  // the refresh tokens of sign-outs that the server does not know of
	stats    stats

	ctx         context.Context // ends with Close
	cancel      context.CancelFunc
	fetchCtx    context.Context // ends closeGrace later
	cancelFetch context.CancelFunc
	closed      atomic.Bool // set with mu held, so that no task starts after it
	tasks       sync.WaitGroup
}

// String returns the session's ID and user, and no token.
func (s *Session) String() string {
	if status := s.Status(); status.SignedIn {
		return fmt.Sprintf("tandem.Session{%s of %q}", status.SessionID, status.Username)
	}
	return "tandem.Session{not signed in}"
}

// GoString is [Session.String].
func (s *Session) GoString() string { return s.String() }

// Open returns the session that the store keeps; if the store keeps none, it returns a
// session that waits for [Session.SignIn]. Open reads the store and does not call the
// server. Close the session when the program no longer needs it: Close signs nobody out.
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

// closeGrace is how long Close lets a refresh under way continue, so that a short program
// does not lose the refresh that it has started.
const closeGrace = time.Second

// Close stops the session's background work and waits until it has stopped. A refresh
// under way may take one more second; at a server that takes each refresh token once,
// Close waits until the refresh returns. Calls that wait for that refresh return
// [ErrClosed]. Close signs nobody out: the store keeps the session. Close ends the context
// of a running OnEnd callback, and waits for neither OnEnd nor Observe, so both may call
// Close. Close may be called twice.
//
// If the store has failed to keep the latest pair, Close tries to store it for another
// second and returns the store's error if that fails, too: the process that opens the
// session next may then have to sign in again.
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

// Token returns a usable access token, and refreshes first if necessary. It is for
// programs that send the token themselves. When a server refuses the token, the program
// passes it to [Session.Invalidate].
//
// The error is [ErrNotSignedIn], an [*EndedError], a [*TemporaryError], [ErrClosed] or the
// context's.
func (s *Session) Token(ctx context.Context) (string, error) {
	token, _, err := s.TokenUntil(ctx)
	return token, err
}

// TokenUntil is [Session.Token], and also returns when the access token expires.
func (s *Session) TokenUntil(ctx context.Context) (accessToken string, until time.Time, err error) {
	c, err := s.credential(ctx, nil)
	if err != nil {
		return "", time.Time{}, err
	}
	return c.AccessToken, c.ExpiresAt, nil
}

// Invalidate tells the session that a server has refused an unexpired access token. If
// that token is still in use, the next call that needs a token refreshes first; if the
// session has replaced it meanwhile, Invalidate does nothing. Each call costs a refresh:
// don't repeat it when the API refuses the fresh token too. [Session.Transport] and
// [Session.Call] don't.
func (s *Session) Invalidate(accessToken string) {
	if c := s.keeper.live.Load(); c != nil && c.AccessToken == accessToken {
		c.invalid.Store(true)
	}
}

// Reload reads the store and adopts what another process has done meanwhile: it may have
// refreshed, signed in as another user, or signed out. A session reads the store before
// every refresh anyway; a program that must notice a change at once, at the cost of
// reading the store, calls Reload before it makes a request.
//
// The error is [ErrClosed], the store's, the context's, or an [*OtherServerError]. The
// session then goes on unchanged.
func (s *Session) Reload(ctx context.Context) error {
	if s.closed.Load() {
		return ErrClosed
	}
	c := s.keeper.live.Load()
	if c == nil {
		return s.adopt(ctx)
	}
	bounded, cancel := context.WithTimeout(ctx, s.config.RefreshTimeout)
	defer cancel()
	adopted, gone, err := s.keeper.reload(bounded, c)
	switch {
	case gone: // the next call that needs a token reports the end
		c.invalid.Store(true)
	case adopted:
		s.tellAdopted(ctx)
	}
	return err
}

// Allows reports whether the session sends the access token to u: u has the origin of the
// server or one of Config.Origins, and is neither the sign-in nor the refresh endpoint.
func (s *Session) Allows(u *url.URL) bool {
	return s.origins.has(u) && (s.server == nil || !s.server.isAuthCall(u))
}

// user returns a credential of the user on whose behalf a request begins now, or nil if
// nobody is signed in. While a refresh is ending a session, or OnEnd is signing the user
// in again, user returns the credential of the session that ended.
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

// A Status describes a session at one moment.
type Status struct {
	SignedIn  bool
	SessionID string
	Username  string
	// ExpiresAt is when the access token expires.
	ExpiresAt time.Time
}

// Status returns the session's present state; it calls neither server nor store.
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
