package tandem

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"
)

// An unsaved pair is in use, but the store has failed to keep it in place of prev; or
// has kept it and failed to say so. It came for used, which is prev unless the store
// has gone back in time.
type unsaved struct{ prev, used, next Pair }

// refreshWith returns the pair to refresh with while u is not saved. Tandem's own server
// takes the token that was used again as long as none that came after it was: then a
// restart, and another process, go on from the store. Elsewhere that token is spent.
func (s *Session) refreshWith(u unsaved) Pair {
	if s.config.Refresher == nil {
		return u.used
	}
	return u.next
}

// errFickle is of a store that does not keep what it has just shown.
var errFickle = errors.New("the store does not keep what it has just shown")

func (s *Session) notSaved() *unsaved {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unsaved
}

// saved notes that the store has next in the place of at.kept.
func (s *Session) saved(at position, next Pair) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsaved = nil
	s.overtaken.add(at.kept, next)
	s.overtaken.add(at.use, next)
}

// failedToSave notes that the store has failed, and has it tried again until it works.
func (s *Session) failedToSave(u unsaved) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsaved = &u
	if s.saving || s.closed.Load() {
		return
	}
	s.saving = true
	s.tasks.Go(s.saveLater)
}

// swap makes the store keep next in the place of what it is thought to have, or has
// gone back to. If it keeps something else, that is other: the zero Pair if the session
// was signed out. If it fails, other is what it had if it does not have next.
func (s *Session) swap(ctx context.Context, at position, next Pair) (other Pair, swapped bool, _ error) {
	places := []Pair{at.kept, at.use}
	for range maxAttempts {
		for _, prev := range places {
			if swapped, err := s.store.CompareAndSwap(ctx, prev, next); swapped || err != nil {
				return prev, swapped, err
			}
		}
		kept, err := s.store.Load(ctx)
		if err != nil {
			return at.use, false, err
		}
		if kept.RefreshToken != at.kept.RefreshToken && kept.RefreshToken != at.use.RefreshToken && !s.outdated(kept) {
			return kept, false, nil
		}
		places = append(places, kept)
	}
	return at.use, false, errFickle
}

// saveLater tries to save what the store has failed to keep, again and again until it
// works or the session is closed.
func (s *Session) saveLater() {
	for count := 1; ; count++ {
		timer := time.NewTimer(s.backOff(count))
		select {
		case <-timer.C:
		case <-s.ctx.Done():
			timer.Stop()
			return // Close saves it, if it can
		}
		ctx, cancel := context.WithTimeout(s.fetchCtx, s.config.RefreshTimeout)
		s.save(ctx)
		cancel()
		s.mu.Lock()
		over := s.unsaved == nil
		s.saving = !over
		s.mu.Unlock()
		if over {
			return
		}
	}
}

// save makes another attempt at keeping what the store has failed to keep, if there is
// such a pair.
func (s *Session) save(ctx context.Context) {
	u := s.notSaved()
	if u == nil {
		return
	}
	if _, err := s.store.CompareAndSwap(ctx, u.prev, u.next); err != nil {
		return
	}
	// It is kept now; or had been, or another session of the store was there since.
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unsaved == u {
		s.unsaved = nil
		s.overtaken.add(u.prev, u.next)
	}
}

// An overtakenSet remembers the latest refresh tokens that a later one has come after,
// kept by the store or used: a store that has one of them again has gone back in time.
type overtakenSet struct {
	sums [64][sha256.Size]byte
	next int
}

func (o *overtakenSet) add(p, by Pair) {
	if p.IsZero() || p.RefreshToken == by.RefreshToken || o.has(p) { // it may not rotate
		return
	}
	o.sums[o.next] = sha256.Sum256([]byte(p.RefreshToken))
	o.next = (o.next + 1) % len(o.sums)
}

func (o *overtakenSet) has(p Pair) bool {
	return slices.Contains(o.sums[:], sha256.Sum256([]byte(p.RefreshToken)))
}

// overtake notes that by has come after p.
func (s *Session) overtake(p, by Pair) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.overtaken.add(p, by)
}

// outdated reports whether the store, which has p, has gone back in time.
func (s *Session) outdated(p Pair) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.overtaken.has(p)
}
