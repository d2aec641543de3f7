package simulation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-auth/tandem"
)

// A user has a machine with one to three processes that share a store. Their
// clock is up to a day off.
type user struct {
	world *world
	name  string
	store *tandem.MemoryStore
	skew  time.Duration
	// lockless users have a store that cannot be locked.
	lockless bool
	// busy users call often, and so refresh whenever an access token runs out.
	busy   bool
	signIn chan struct{} // has room for the one process that signs in
	number uint64
}

func (w *world) addUser(i int) {
	chance := w.chance(1, uint64(i))
	u := &user{
		world: w, name: "user" + strconv.Itoa(i), number: uint64(i),
		store:    tandem.NewMemoryStore(),
		skew:     time.Duration(chance.Int64N(int64(48*time.Hour))) - 24*time.Hour,
		lockless: chance.IntN(2) == 0,
		busy:     chance.IntN(2) == 0,
		signIn:   make(chan struct{}, 1),
	}
	for n := range 1 + chance.Uint64N(3) {
		p := &process{user: u, chance: w.chance(2, u.number, n), jitter: w.chance(4, u.number, n)}
		p.network = newNetwork(w, p.chance.Uint64(), max(w.config.Faults, 0))
		w.tasks.Go(p.live)
	}
	if !w.config.NoThieves {
		t := &robber{user: u, chance: w.chance(3, u.number)}
		t.network = newNetwork(w, t.chance.Uint64(), max(w.config.Faults, 0)/10)
		w.tasks.Go(t.live)
	}
}

// A process uses the user's session for as long as the world stands.
type process struct {
	user    *user
	chance  *rand.Rand
	network *network
	session *tandem.Session
	store   *mortalStore

	mu     sync.Mutex
	jitter *rand.Rand
}

func (p *process) live() {
	if !p.begin() {
		return
	}
	defer func() { p.session.Close() }()
	for p.user.world.sleep(p.pause()) {
		if p.store.dead.Load() && !p.begin() {
			return
		}
		p.mayCrash()
		p.call()
	}
}

// pause is how long the process leaves the session alone: a minute or two, some
// seconds if it is busy, or a night with the lid closed.
func (p *process) pause() time.Duration {
	switch {
	case p.chance.IntN(200) == 0:
		return around(p.chance, 8*time.Hour)
	case p.user.busy:
		return around(p.chance, accessTTL/4)
	}
	return around(p.chance, accessTTL)
}

// begin opens the session, as a process does that has just been started.
func (p *process) begin() bool {
	u := p.user
	p.store = &mortalStore{Store: u.store}
	var store tandem.Store = p.store
	if !u.lockless {
		store = lockingStore{p.store, u.store}
	}
	session, err := tandem.Open(u.world.always, store, tandem.Config{
		URL:       baseURL,
		Transport: p.network,
		Now:       func() time.Time { return time.Now().Add(u.skew) },
		Jitter:    p.draw,
	})
	if err != nil {
		u.world.must(err)
		return false
	}
	p.session = session
	return true
}

func (p *process) draw(limit time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Duration(p.jitter.Int64N(int64(limit)))
}

// mayCrash kills the process some moment later, perhaps. What it has not stored
// by then is gone.
func (p *process) mayCrash() {
	if p.chance.IntN(50) != 0 || p.user.world.config.Faults < 0 {
		return
	}
	session, store := p.session, p.store
	after := around(p.chance, 100*time.Millisecond)
	p.user.world.tasks.Go(func() {
		time.Sleep(after)
		store.dead.Store(true)
		p.user.world.count(func(r *Report) { r.Crashes++ })
		session.Close()
	})
}

// call uses the session once.
func (p *process) call() {
	w := p.user.world
	ctx, cancel := context.WithTimeout(w.over, time.Minute)
	defer cancel()
	w.count(func(r *Report) { r.Calls++ })
	token, err := p.session.Token(ctx)
	switch chance := p.chance.IntN(20); {
	case err != nil:
	case chance < 5:
		err = p.ask(ctx)
	case chance == 5:
		p.session.Invalidate(token)
	}
	var temporary *tandem.TemporaryError
	var ended *tandem.EndedError
	switch {
	case errors.As(err, &temporary):
		w.count(func(r *Report) { r.Temporary++ })
	case errors.As(err, &ended):
		w.change(ended.SessionID, func(s *session) { w.ended(s) })
		p.enter(ctx)
	case errors.Is(err, tandem.ErrNotSignedIn):
		p.enter(ctx)
	}
}

