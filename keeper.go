package tandem

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-auth/tandem/renewal"
	"github.com/tandem-auth/tandem/rotation"
)

// A keeper owns a session's pair: the one in use and the one in the store. Nothing else
// touches the store. What to present and what to keep package renewal decides; the
// keeper reads, asks, and does it.
type keeper struct {
	store         Store
	issuer        string // of the pairs that belong to the session; empty if it has no name
	formerIssuers []string
	server        renewal.Server
	now           func() time.Time
	dress         func(Pair) *credential // calls Config.Jitter: never with mu held

	// live is the pair in use; nil while there is none. Whoever replaces it says what it
	// replaces, so that the loser of a race changes nothing. It is written with mu held.
	live atomic.Pointer[credential]

	mu              sync.Mutex
	base            Pair        // was presented last, or is known to have been stored since
	behind          Pair        // what the store had when it failed to keep the live pair
	basePresentedAt time.Time   // zero if it was not presented yet
	ended           *EndedError // why there is no live pair, if there was one
	endedSessionID  string      // of the latest session that ended, or was replaced, here
	unsaved         error       // why the store has failed to keep the live pair; nil if it has not
}

// errInconsistentStore is of a store that does not keep what it has just shown.
var errInconsistentStore = errors.New("the store does not keep what it has just shown")

// load reads the store.
func (k *keeper) load(ctx context.Context) (Pair, error) {
	stored, err := k.store.Load(ctx)
	if err != nil {
		return Pair{}, fmt.Errorf("load the session: %w", err)
	}
	return stored, nil
}

// view is what the decision needs to know while live is the pair in use.
func (k *keeper) view(live *credential, stored Pair) renewal.View {
	k.mu.Lock()
	defer k.mu.Unlock()
	v := renewal.View{
		Base: k.base.decided(), BasePresentedAt: k.basePresentedAt, Stored: stored.decided(),
		Behind: k.behind.decided(), EndedSessionID: k.endedSessionID, Issuer: k.issuer, FormerIssuers: k.formerIssuers, Server: k.server,
	}
	if live != nil {
		v.Live = live.decided()
	}
	return v
}

// put replaces the pair in use, if it still is from, by one that the store has: to is
// live and base from now on, and no session has ended.
func (k *keeper) put(from, to *credential) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.hasEnded(to) || !k.live.CompareAndSwap(from, to) {
		return false // signed out meanwhile, or replaced
	}
	k.base, k.basePresentedAt, k.behind = to.Pair, time.Time{}, Pair{}
	k.ended, k.unsaved = nil, nil
	return true
}

// hasEnded reports whether the session of c has ended here; mu is held.
func (k *keeper) hasEnded(c *credential) bool {
	return k.endedSessionID != "" && c.SessionID == k.endedSessionID
}

// begin makes the pair of a sign-in live, in the place of whatever session was before. It
// reports whether it did: not if the new session was signed out meanwhile.
func (k *keeper) begin(c *credential, replaced Pair) bool {
	for last := k.live.Load(); !k.put(last, c); last = k.live.Load() {
		k.mu.Lock()
		ended := k.hasEnded(c)
		k.mu.Unlock()
		if ended {
			return false
		}
	}
	if !replaced.IsZero() {
		k.mu.Lock()
		k.endedSessionID = replaced.SessionID
		k.mu.Unlock()
	}
	return true
}

// adopt takes up what the store has when there is no pair in use, and reports whether
// there was something: another session of the store may have signed in. The error is
// the store's, or an *OtherServerError.
func (k *keeper) adopt(ctx context.Context) (bool, error) {
	stored, err := k.load(ctx)
	if err != nil {
		return false, err
	}
	switch renewal.Before(k.view(nil, stored), k.now()) {
	case renewal.Foreign:
		return false, k.foreign(stored)
	case renewal.Adopt:
		return k.put(nil, k.dress(stored)), nil
	}
	return false, nil
}

// reload takes up what the store has in the place of c, and reports whether it did.
// gone says that the store has nothing any more.
func (k *keeper) reload(ctx context.Context, c *credential) (adopted, gone bool, err error) {
	stored, err := k.load(ctx)
	if err != nil {
		return false, false, err
	}
	switch renewal.Before(k.view(c, stored), k.now()) {
	case renewal.Foreign:
		return false, false, k.foreign(stored)
	case renewal.SignedOut:
		return false, true, nil
	case renewal.Adopt:
		return k.put(c, k.dress(stored)), false, nil
	}
	k.noteStored(c, stored)
	return false, false, nil
}

// noteStored makes live base if the store has it: other processes may present it from now
// on, so that an older pair must not be presented here, even if the store goes back.
func (k *keeper) noteStored(live *credential, stored Pair) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.live.Load() == live && stored.same(live.Pair) && !k.base.same(stored) {
		k.base, k.basePresentedAt = stored, time.Time{}
	}
}

