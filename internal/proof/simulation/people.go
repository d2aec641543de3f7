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
	disk  *disk
	skew  time.Duration
	// lockless users have a store that cannot be locked.
	lockless bool
	// busy users call often, and so refresh as soon as an access token expires.
	busy   bool
	signIn chan struct{} // a semaphore: one process signs in at a time
	number uint64
	calm   atomic.Bool // for now, nothing fails and store calls take no time

	mu            sync.Mutex // held while the store goes back, and while a process dies
	processes     []*process
	strictSession string // which the strict server knows it by
}

func (w *world) addUser(i int) {
	chance := w.chance(1, uint64(i))
	u := &user{
		world: w, name: "user" + strconv.Itoa(i), number: uint64(i),
		disk:     &disk{MemoryStore: tandem.NewMemoryStore()},
		skew:     time.Duration(chance.Int64N(int64(48*time.Hour))) - 24*time.Hour,
		lockless: chance.IntN(2) == 0,
		busy:     chance.IntN(2) == 0,
		signIn:   make(chan struct{}, 1),
	}
	count := 1 + chance.Uint64N(3)
	if w.config.Strict {
		count = 1 // a second process could not know a pair that the first failed to store
	}
	for n := range count {
		p := &process{user: u, number: n, chance: w.chance(2, u.number, n), jitter: w.chance(4, u.number, n)}
		p.network = newNetwork(w, p.chance.Uint64(), max(w.config.Faults, 0))
		u.processes = append(u.processes, p)
	}
	for _, p := range u.processes {
		w.tasks.Go(p.live)
	}
	if w.config.StoreRollbacks {
		w.tasks.Go(func() { u.rollBack(w.chance(9, u.number)) })
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
	number  uint64
	starts  uint64 // how often it has been started
	chance  *rand.Rand
	network *network
	session *tandem.Session
	mood    *mood
	up      atomic.Bool // the session is open, and the process lives

	mu     sync.Mutex
	jitter *rand.Rand
}

func (p *process) live() {
	if !p.begin() {
		return
	}
	defer func() { p.session.Close() }()
	for p.user.world.sleep(p.pause()) {
		if p.mood.dead.Load() && !p.begin() {
			return
		}
		p.mayCrash()
		p.call()
	}
}

// pause returns for how long the process leaves the session alone: a minute or two, some
// seconds if its user is busy, or a night with the lid closed.
func (p *process) pause() time.Duration {
	switch {
	case p.chance.IntN(200) == 0:
		return around(p.chance, 8*time.Hour)
	case p.user.busy:
		return around(p.chance, accessTTL/4)
	}
	return around(p.chance, accessTTL)
}

// begin opens the session as a newly started process, and repeats that until Open
// succeeds.
func (p *process) begin() bool {
	u := p.user
	p.starts++
	p.mood = newMood(u, p.number, p.starts)
	config, err := p.config()
	if err != nil {
		u.world.must(err)
		return false
	}
	for {
		session, err := tandem.Open(u.world.always, p.mood.open(), config)
		switch {
		case err == nil:
			p.session = session
			p.up.Store(true)
			return true
		case !errors.Is(err, errStore):
			u.world.must(err)
			return false
		case !u.world.sleep(around(p.chance, 10*time.Second)):
			return false
		}
	}
}

// config returns the configuration of a session at Tandem's server, or at a strict one.
func (p *process) config() (tandem.Config, error) {
	u := p.user
	config := tandem.Config{
		URL:       baseURL,
		Transport: p.network,
		Now:       func() time.Time { return time.Now().Add(u.skew) },
		Jitter:    p.draw,
	}
	if !u.world.config.Strict {
		return config, nil
	}
	refresher, err := tandem.NewOAuth2(tandem.OAuth2Config{TokenURL: baseURL + tokenPath, ClientID: "simulation", Transport: p.network})
	config.URL, config.Refresher, config.Origins = "", refresher, []string{baseURL}
	return config, err
}

func (p *process) draw(limit time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Duration(p.jitter.Int64N(int64(limit)))
}

// mayCrash kills the process some moment later, with some probability. The process loses
// what it has not stored by then.
func (p *process) mayCrash() {
	config := p.user.world.config
	if p.chance.IntN(50) != 0 || config.Faults < 0 || config.Strict {
		return
	}
	session, mood := p.session, p.mood
	after := around(p.chance, 100*time.Millisecond)
	p.user.world.tasks.Go(func() {
		time.Sleep(after)
		if p.die(mood) {
			p.user.world.count(func(r *Report) { r.Crashes++ })
			session.Close()
		}
	})
}

// die reports whether the process dies. A process that remembers a pair which the store
// has lost does not die.
func (p *process) die(m *mood) bool {
	p.user.mu.Lock()
	defer p.user.mu.Unlock()
	if p.user.disk.isBehind() || m.dead.Load() {
		return false
	}
	p.up.Store(false)
	m.dead.Store(true)
	return true
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
		p.user.heard(ended)
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

// enter signs in, unless another process of the user is signing in or has done so.
func (p *process) enter(ctx context.Context) {
	select {
	case p.user.signIn <- struct{}{}:
	default:
		return
	}
	defer func() { <-p.user.signIn }()
	if stored, err := p.user.disk.Load(ctx); err != nil || !stored.IsZero() {
		return
	}
	if p.user.world.config.Strict {
		p.enterStrictly(ctx)
		return
	}
	_ = p.session.SignIn(ctx, p.user.name, p.user.name)
}

// A robber steals the user's token now and then, and uses it in one of many
// ways.
type robber struct {
	user    *user
	chance  *rand.Rand
	network *network
}

func (t *robber) live() {
	robbed := "" // rob a session once: a second theft would reveal the first
	for t.user.world.sleep(around(t.chance, 12*time.Hour)) && !t.user.world.enough() {
		pair, err := t.user.disk.Load(t.user.world.over)
		if err != nil || pair.IsZero() || pair.SessionID == robbed {
			continue
		}
		robbed = pair.SessionID
		t.rob(pair)
	}
}

// rob presents a stolen token, and then each token that it gets in return, until the
// server refuses or the thief stops. Some thieves wait until the owner has presented the
// stolen token.
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

// waitForOwner waits up to an hour until the owner's store has another token, and reports
// whether it has.
func (t *robber) waitForOwner(pair tandem.Pair) bool {
	for range 3600 {
		kept, err := t.user.disk.Load(t.user.world.over)
		if err != nil || !t.user.world.sleep(time.Second+around(t.chance, time.Millisecond)) {
			return false
		}
		if kept.RefreshToken != pair.RefreshToken {
			return true
		}
	}
	return false
}

// refresh makes a refresh call of the thief's; it returns "" if it gets no token.
func (t *robber) refresh(token string) (next string, status int) {
	ctx, cancel := context.WithTimeout(t.user.world.over, 10*time.Second)
	defer cancel()
	body, _ := json.Marshal(map[string]string{"refreshToken": token})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, baseURL+refreshPath, bytes.NewReader(body))
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
