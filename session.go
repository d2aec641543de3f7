package tandem

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"slices"
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

	mu        sync.Mutex
	flight    *flight      // the refresh under way, if there is one
	failure   failure      // what the latest refresh met with, if it failed
	looked    time.Time    // when the store was last read while a failure is remembered
	ended     *EndedError  // why there is no live pair, if there was one
	unsaved   *unsaved     // a pair that the store has failed to keep
	saving    bool         // whether saveLater runs
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
		auth:      newAuthServer(base, config),
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
	ctx, cancel := s.storeContext()
	defer cancel()
	s.save(ctx)
	return nil
}

// SignIn begins a new session with a user's name and password, in place of the
// one that was kept, if there was one: that one is forgotten, not signed out.
//
// The error is [ErrInvalidCredentials], a [*TemporaryError] (with RetryAt set if
// the server said when to try again), the store's, the context's, or says what else the
// server has against it.
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
		if s.unsaved != nil && s.unsaved.prev.same(removed) {
			removed = s.refreshWith(*s.unsaved)
		}
		s.revoke = append(s.revoke, removed.RefreshToken)
	}
	s.live.Store(nil)
	s.unsaved = nil
	untold := slices.Clone(s.revoke)
	s.mu.Unlock()
	s.follow(ctx, nil)

	if len(untold) == 0 || storeErr != nil && last == nil {
		return storeErr
	}
	err := s.tellServer(ctx, untold)
	s.tell(ctx, s.took(EventSignOut, removed.SessionID, begun, err))
	if err != nil {
		err = &untoldError{err}
	}
	return errors.Join(storeErr, err)
}

// An untoldError is of a sign-out that the server has not heard of.
type untoldError struct{ err error }

// Error says what to do. What a TemporaryError says of the session's life would be odd
// here.
func (e *untoldError) Error() string {
	err := e.err
	if temporary, ok := errors.AsType[*TemporaryError](err); ok && temporary.Err != nil {
		err = temporary.Err
	}
	return "signed out here, but the server does not know yet (call SignOut again): " + err.Error()
}

func (e *untoldError) Unwrap() error { return e.err }

// tellServer tells the server of sign-outs, as far as it can be told.
func (s *Session) tellServer(ctx context.Context, refreshTokens []string) error {
	ctx, cancel := context.WithTimeout(ctx, maxAttempts*(s.config.RefreshTimeout+maxPause))
	defer cancel()
	revoker, ok := s.refresher.(Revoker)
	for _, token := range refreshTokens {
		if ok {
			if err := revoker.Revoke(ctx, token); err != nil {
				return err
			}
		}
		s.mu.Lock()
		s.revoke = slices.DeleteFunc(s.revoke, func(t string) bool { return t == token })
		s.mu.Unlock()
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
// first; if it has been replaced meanwhile, nothing happens. Each is believed, and
// costs a refresh: where even a fresh token is refused, it is the API that does not
// want it, and going on is no use. [Session.Transport] and [Session.Call] know that.
func (s *Session) Invalidate(accessToken string) {
	if c := s.live.Load(); c != nil && c.AccessToken == accessToken {
		c.invalid.Store(true)
	}
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
	switch {
	case err != nil || kept.IsZero():
		return
	case c == nil:
		s.takeUp(kept)
		return
	case kept.RefreshToken == c.RefreshToken:
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
