package simulation

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
)

const (
	baseURL     = "http://tandem.test"
	refreshPath = "/auth/refresh-token"
	tokenPath   = "/token" // of a strict server
	loginPath   = "/auth/login"
)

// A world is one server, its users and their thieves.
type world struct {
	config  Config
	backend backend
	tasks   sync.WaitGroup
	always  context.Context // of requests that have left their client
	over    context.Context // ends with the world
	end     context.CancelFunc

	mu       sync.Mutex
	report   Report
	digest   uint64
	sessions map[rotation.SessionID]*session
	behind   bool // the server's clock is behind, by days
	numbers  int
	signIns  int // so far
	failure  error
}

// A session is what a world knows of one session.
type session struct {
	number  int // in the order of sign-ins: IDs differ from run to run
	touched bool
	// misdated sessions began while the server's clock was behind. Once the clock is right
	// again, they may look older than the refresh lifetime.
	misdated bool
	planted  time.Time // when the thief first presented a token that the server gave the thief
	seen     time.Time // when reuse ended the session
	lost     bool
}

// plant records when the thief first presented a token that the server had given the
// thief, and was answered.
func (s *session) plant(at time.Time) {
	if s.planted.IsZero() {
		s.planted = at
	}
}

// Run plays one world and reports on it.
func Run(t *testing.T, config Config) Report {
	t.Helper()
	config = config.withDefaults()
	var report Report
	synctest.Test(t, func(t *testing.T) {
		w := &world{config: config, always: context.Background(), sessions: map[rotation.SessionID]*session{}}
		w.over, w.end = context.WithTimeout(w.always, longestWorld)
		if err := w.play(t.TempDir()); err != nil {
			t.Fatalf("seed %d: %v", config.Seed, err)
		}
		report = w.sum()
	})
	return report
}

func (w *world) play(folder string) (err error) {
	if w.backend, err = w.newBackend(folder); err != nil {
		return err
	}
	if err := w.backend.start(0); err != nil {
		return err
	}
	for i := range w.config.Users {
		w.addUser(i)
	}
	w.tasks.Go(w.operate)
	<-w.over.Done()
	w.tasks.Wait()
	if err := w.backend.stop(); err != nil {
		return err
	}
	return w.failure
}

func (w *world) newBackend(folder string) (backend, error) {
	if w.config.Scheme == Tandem {
		return newGenuine(folder, w.note)
	}
	return &peer{
		policy: policies[w.config.Scheme], onEvent: w.note, silent: w.config.Strict && w.config.Seed%2 == 0,
		families: map[rotation.SessionID]*family{},
	}, nil
}

// chance returns a random stream for one actor of the world.
func (w *world) chance(who ...uint64) *rand.Rand {
	hash := fnv.New64a()
	_, _ = fmt.Fprint(hash, w.config.Seed, who)
	return rand.New(rand.NewPCG(w.config.Seed, hash.Sum64()))
}

// operate restarts the server now and then, and ends the world when enough has
// happened.
func (w *world) operate() {
	chance := w.chance(0)
	defer w.end()
	for !w.enough() {
		if !w.sleep(around(chance, time.Hour)) {
			return
		}
		if chance.IntN(2) == 0 && w.config.Faults > 0 {
			w.restart(chance)
		}
	}
	// Thieves have stopped; their victims come back within a day. A server whose clock is
	// behind cannot tell how long ago anything was, so its clock is set right.
	w.must(w.backend.stop())
	w.must(w.backend.start(0))
	for range settling / time.Hour {
		if w.allSeen() || !w.sleep(time.Hour) {
			return
		}
	}
}

func (w *world) allSeen() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sessions {
		if !s.planted.IsZero() && s.seen.IsZero() && !s.misdated {
			return false
		}
	}
	return true
}

// restart takes the server down for a moment. With FallBacks, its store may roll back by
// some seconds meanwhile. Now and then its clock is behind until the next restart.
func (w *world) restart(chance *rand.Rand) {
	before := w.signInCount()
	w.must(w.backend.stop())
	if w.config.FallBacks {
		w.must(w.backend.backUp())
		w.must(w.backend.start(0))
		w.sleep(around(chance, 20*time.Second))
		w.must(w.backend.stop())
		// The store must not lose a sign-in: no protocol can recover a lost one.
		if w.signInCount() == before {
			w.must(w.backend.fallBack())
			w.count(func(r *Report) { r.FallBacks++ })
		}
	}
	w.sleep(around(chance, 2*time.Second))
	var behind time.Duration
	if chance.IntN(6) == 0 {
		behind = around(chance, 15*24*time.Hour)
	}
	w.count(func(r *Report) { r.Restarts++ })
	w.mu.Lock()
	w.behind = behind > 0
	w.mu.Unlock()
	w.must(w.backend.start(behind))
}

func (w *world) enough() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.report.Refreshes >= w.config.Refreshes
}

func (w *world) signInCount() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.signIns
}

// must ends the world if err is not nil: no world should have such an error.
func (w *world) must(err error) {
	if err == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failure == nil {
		w.failure = err
	}
	w.end()
}

// sleep waits for d, and reports whether the world has not ended by then.
func (w *world) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return w.over.Err() == nil
	case <-w.over.Done():
		return false
	}
}

// around returns a random duration whose mean is about d.
func around(chance *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(1 + chance.Int64N(2*int64(d)))
}

func (w *world) count(do func(*Report)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	do(&w.report)
}

// happened adds an event and its time to the digest.
func (w *world) happened(what string, number int) {
	hash := fnv.New64a()
	_, _ = fmt.Fprint(hash, w.digest, time.Now().UnixNano(), what, number)
	w.digest = hash.Sum64()
}

// note receives the server's events.
func (w *world) note(e server.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.known(e.Session)
	w.happened(string(e.Kind), s.number)
	switch e.Kind {
	case server.EventSignedIn:
		w.signIns++
		s.misdated = w.behind
	case server.EventRefreshed:
		w.report.Refreshes++
	case server.EventRefreshRetried:
		w.report.Retried++
	case server.EventRefreshStale:
		w.report.Stale++
	case server.EventReuseDetected:
		w.ended(s)
		s.seen = time.Now()
	}
}

// known returns the world's record of a session. The caller holds w.mu.
func (w *world) known(id rotation.SessionID) *session {
	s := w.sessions[id]
	if s == nil {
		w.numbers++
		s = &session{number: w.numbers}
		w.sessions[id] = s
	}
	return s
}

// ended counts a session that ended although no thief had touched it. The caller holds
// w.mu.
func (w *world) ended(s *session) {
	if !s.touched && !s.misdated && !s.lost {
		s.lost = true
		w.report.FalseLogouts++
	}
}

// change updates the world's record of a session.
func (w *world) change(id string, do func(s *session)) {
	parsed, err := rotation.ParseSessionID(id)
	if err != nil {
		w.must(err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	do(w.known(parsed))
}

func (w *world) sum() Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.report
	r.Scheme, r.Worlds, r.Digest = w.config.Scheme, 1, w.digest
	for _, s := range w.sessions {
		if s.planted.IsZero() || s.misdated {
			continue
		}
		r.Planted++
		if !s.seen.IsZero() {
			r.Seen++
			r.SeenAfter = append(r.SeenAfter, max(0, s.seen.Sub(s.planted)))
		}
	}
	return r
}