// A presentation is one attempt at a refresh.
type presentation struct {
	live   *credential // the pair in use
	pair   Pair        // whose refresh token is presented
	stored Pair        // what the store had before
}

// errReplaced is of a pair in use that something else has replaced: there is nothing to
// do any more.
var errReplaced = errors.New("the pair in use was replaced")

// prepare reads the store and decides what is presented to the server. If the store has
// a pair that is to be adopted and still good, that is all: adopted is set. The error is
// errReplaced, an *EndedError, an *OtherServerError, or the store's.
func (k *keeper) prepare(ctx context.Context, live *credential) (p presentation, adopted bool, err error) {
	stored, err := k.load(ctx)
	if err != nil {
		return presentation{}, false, err
	}
	for {
		now := k.now()
		switch step := renewal.Before(k.view(live, stored), now); step {
		case renewal.Foreign:
			return presentation{}, false, k.foreign(stored)
		case renewal.Adopt:
			newer := k.dress(stored)
			if !k.put(live, newer) {
				return presentation{}, false, errReplaced
			}
			if live, adopted = newer, true; newer.usable(now) {
				return presentation{live: live}, true, nil
			}
		case renewal.PresentLive, renewal.PresentBase:
			p, err := k.present(live, step, now)
			p.stored = stored
			return p, adopted, err
		default:
			return presentation{}, false, &EndedError{SessionID: live.SessionID, Reason: rotation.SignedOut}
		}
	}
}

// present notes that live, or base, is about to be presented.
func (k *keeper) present(live *credential, which renewal.Step, now time.Time) (presentation, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.live.Load() != live {
		return presentation{}, errReplaced
	}
	if which == renewal.PresentLive && !k.base.same(live.Pair) {
		k.base, k.basePresentedAt = live.Pair, time.Time{}
	}
	if k.basePresentedAt.IsZero() {
		k.basePresentedAt = now
	}
	return presentation{live: live, pair: k.base}, nil
}

// An outcome is what became of the pair that a server gave.
type outcome uint8

const (
	inUse     outcome = iota // it is the pair in use
	overtaken                // the store has a newer one, which is in use instead
	discarded                // it is given up: something else was done with the session meanwhile
)

// keep stores the pair that p was answered with, and uses it. A store that fails does not
// keep it from being used: storeErr says why it failed.
func (k *keeper) keep(ctx context.Context, p presentation, next *credential) (_ outcome, storeErr error) {
	stored := p.stored
	for range maxAttempts {
		if k.live.Load() != p.live {
			return discarded, nil // the store may have lost the pair since that was adopted
		}
		switch renewal.After(k.view(p.live, stored), p.pair.decided(), renewal.Granted, next.decided()) {
		case renewal.Discard:
			return discarded, nil
		case renewal.Adopt:
			k.put(p.live, k.dress(stored))
			return overtaken, nil
		case renewal.Kept:
			return k.use(p.live, next, stored, nil), nil
		}
		swapped, err := k.store.CompareAndSwap(ctx, stored, next.Pair)
		if err == nil && swapped {
			return k.use(p.live, next, stored, nil), nil
		}
		if err == nil {
			var now Pair
			if now, err = k.load(ctx); err == nil {
				stored = now
			}
		}
		if err != nil {
			return k.use(p.live, next, stored, err), err
		}
	}
	return k.use(p.live, next, stored, errInconsistentStore), errInconsistentStore
}

// use puts next in the place of live, which was given up meanwhile if it is not there. It
// is base, too, if the store has it (see noteStored); otherwise the store has stored.
func (k *keeper) use(live, next *credential, stored Pair, unsaved error) outcome {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.live.CompareAndSwap(live, next) {
		return discarded
	}
	if k.unsaved = unsaved; unsaved != nil {
		k.behind = stored
	} else {
		k.base, k.basePresentedAt, k.behind = next.Pair, time.Time{}, Pair{}
	}
	return inUse
}

// refused looks into the store once more after the server has refused p: another process
// may have been there. If it has, its pair is adopted. If the session has ended, the
// store forgets it; nobody else's pair is touched. The error is the store's.
func (k *keeper) refused(ctx context.Context, p presentation, answer renewal.Answer) (step renewal.Step, forgetErr, err error) {
	for range maxAttempts {
		stored, err := k.load(ctx)
		if err != nil {
			return renewal.Retry, nil, err
		}
		switch step = renewal.After(k.view(p.live, stored), p.pair.decided(), answer, renewal.Pair{}); step {
		case renewal.Adopt:
			k.put(p.live, k.dress(stored))
			return step, nil, nil
		case renewal.End:
		default:
			return step, nil, nil
		}
		if stored.IsZero() || stored.SessionID != p.pair.SessionID || !k.owns(stored) {
			return renewal.End, nil, nil
		}
		swapped, err := k.store.CompareAndSwap(ctx, stored, Pair{})
		if swapped || err != nil {
			return renewal.End, err, nil
		}
	}
	return renewal.Retry, nil, errInconsistentStore
}