// ask calls an API.
func (p *process) ask(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, baseURL+"/auth/me", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := p.session.Client().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// enter signs in, unless another process of the user is at it or has done so.
func (p *process) enter(ctx context.Context) {
	select {
	case p.user.signIn <- struct{}{}:
	default:
		return
	}
	defer func() { <-p.user.signIn }()
	if kept, err := p.store.Load(ctx); err == nil && kept.IsZero() {
		_ = p.session.SignIn(ctx, p.user.name, p.user.name)
	}
}

// A mortalStore is a process's view of its user's store. It ends with the
// process.
type mortalStore struct {
	tandem.Store
	dead atomic.Bool
}

var errDead = errors.New("the process is dead")

func (m *mortalStore) Load(ctx context.Context) (tandem.Pair, error) {
	if m.dead.Load() {
		return tandem.Pair{}, errDead
	}
	return m.Store.Load(ctx)
}

func (m *mortalStore) CompareAndSwap(ctx context.Context, prev, next tandem.Pair) (bool, error) {
	if m.dead.Load() {
		return false, errDead
	}
	return m.Store.CompareAndSwap(ctx, prev, next)
}

// A lockingStore is one that can be locked.
type lockingStore struct {
	*mortalStore
	tandem.Locker
}

// A robber steals the user's token now and then, and uses it in one of many
// ways.
type robber struct {
	user    *user
	chance  *rand.Rand
	network *network
}

func (t *robber) live() {
	robbed := "" // once is enough: a second theft would give the first away
	for t.user.world.sleep(around(t.chance, 12*time.Hour)) && !t.user.world.enough() {
		pair, err := t.user.store.Load(t.user.world.over)
		if err != nil || pair.IsZero() || pair.SessionID == robbed {
			continue
		}
		robbed = pair.SessionID
		t.rob(pair)
	}
}

// rob uses a stolen token, and then what it is given for it, until the server
// refuses or the thief has had enough. Some wait for the owner to use it first.
func (t *robber) rob(pair tandem.Pair) {
	w := t.user.world
	if t.chance.IntN(3) == 0 && !t.waitForOwner(pair) {
		return
	}
	every := []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, accessTTL, time.Hour}[t.chance.IntN(5)]
	token, own := pair.RefreshToken, false
	for range 2 + t.chance.IntN(60) {
		w.change(pair.SessionID, func(s *session) { s.touched = true })
		began := time.Now()
		next, status := t.refresh(token)
		if own && (next != "" || status == http.StatusBadRequest) {
			w.change(pair.SessionID, func(s *session) { s.plant(began) })
		}
		switch {
		case status == http.StatusBadRequest:
			return
		case next != "":
			token, own = next, true
		}
		if !w.sleep(around(t.chance, every)) || w.enough() {
			return
		}
	}
}

// waitForOwner waits until the owner's store has another token. It reports
// whether that came to pass within the hour.
func (t *robber) waitForOwner(pair tandem.Pair) bool {
	for range 3600 {
		kept, err := t.user.store.Load(t.user.world.over)
		if err != nil || !t.user.world.sleep(time.Second+around(t.chance, time.Millisecond)) {
			return false
		}
		if kept.RefreshToken != pair.RefreshToken {
			return true
		}
	}
	return false
}

// refresh makes a call of the thief's own; "" is no token.
func (t *robber) refresh(token string) (next string, status int) {
	ctx, cancel := context.WithTimeout(t.user.world.over, 10*time.Second)
	defer cancel()
	body, _ := json.Marshal(map[string]string{"refreshToken": token})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, baseURL+"/auth/refresh-token", bytes.NewReader(body))
	if err != nil {
		return "", 0
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := t.network.RoundTrip(req)
	if err != nil {
		return "", 0
	}
	defer resp.Body.Close()
	var answer struct {
		RefreshToken string `json:"refreshToken"`
	}
	_ = json.NewDecoder(resp.Body).Decode(&answer)
	return answer.RefreshToken, resp.StatusCode
}
