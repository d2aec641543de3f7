package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-auth/tandem/accesstoken"
	"github.com/tandem-auth/tandem/server"
)

// Defaults of [Config].
const (
	DefaultRotateEvery  = 30 * 24 * time.Hour
	DefaultPublishAhead = 24 * time.Hour
	DefaultPollEvery    = 5 * time.Second
)

// A Config says where a [Manager] keeps keys and when it changes them. The zero value
// of every field that is not required is its default.
type Config struct {
	// Store keeps the document. Required.
	Store Store

	// MasterKeys: the manager seals the document under the first, and opens a
	// document that is sealed under any of them. To change the master key, give all
	// servers the new one behind the old one, then in front of it, then alone.
	// Required.
	MasterKeys []MasterKey

	// Algorithm is the algorithm that signs access tokens. Defaults to
	// [accesstoken.ES256]. After a change, the manager publishes the first key of the
	// new algorithm for PublishAhead before its first use, like any other key.
	Algorithm accesstoken.Algorithm

	// AccessTTL and RefreshTTL are those of the server, with the same defaults. The
	// manager keeps a replaced signing key for AccessTTL, and a replaced refresh key
	// for RefreshTTL, after its last use, plus an hour.
	AccessTTL, RefreshTTL time.Duration

	// RotateEvery is how long a key makes tokens before the next one takes over.
	// Defaults to [DefaultRotateEvery]. Negative means for ever.
	RotateEvery time.Duration

	// PublishAhead is how long a key is published before its first use. It must be
	// longer than PollEvery, plus the five minutes for which clients may cache the
	// key set, plus the differences between clocks. Defaults to
	// [DefaultPublishAhead], or half of RotateEvery if that is shorter.
	PublishAhead time.Duration

	// PollEvery is how often the manager reads the store for keys that other servers
	// have published or an [Operator] has revoked. Defaults to [DefaultPollEvery].
	PollEvery time.Duration

	// Logger receives new and revoked keys, by their IDs, and errors. Defaults to
	// none.
	Logger *slog.Logger

	// OnMade is called for each key that this manager makes. It should return quickly, and
	// must not call the manager. Optional.
	OnMade func(Key)

	// Now is the clock. Defaults to [time.Now].
	Now func() time.Time
}

// A Manager is a [server.KeySource] whose keys are in a store. It is safe for
// concurrent use.
type Manager struct {
	config   Config
	schedule schedule

	plan   atomic.Pointer[plan]
	latest atomic.Pointer[document] // that the plan is made of
	opened time.Time                // by the monotonic clock
	reads  atomic.Uint64            // how many reads of the document have begun

	turn    chan struct{} // holds one token: the goroutine that put it in may use the fields below
	known   document
	text    []byte    // the sealed form of known
	began   time.Time // when the last read began, by the monotonic clock
	failure error     // the error of the last read

	stop    context.CancelFunc
	stopped sync.WaitGroup
}

const (
	// saveAttempts bounds how often save tries again after another server has
	// replaced the document first.
	saveAttempts = 10
	// reloadEvery is the shortest time between a read of the store and one that Reload
	// starts.
	reloadEvery = 200 * time.Millisecond
	// updateTimeout bounds an update from the store. reloadTimeout bounds Reload, which
	// may have to wait for an update under way first.
	updateTimeout = 3 * time.Second
	reloadTimeout = 5 * time.Second
	// forgetAfter is how long after its start a server deletes no keys, because the
	// machine may have started with a wrong clock.
	forgetAfter = time.Hour
)

// Open reads the keys, or makes them if the store has none. The caller closes the manager
// after the server. The error names the invalid field of the config, or is the store's, or
// wraps [ErrMasterKey].
func Open(ctx context.Context, config Config) (*Manager, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("keys: Config.%w", err)
	}
	m := &Manager{
		config: config,
		schedule: schedule{
			algorithm: config.Algorithm,
			every:     max(config.RotateEvery, 0),
			ahead:     config.PublishAhead,
			accessTTL: config.AccessTTL, refreshTTL: config.RefreshTTL,
		},
		turn:   make(chan struct{}, 1),
		opened: time.Now(),
	}
	if err := m.update(ctx); err != nil {
		return nil, err
	}
	background, stop := context.WithCancel(context.Background())
	m.stop = stop
	m.stopped.Go(func() { m.poll(background) })
	return m, nil
}

// Keys describes the keys as the manager knows them, without a look into the store: first the
// signing keys, then the refresh keys, the newest first in each group.
func (m *Manager) Keys() []Key { return m.latest.Load().public(m.config.Now()) }

