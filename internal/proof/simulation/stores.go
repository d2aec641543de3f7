package simulation

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/faultystore"
)

var (
	errDead  = errors.New("the process is dead")
	errStore = errors.New("input/output error")
)

const (
	// longestRollback is the longest time by which a client's store rolls back.
	longestRollback = 10 * time.Minute
	// betweenRollbacks is the mean time between two attempts to roll a store back.
	betweenRollbacks = 5 * time.Minute
	// cycle is the mean length of one good and one bad phase of a store that fails in
	// bursts.
	cycle = 10 * time.Minute
)

// A disk is the store that a user's processes share: it has the pair of their session. It
// remembers earlier pairs, so that it can roll back to them.
type disk struct {
	*tandem.MemoryStore

	mu     sync.Mutex
	past   []pastPair // of the session that is stored, oldest first
	newest uint64     // the highest revision of that session that was stored
	behind bool       // it rolled back, and no process has stored a newest pair since
}

type pastPair struct {
	tandem.Pair
	at time.Time
}

// CompareAndSwap is that of the memory store, and remembers what it stored.
func (d *disk) CompareAndSwap(ctx context.Context, prev, next tandem.Pair) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	swapped, err := d.MemoryStore.CompareAndSwap(ctx, prev, next)
	if !swapped {
		return false, err
	}
	if next.SessionID != prev.SessionID {
		d.past, d.newest, d.behind = nil, 0, false
	}
	if next.Revision >= d.newest {
		d.newest, d.behind = next.Revision, false
	}
	d.past = append(d.past, pastPair{next, time.Now()})
	for time.Since(d.past[0].at) > longestRollback {
		d.past = d.past[1:]
	}
	return true, nil
}

func (d *disk) isBehind() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.behind
}

// goBack replaces the stored pair with an older pair of the same session, and reports
// whether there was one.
func (d *disk) goBack(chance *rand.Rand) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	stored, err := d.Load(context.Background())
	if err != nil {
		return false
	}
	var older []tandem.Pair
	for _, p := range d.past {
		if p.Revision < stored.Revision && time.Since(p.at) <= longestRollback {
			older = append(older, p.Pair)
		}
	}
	if len(older) == 0 {
		return false
	}
	d.behind = true
	swapped, err := d.MemoryStore.CompareAndSwap(context.Background(), stored, older[chance.IntN(len(older))])
	return swapped && err == nil
}

// rollBack rolls the user's store back now and then, by up to some minutes.
func (u *user) rollBack(chance *rand.Rand) {
	for u.world.sleep(around(chance, betweenRollbacks)) {
		if u.goBack(chance) {
			u.world.count(func(r *Report) { r.Rollbacks++ })
		}
	}
}

// goBack rolls the store back at a moment when that must not end the session: all
// processes of the user run, and have the newest pair in use. A process that starts
// afterwards would not know that pair, so no process dies until one has repaired the
// store. Before that, the store does not roll back again, unless the user has one process,
// which remembers everything.
func (u *user) goBack(chance *rand.Rand) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	alone := len(u.processes) == 1
	if !alone && u.disk.isBehind() {
		return false
	}
	u.calm.Store(true)
	defer u.calm.Store(false)
	stored, err := u.disk.Load(u.world.always)
	if err != nil || stored.IsZero() {
		return false
	}
	for _, p := range u.processes {
		if !p.up.Load() || !alone && p.session.Reload(u.world.always) != nil || p.session.Status().SessionID != stored.SessionID {
			return false
		}
	}
	return u.disk.goBack(chance)
}

// A mood decides how a process's store fails: by chance for each call, for all calls
// during some minutes, or for ever after the process has died.
type mood struct {
	user  *user
	share float64 // of the calls that fail
	dead  atomic.Bool

	mu                  sync.Mutex
	loads, swaps, locks *rand.Rand // separate random streams, as in a network
	phases              *rand.Rand // nil if each call fails independently
	ill                 bool
	until               time.Time // when the phase ends
}

// newMood returns the mood of a process at the given start.
func newMood(u *user, process, starts uint64) *mood {
	w := u.world
	m := &mood{
		user: u, share: w.config.StoreFaults,
		loads: w.chance(5, u.number, process, starts),
		swaps: w.chance(6, u.number, process, starts),
		locks: w.chance(7, u.number, process, starts),
		until: time.Now(),
	}
	if m.loads.IntN(2) == 0 {
		m.phases = w.chance(8, u.number, process, starts)
	}
	return m
}

// open returns the process's view of its user's store.
func (m *mood) open() tandem.Store {
	store := faultystore.New(m.user.disk)
	store.Hook(faultystore.Hooks{Load: m.load, Swap: m.swap, Lock: m.lock})
	if m.user.lockless {
		return store
	}
	return store.Locking(m.user.disk)
}

func (m *mood) load(_ context.Context, load func() (tandem.Pair, error)) (tandem.Pair, error) {
	fails := m.fails(m.loads)
	switch {
	case m.dead.Load():
		return tandem.Pair{}, errDead
	case fails:
		return tandem.Pair{}, errStore
	}
	return load()
}

// swap fails in one of four ways: with or without having stored next, at once or when the
// context ends.
func (m *mood) swap(ctx context.Context, _, _ tandem.Pair, swap func() (bool, error)) (swapped bool, err error) {
	fails := m.fails(m.swaps)
	saves, hangs := true, false
	if fails {
		saves, hangs = m.drawSwapFault()
	}
	switch {
	case m.dead.Load():
		return false, errDead
	case saves:
		swapped, err = swap()
	}
	if hangs {
		<-ctx.Done()
		return false, ctx.Err()
	}
	if fails {
		return false, errStore
	}
	return swapped, err
}

// lock may fail if the client can refresh without the lock.
func (m *mood) lock(_ context.Context, lock func() (func(), error)) (func(), error) {
	if m.fails(m.locks) && !m.user.world.config.Strict {
		return nil, errStore
	}
	return lock()
}

// fails waits for as long as a store call lasts, and draws whether the call fails.
func (m *mood) fails(calls *rand.Rand) bool {
	if m.share == 0 || m.user.calm.Load() {
		return false
	}
	fails, takes := m.draw(calls)
	time.Sleep(takes)
	if fails {
		m.user.world.count(func(r *Report) { r.StoreFaults++ })
	}
	return fails
}

func (m *mood) drawSwapFault() (saves, hangs bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.swaps.IntN(2) == 0, m.swaps.IntN(3) == 0
}

func (m *mood) draw(calls *rand.Rand) (fails bool, takes time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	takes = around(calls, time.Millisecond)
	if m.phases == nil {
		return calls.Float64() < m.share, takes
	}
	for now := time.Now(); !now.Before(m.until); {
		m.ill = !m.ill
		length := float64(cycle) * (1 - m.share)
		if m.ill {
			length = float64(cycle) * m.share
		}
		m.until = m.until.Add(around(m.phases, time.Duration(length)))
	}
	return m.ill, takes
}
