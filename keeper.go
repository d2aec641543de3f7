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

// A keeper owns the session's pair, in memory and in the store. No other code uses the
// store. Package renewal decides which pair is presented and which is kept; the keeper
// reads the store, asks package renewal, and carries out the decision.
type keeper struct {
	store         Store
	issuer        string // names the server in the session's pairs; empty if the server has no name
	formerIssuers []string
	server        renewal.Server
	now           func() time.Time
	dress         func(Pair) *credential // calls Config.Jitter, so its caller must not hold mu

	// live is the pair in use, or nil. It is written with mu held. A goroutine that
	// replaces it names the pair that it replaces, so that the loser of a race changes
	// nothing.
	live atomic.Pointer[credential]

	mu              sync.Mutex
	base            Pair        // this process has presented it last, or has seen it in the store since
	behind          Pair        // what the store had when it failed to keep the live pair
	basePresentedAt time.Time   // when base was first presented; zero if it was not yet
	ended           *EndedError // why the latest session has no live pair; nil if there was no session
	endedSessionID  string      // the latest session that ended, or was replaced, in this process
	unsaved         error       // why the store failed to keep the live pair; nil if it did not fail
}

// errInconsistentStore reports that the store kept refusing to replace the pair that it
// had just returned.
var errInconsistentStore = errors.New("the store does not keep what it has just shown")

// load reads the store.
func (k *keeper) load(ctx context.Context) (Pair, error) {
	stored, err := k.store.Load(ctx)
	if err != nil {
		return Pair{}, fmt.Errorf("load the session: %w", err)
	}
	return stored, nil
}

// view returns what package renewal needs to know to decide while live is the pair in use.
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

// put replaces from, if it is still the pair in use, with to, a pair that the store has.
// It makes to live and base, and clears the end of an earlier session. It reports false if
// another goroutine has replaced from or the session of to has ended.
func (k *keeper) put(from, to *credential) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.hasEnded(to) || !k.live.CompareAndSwap(from, to) {
		return false
	}
	k.base, k.basePresentedAt, k.behind = to.Pair, time.Time{}, Pair{}
	k.ended, k.unsaved = nil, nil
	return true
}

// hasEnded reports whether the session of c has ended in this process. The caller holds
// mu.
func (k *keeper) hasEnded(c *credential) bool {
	return k.endedSessionID != "" && c.SessionID == k.endedSessionID
}

// begin makes the pair of a sign-in live in place of any earlier session. It reports false
// if the program has signed the new session out meanwhile.
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

// adopt makes the stored pair live when no pair is in use, and reports whether it did:
// another session of the same store may have signed in. The error is the store's, or an
// *OtherServerError.
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

// reload replaces c with the stored pair if package renewal decides to adopt that one, and
// reports whether it did. gone reports that the store has no session any more. The error
// is the store's, or an *OtherServerError.
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

// noteStored makes live base if the store has it. Other processes may present live from
// then on, so this process must not present an older pair, even if the store rolls back.
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

// errReplaced reports that another goroutine has replaced the pair in use, so that the
// refresh has nothing left to do.
var errReplaced = errors.New("the pair in use was replaced")

// prepare reads the store and decides which pair the session presents to the server. If
// the store has a newer pair, prepare adopts it and sets adopted; if the access token of
// that pair is usable, p.pair is zero and nothing is presented. The error is errReplaced,
// an *EndedError, an *OtherServerError, or the store's.
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

// present records that the session is about to present live or base.
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

// An outcome says what the keeper did with a pair that a server gave out.
type outcome uint8

const (
	inUse     outcome = iota // the session uses it
	overtaken                // the session uses a newer pair that the store has
	discarded                // a sign-out, a sign-in or another pair has replaced the session's pair meanwhile
)

// keep stores next, the pair with which the server answered p, and makes it live. If the
// store fails, keep makes next live all the same and storeErr is the store's error.
func (k *keeper) keep(ctx context.Context, p presentation, next *credential) (_ outcome, storeErr error) {
	stored := p.stored
	for range maxAttempts {
		if k.live.Load() != p.live {
			return discarded, nil // another goroutine replaced p.live; the store may have lost the newer pair since
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

// use replaces live with next, unless another goroutine has replaced live meanwhile. If
// unsaved is nil, the store has next, and use makes it base (see noteStored); otherwise
// the store still has stored.
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

// refused reads the store once more after the server has refused p, because another
// process may have refreshed meanwhile; it adopts the pair of such a process. If the
// session has ended, refused deletes the session's pair from the store, and no other pair.
// forgetErr says why the store failed to delete, err why it failed otherwise.
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

// markEnded records that the session of c has ended. It reports false if SignOut, SignIn
// or an adoption has replaced c meanwhile.
func (k *keeper) markEnded(c *credential, end *EndedError) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.live.CompareAndSwap(c, nil) {
		return false
	}
	k.end(end)
	return true
}

// end records why there is no live pair. The caller holds mu.
func (k *keeper) end(end *EndedError) {
	k.ended, k.endedSessionID, k.unsaved = end, end.SessionID, nil
}

// giveUp takes the live pair out of use, so that a refresh under way does not report the
// end that SignOut makes. It returns the pair whose refresh token SignOut revokes: the
// live pair, or base if the store lacks the live pair and the server is forgiving.
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

// noteSignedOut makes sure that this process neither uses a signed-out session nor adopts
// it again.
func (k *keeper) noteSignedOut(sessionID string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if live := k.live.Load(); live != nil && live.SessionID != sessionID {
		return // a user has signed in since
	}
	k.live.Store(nil)
	k.end(&EndedError{SessionID: sessionID, Reason: rotation.SignedOut})
}

func (k *keeper) endedError() *EndedError {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ended
}

// mostRaces is how many attempts swapStored makes while other writers change the store.
const mostRaces = 50

// swapStored replaces whatever the store has with next, and returns the pair that it
// replaced. If next is the zero Pair, swapStored leaves the pair of another server in
// place. It tries again, up to mostRaces times, when another writer changes the store
// first. If swapStored returns an error, the store may have kept next all the same.
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

// yieldToStore adopts the stored pair if it differs from c, which the session has just put
// in use; c is nil after a sign-out. Of two sign-ins or sign-outs at once, the one that
// the store has counts.
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

// flush stores the live pair if the store has failed to keep it and still lacks it. The
// error is the store's.
func (k *keeper) flush(ctx context.Context) error {
	live := k.live.Load()
	if k.unsavedError() == nil || live == nil {
		return nil
	}
	stored, err := k.load(ctx)
	if err == nil && stored.IsZero() {
		return nil // another process has signed out: the next refresh reports it
	}
	if err == nil && renewal.Unsaved(k.view(live, stored)) {
		var swapped bool
		swapped, err = k.store.CompareAndSwap(ctx, stored, live.Pair) // if the swap fails, the store has a newer pair
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