func (c Config) withDefaults() (Config, error) {
	setDefault(&c.Algorithm, accesstoken.ES256)
	setDefault(&c.AccessTTL, server.DefaultAccessTTL)
	setDefault(&c.RefreshTTL, server.DefaultRefreshTTL)
	setDefault(&c.RotateEvery, DefaultRotateEvery)
	setDefault(&c.PollEvery, DefaultPollEvery)
	setDefault(&c.Logger, slog.New(slog.DiscardHandler))
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.PublishAhead == 0 {
		c.PublishAhead = DefaultPublishAhead
		if c.RotateEvery > 0 {
			c.PublishAhead = min(c.PublishAhead, c.RotateEvery/2)
		}
	}
	switch {
	case c.Store == nil:
		return c, errors.New("Store: is required")
	case len(c.MasterKeys) == 0:
		return c, errors.New("MasterKeys: is required; make one with NewMasterKey")
	case c.PublishAhead < 0:
		return c, errors.New("PublishAhead: must not be negative")
	case c.RotateEvery > 0 && c.PublishAhead >= c.RotateEvery:
		return c, fmt.Errorf("PublishAhead: %s is not less than RotateEvery, %s", c.PublishAhead, c.RotateEvery)
	case c.PollEvery < 0:
		return c, errors.New("PollEvery: must not be negative")
	}
	for i, k := range c.MasterKeys {
		if !k.set {
			return c, fmt.Errorf("MasterKeys: key %d is empty; make one with NewMasterKey", i)
		}
	}
	return c, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// KeySet returns the current keys. A key that the manager knows makes tokens from its
// ActiveFrom on, even if the store cannot be read at that time.
func (m *Manager) KeySet() *server.KeySet { return m.plan.Load().at(m.config.Now()) }

// Reload reads the store for keys that other servers have published. It returns after a
// read that began after the call. Concurrent calls share one read, and Reload starts a
// read no earlier than 200 ms after the previous one began. It takes at most about 8
// seconds. If it returns an error, the store could not be read in time.
func (m *Manager) Reload(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	asked := m.reads.Load()
	return m.withTurn(ctx, func() error {
		if m.reads.Load() > asked {
			return m.failure
		}
		if err := sleep(ctx, time.Until(m.began.Add(reloadEvery))); err != nil {
			return err
		}
		return m.updateInTurn(context.WithoutCancel(ctx)) // other calls wait for the same read
	})
}

// sleep waits for d, or returns the context's error when the context ends first.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close stops the goroutine that polls the store, and waits for it. It may be called twice.
func (m *Manager) Close() error {
	m.stop()
	m.stopped.Wait()
	return nil
}

func (m *Manager) poll(ctx context.Context) {
	ticker := time.NewTicker(m.config.PollEvery)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := m.update(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			m.config.Logger.WarnContext(ctx, "cannot read the keys in the store; going on with those that are known", "error", err)
		case err == nil && failing:
			m.config.Logger.InfoContext(ctx, "the keys in the store can be read again")
		}
		failing = err != nil
	}
}

func (m *Manager) update(ctx context.Context) error {
	return m.withTurn(ctx, func() error { return m.updateInTurn(ctx) })
}

// withTurn calls do when no other goroutine has the turn, or returns the context's error
// when the context ends first.
func (m *Manager) withTurn(ctx context.Context, do func() error) error {
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-m.turn }()
	return do()
}

// updateInTurn reads the document, saves the changes that the schedule requires, and
// makes its keys the manager's own. It takes no longer than updateTimeout. The caller has
// the turn.
func (m *Manager) updateInTurn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	m.reads.Add(1)
	m.began = time.Now()
	m.failure = save(func() (bool, error) { return m.attempt(ctx) })
	return m.failure
}

// save repeats attempt until it is done or fails. An attempt that is not done has found
// that another server replaced the document first; the next attempt often finds nothing
// left to change.
func save(attempt func() (done bool, _ error)) error {
	for range saveAttempts {
		done, err := attempt()
		if err != nil || done {
			return err
		}
	}
	return fmt.Errorf("save the keys: lost against other servers %d times", saveAttempts)
}

// attempt tries once to bring the document up to date. It reports false if another server
// has replaced the document in the meantime.
func (m *Manager) attempt(ctx context.Context) (done bool, _ error) {
	text, version, err := m.config.Store.LoadKeys(ctx)
	if err != nil {
		return false, err
	}
	read, upToDate := m.known, true
	isKnown := version > 0 && bytes.Equal(text, m.text)
	switch {
	case isKnown:
	case version == 0:
		read = nil
	default:
		if read, upToDate, err = open(text, m.config.MasterKeys); err != nil {
			return false, err
		}
	}
	now := m.config.Now()
	d, made, changed, err := m.schedule.maintain(read, m.known, now, time.Since(m.opened) > forgetAfter)
	if err != nil {
		return false, err
	}
	if isKnown && !changed {
		return true, nil
	}
	plan, err := newPlan(d, m.config.Algorithm)
	if err != nil {
		return false, err
	}
	if changed || !upToDate {
		if text, err = d.seal(m.config.MasterKeys[0]); err != nil {
			return false, err
		}
		if saved, err := m.config.Store.SaveKeys(ctx, text, version); !saved || err != nil {
			return false, err
		}
	}
	m.tell(ctx, d, made)
	m.known, m.text = d, text
	m.latest.Store(&d)
	m.plan.Store(&plan)
	return true, nil
}

// tell logs the keys that are new or newly revoked in a document, and passes the new ones to
// OnMade.
func (m *Manager) tell(ctx context.Context, d document, made []key) {
	for _, k := range made {
		if m.config.OnMade != nil {
			m.config.OnMade(document{k}.public(m.config.Now())[0])
		}
		m.config.Logger.InfoContext(ctx, "made a key", "use", string(k.Use), "id", k.ID, "active_from", k.ActiveFrom)
	}
	for _, k := range d {
		if i := m.known.index(k); k.isRevoked() && i >= 0 && !m.known[i].isRevoked() {
			m.config.Logger.WarnContext(ctx, "a key was revoked", "use", string(k.Use), "id", k.ID)
		}
	}
}
