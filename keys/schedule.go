package keys

import (
	"fmt"
	"slices"
	"time"

	"github.com/tandem-auth/tandem/accesstoken"
	"github.com/tandem-auth/tandem/server"
)

// slack is added to the time for which a replaced key is kept, because clocks differ.
const slack = time.Hour

// A schedule decides when keys are made and when they are deleted.
type schedule struct {
	algorithm             accesstoken.Algorithm
	every, ahead          time.Duration // every is 0 for never
	accessTTL, refreshTTL time.Duration
}

// maintain returns the document with the changes that are due at the time now, the keys
// that it has made, and whether anything has changed. known are the keys that this server
// has seen. If the store has gone back in time, maintain puts keys from known that may
// still be needed back into the document, and revokes again those that were revoked.
// maintain deletes keys only if forget is true.
func (s schedule) maintain(d, known document, now time.Time, forget bool) (_ document, made []key, changed bool, _ error) {
	d = slices.Clone(d)
	for _, k := range known {
		switch i := d.index(k); {
		case i < 0 && (k.KeepUntil.IsZero() || k.KeepUntil.After(now)):
			d, changed = append(d, k), true
		case i >= 0 && k.isRevoked() && !d[i].isRevoked():
			d[i], changed = k, true
		case i >= 0 && !d[i].isRevoked() && k.ActiveFrom.Before(d[i].ActiveFrom):
			// An operator had moved the key's ActiveFrom forward, to replace a revoked key.
			d[i].ActiveFrom, changed = k.ActiveFrom, true
		}
	}
	for _, u := range []use{signing, refresh} {
		k, err := s.next(d, u, now)
		if err != nil {
			return nil, nil, false, err
		}
		if k != nil {
			d, made, changed = append(d, *k), append(made, *k), true
		}
	}
	if s.setEnds(d) {
		changed = true
	}
	if !forget {
		return d, made, changed, nil
	}
	before := len(d)
	d = slices.DeleteFunc(d, func(k key) bool { return s.isOver(k, now) })
	return d, made, changed || len(d) != before, nil
}

// index returns where a key is in the document, or -1.
func (d document) index(k key) int {
	return slices.IndexFunc(d, func(other key) bool { return other.Use == k.Use && other.ID == k.ID })
}

// newest returns the wanted key with the latest ActiveFrom that is not revoked, or nil.
func (d document) newest(wanted func(key) bool) *key {
	var newest *key
	for i := range d {
		if !d[i].isRevoked() && wanted(d[i]) && (newest == nil || d[i].ActiveFrom.After(newest.ActiveFrom)) {
			newest = &d[i]
		}
	}
	return newest
}

// sameLine returns a function that reports whether a key belongs to the line of a use and
// an algorithm. The keys of a line succeed one another. All refresh keys are one line.
func sameLine(u use, alg accesstoken.Algorithm) func(key) bool {
	return func(k key) bool { return k.Use == u && (u == refresh || k.Algorithm == alg) }
}

// next makes the next key for a use if it is time to publish it. Otherwise it returns nil.
func (s schedule) next(d document, u use, now time.Time) (*key, error) {
	last := d.newest(sameLine(u, s.algorithm))
	var from time.Time
	switch {
	case last == nil && d.newest(func(k key) bool { return k.Use == u }) == nil:
		from = now // no server or client has cached a key set yet
	case last == nil:
		from = now.Add(s.ahead)
	case s.every == 0 || now.Before(last.ActiveFrom.Add(s.every-s.ahead)):
		return nil, nil
	default:
		from = last.ActiveFrom.Add(s.every)
		if earliest := now.Add(s.ahead); from.Before(earliest) {
			from = earliest
		}
	}
	k, err := newKey(u, s.algorithm, from)
	return &k, err
}

// newKey makes a key that becomes active at from.
func newKey(u use, alg accesstoken.Algorithm, from time.Time) (key, error) {
	k := key{Use: u, ActiveFrom: toMillisecond(from)}
	if u == refresh {
		made, err := server.NewRefreshKey()
		k.ID, k.Secret = fmt.Sprintf("%08x", made.ID), made.Secret
		return k, err
	}
	made, err := accesstoken.GenerateSigningKey(alg)
	if err != nil {
		return key{}, err
	}
	k.Algorithm, k.ID = alg, made.ID()
	k.Secret, err = made.MarshalPEM()
	return k, err
}

// setEnds sets KeepUntil of each key that has a successor to when the key's last token has
// expired. It never shortens KeepUntil, because another server may have longer TTLs.
func (s schedule) setEnds(d document) (changed bool) {
	for i := range d {
		k := &d[i]
		if k.isRevoked() {
			continue
		}
		ttl := s.accessTTL
		if k.Use == refresh {
			ttl = s.refreshTTL
		}
		var successor *key
		for j := range d {
			if !d[j].isRevoked() && sameLine(k.Use, k.Algorithm)(d[j]) && d[j].ActiveFrom.After(k.ActiveFrom) &&
				(successor == nil || d[j].ActiveFrom.Before(successor.ActiveFrom)) {
				successor = &d[j]
			}
		}
		switch {
		case successor != nil:
			if until := successor.ActiveFrom.Add(ttl + slack); until.After(k.KeepUntil) {
				k.KeepUntil, changed = until, true
			}
		case !k.KeepUntil.IsZero(): // the store has lost the successor
			k.KeepUntil, changed = time.Time{}, true
		}
	}
	return changed
}

// isOver reports whether a key is no longer needed: every token that it made has expired,
// or no server uses its algorithm any more. (A server that did would have made the key's
// successor by now.) A revoked key is never over, because its entry must stay.
func (s schedule) isOver(k key, now time.Time) bool {
	if k.isRevoked() {
		return false
	}
	if !k.KeepUntil.IsZero() {
		return now.After(k.KeepUntil)
	}
	return k.Use == signing && k.Algorithm != s.algorithm && s.every > 0 &&
		now.After(k.ActiveFrom.Add(s.every+s.ahead+s.accessTTL+slack))
}