// markEnded notes that the session of c has ended, and reports whether that is news: it
// is not if c was given up meanwhile, by SignOut or SignIn.
func (k *keeper) markEnded(c *credential, end *EndedError) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.live.CompareAndSwap(c, nil) {
		return false
	}
	k.end(end)
	return true
}

// end notes why there is no live pair; mu is held.
func (k *keeper) end(end *EndedError) {
	k.ended, k.endedSessionID, k.unsaved = end, end.SessionID, nil
}

// giveUp takes the pair out of use, so that a refresh under way does not take the end
// that SignOut makes for news. It returns the pair whose refresh token the server knows
// best: the live one, or, while the store lacks that, base.
func (k *keeper) giveUp() Pair {
	k.mu.Lock()
	defer k.mu.Unlock()
	last := k.live.Swap(nil)
	if last == nil {
		return Pair{}
	}
	known := last.Pair
	if k.unsaved != nil && k.server == renewal.Forgiving && k.base.SessionID == last.SessionID {
		known = k.base
	}
	k.end(&EndedError{SessionID: last.SessionID, Reason: rotation.SignedOut})
	return known
}

// noteSignedOut makes sure that a session which was signed out is not used any more, and
// not adopted again.
func (k *keeper) noteSignedOut(sessionID string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if live := k.live.Load(); live != nil && live.SessionID != sessionID {
		return // somebody has signed in since
	}
	k.live.Store(nil)
	k.end(&EndedError{SessionID: sessionID, Reason: rotation.SignedOut})
}

func (k *keeper) endedError() *EndedError {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ended
}

// mostRaces is how many other writers swapStored lets come between.
const mostRaces = 50

// swapStored makes the store keep next, whatever it has, and returns what that was. The
// zero Pair does not replace a pair of another server: that is not ours to forget. It
// goes on until no other writer comes between, or ctx ends. A store that fails may have
// done it.
func (k *keeper) swapStored(ctx context.Context, next Pair) (Pair, error) {
	for range mostRaces {
		stored, err := k.load(ctx)
		if err != nil {
			return Pair{}, err
		}
		if next.IsZero() && !k.owns(stored) {
			return Pair{}, nil
		}
		swapped, err := k.store.CompareAndSwap(ctx, stored, next)
		if err != nil {
			if now, loadErr := k.store.Load(ctx); loadErr == nil && now.same(next) {
				return stored, nil
			}
			return Pair{}, fmt.Errorf("keep the session: %w", err)
		}
		if swapped {
			return stored, nil
		}
	}
	return Pair{}, fmt.Errorf("keep the session: %w", errInconsistentStore)
}

// yieldToStore gives up c, which has just been put in use, or the absence of a pair if c
// is nil, if the store has something else: of two sign-ins or sign-outs at once, the one
// that the store has stands.
func (k *keeper) yieldToStore(ctx context.Context, c *credential) {
	stored, err := k.load(ctx)
	if err != nil {
		return
	}
	if renewal.Before(k.view(c, stored), k.now()) == renewal.Adopt {
		k.put(c, k.dress(stored))
	}
}

// unsavedError returns why the store has failed to keep the live pair, or nil.
func (k *keeper) unsavedError() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.unsaved
}

// flush stores the live pair if the store has failed to keep it, and still lacks it. The
// error is the store's.
func (k *keeper) flush(ctx context.Context) error {
	live := k.live.Load()
	if k.unsavedError() == nil || live == nil {
		return nil
	}
	stored, err := k.load(ctx)
	if err == nil && stored.IsZero() {
		return nil // signed out elsewhere: the next refresh finds out, and tells
	}
	if err == nil && renewal.Unsaved(k.view(live, stored)) {
		var swapped bool
		swapped, err = k.store.CompareAndSwap(ctx, stored, live.Pair) // if it is lost, the store has a newer one
		if swapped {
			stored = live.Pair
		}
	}
	if err == nil {
		k.noteStored(live, stored)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.live.Load() == live {
		k.unsaved = err
	}
	return err
}

func (k *keeper) owns(p Pair) bool { return renewal.Belongs(p.Issuer, k.issuer, k.formerIssuers) }

func (k *keeper) foreign(stored Pair) *OtherServerError {
	return &OtherServerError{Want: k.issuer, Have: stored.Issuer}
}
