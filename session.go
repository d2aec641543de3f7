package tandem

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-auth/tandem/rotation"
)

// A Session keeps one user signed in. It is safe for concurrent use, and meant
// to be shared: a program has one for each user that it acts for.
type Session struct {
	config    Config
	origins   origins
	store     Store
	auth      authServer // of no use if config has a Refresher
	refresher Refresher

	// live is the pair in use; nil while there is none. Whoever replaces it says
	// what it replaces, so that the loser of a race changes nothing.
	live atomic.Pointer[credential]

	mu      sync.Mutex
	flight  *flight     // the refresh under way, if there is one
	failure failure     // what the latest refresh met with, if it failed
	ended   *EndedError // why there is no live pair, if there was one
	unsaved *unsaved    // a pair that the store has failed to keep
	revoke  string      // the refresh token of a sign-out that the server has not heard of
	stats   stats

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	closed atomic.Bool // set with mu held, so that no flight starts after it
	tasks  sync.WaitGroup
}

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
		auth:      newAuthServer(base, config),
		refresher: config.Refresher,
	}
	if s.refresher == nil {
		s.refresher = s.auth
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if !kept.IsZero() {
		s.live.Store(s.newCredential(kept))
	}
	return s, nil
}

// Close ends what the session does in the background and waits for it. Calls
// that wait for a refresh return [ErrClosed]. It signs nobody out: the store
// keeps the session. An OnEnd or Observe callback that is running is not waited for,
// so that it may call Close itself; the context of OnEnd ends. Close may be called
// twice.
func (s *Session) Close() error {
	s.mu.Lock()
	s.closed.Store(true)
	s.mu.Unlock()
	s.cancel()
	s.tasks.Wait()
	return nil
}

// SignIn begins a new session with a user's name and password, in place of the
// one that was kept, if there was one: that one is forgotten, not signed out.
//
// The error is [ErrInvalidCredentials], a [*TemporaryError] (with RetryAt set if
// the server said when to try again), the store's, or the context's.
func (s *Session) SignIn(ctx context.Context, username, password string) error {
	if s.closed.Load() {
		return ErrClosed
	}
	if s.config.Refresher != nil {
		return errors.New("sign in: there is a Config.Refresher, whose server knows no names and passwords; take SignInWith")
	}
	begun := s.config.Now()
	pair, err := s.auth.signIn(ctx, username, password)
	if err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	return s.begin(ctx, pair, begun)
}

// SignInWith begins a new session with tokens that the program has got by itself, from
// an authorization code, a device code, or from where they were kept so far: in place
// of the session that was kept, if there was one. The username tells two users apart:
// a request that one of them began is never sent as the other. A grant without an
// access token will do: the first request then refreshes.
//
// It is for sessions with a [Config.Refresher]. The error says what is wrong with the
// grant, or is the store's.
func (s *Session) SignInWith(ctx context.Context, username string, grant Grant) error {
	if s.closed.Load() {
		return ErrClosed
	}
	if s.config.Refresher == nil {
		return errors.New("sign in: SignInWith is for sessions with a Config.Refresher; this one's server signs in with SignIn")
	}
	now := s.config.Now()
	pair := Pair{SessionID: rand.Text(), Username: username, RefreshToken: grant.RefreshToken, ReceivedAt: now, ExpiresAt: now}
	if grant.AccessToken != "" || !isVisible(grant.RefreshToken) {
		var err error
		if pair, err = grant.apply(pair, now); err != nil {
			return fmt.Errorf("sign in: %w", err)
		}
	}
	return s.begin(ctx, pair, now)
}

func (s *Session) begin(ctx context.Context, pair Pair, begun time.Time) error {
	if err := s.overwrite(ctx, pair); err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	s.tell(ctx, s.took(EventSignIn, pair.SessionID, begun, nil))
	return nil
}

// SignOut ends the session: here first, so that it is signed out whatever
// happens next, then at the server, where there is a way to tell it (see [Revoker]).
// A refresh under way is void. Without a session it does nothing.
//
// If the server could not be told, the error is a [*TemporaryError]; calling
// SignOut again tells it again.
func (s *Session) SignOut(ctx context.Context) error {
	if s.closed.Load() {
		return ErrClosed
	}
	begun, last := s.config.Now(), s.live.Load()
	removed, storeErr := s.replaceKept(ctx, Pair{})
	if removed.IsZero() && last != nil {
		removed = last.Pair
	}

	s.mu.Lock()
	if !removed.IsZero() {
		s.ended = &EndedError{SessionID: removed.SessionID, Reason: rotation.SignedOut}
		s.revoke = removed.RefreshToken
	}
	s.live.Store(nil)
	s.unsaved = nil
	revoke := s.revoke
	s.mu.Unlock()
	s.follow(ctx, nil)

	if revoke == "" || storeErr != nil && last == nil {
		return storeErr
	}
	if revoker, ok := s.refresher.(Revoker); ok {
		if err := revoker.Revoke(ctx, revoke); err != nil {
			s.tell(ctx, s.took(EventSignOut, removed.SessionID, begun, err))
			return errors.Join(storeErr, fmt.Errorf("signed out here, but the server does not know yet (call SignOut again): %w", err))
		}
	}
	s.mu.Lock()
	if s.revoke == revoke {
		s.revoke = ""
	}
	s.mu.Unlock()
	s.tell(ctx, s.took(EventSignOut, removed.SessionID, begun, nil))
	return storeErr
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
// first; if it has been replaced meanwhile, nothing happens.
func (s *Session) Invalidate(accessToken string) {
	if c := s.live.Load(); c != nil && c.AccessToken == accessToken {
		c.invalid.Store(true)
	}
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

// overwrite makes pair the session, whatever was before.
func (s *Session) overwrite(ctx context.Context, pair Pair) error {
	if _, err := s.replaceKept(ctx, pair); err != nil {
		return err
	}
	c := s.newCredential(pair)
	s.mu.Lock()
	s.live.Store(c)
	s.ended, s.unsaved, s.failure = nil, nil, failure{}
	s.mu.Unlock()

	s.follow(ctx, c)
	return nil
}

// follow gives up c, which this session has just put in use, if the store keeps
// something else: of two calls at once, the one that the store has stands.
func (s *Session) follow(ctx context.Context, c *credential) {
	kept, err := s.store.Load(ctx)
	if err != nil || kept.IsZero() || c != nil && kept.RefreshToken == c.RefreshToken {
		return
	}
	s.live.CompareAndSwap(c, s.newCredential(kept))
}

// replaceKept makes the store keep next, and returns what it kept before. It
// goes on until no other writer comes between, or ctx ends.
func (s *Session) replaceKept(ctx context.Context, next Pair) (Pair, error) {
	for {
		kept, err := s.store.Load(ctx)
		if err != nil {
			return Pair{}, fmt.Errorf("load the session: %w", err)
		}
		swapped, err := s.store.CompareAndSwap(ctx, kept, next)
		if err != nil {
			return Pair{}, fmt.Errorf("keep the session: %w", err)
		}
		if swapped {
			return kept, nil
		}
	}
}
