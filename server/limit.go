package server

import (
	"crypto/sha256"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/unicode/norm"
)

// familiarFor is how long an address counts as one of a user's own after a
// sign-in from there.
const familiarFor = 30 * 24 * time.Hour

// A signInLimiter bounds how often sign-ins may fail. Every sign-in takes from
// the buckets before its password is looked at, so that many at once cannot get
// past them, and one that did not fail gives back.
type signInLimiter struct {
	now func() time.Time

	mu        sync.Mutex
	byAddress buckets[netip.Prefix]
	byBoth    buckets[userAtAddress]
	byUser    buckets[userKey]
	// familiar has the addresses that users have signed in from, until when.
	familiar deadlines[userAtAddress]
}

// A userKey stands for a username, in bounded memory.
type userKey [16]byte

type userAtAddress struct {
	user    userKey
	address netip.Prefix
}

// An attempt is a sign-in that is under way, and what it has taken.
type attempt struct {
	userAtAddress
	tookUser bool
}

func newSignInLimiter(limits SignInLimits, now func() time.Time) *signInLimiter {
	return &signInLimiter{
		now:       now,
		byAddress: newBuckets[netip.Prefix](limits.PerAddress, limits.Entries),
		byBoth:    newBuckets[userAtAddress](limits.PerUserAndAddress, limits.Entries),
		byUser:    newBuckets[userKey](limits.PerUser, limits.Entries),
		familiar:  newDeadlines[userAtAddress](limits.Entries),
	}
}

// take begins a sign-in. With a positive wait it must not go on, and nothing was
// taken: there may be room again after that time.
func (l *signInLimiter) take(username string, addr netip.Addr) (attempt, time.Duration) {
	a := attempt{userAtAddress: userAtAddress{user: keyOf(username), address: network(addr)}}
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	a.tookUser = !l.familiar.has(a.userAtAddress, now)

	wait := max(l.byAddress.wait(a.address, now), l.byBoth.wait(a.userAtAddress, now))
	if a.tookUser {
		wait = max(wait, l.byUser.wait(a.user, now))
	}
	if wait > 0 {
		return attempt{}, wait
	}
	l.byAddress.take(a.address, now)
	l.byBoth.take(a.userAtAddress, now)
	if a.tookUser {
		l.byUser.take(a.user, now)
	}
	return a, 0
}

// giveBack makes an attempt count for nothing.
func (l *signInLimiter) giveBack(a attempt) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.giveBackLocked(a, now)
}

// succeeded gives back, and makes the address familiar.
func (l *signInLimiter) succeeded(a attempt) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.giveBackLocked(a, now)
	l.familiar.set(a.userAtAddress, now.Add(familiarFor), now)
}

func (l *signInLimiter) giveBackLocked(a attempt, now time.Time) {
	l.byAddress.giveBack(a.address, now)
	l.byBoth.giveBack(a.userAtAddress, now)
	if a.tookUser {
		l.byUser.giveBack(a.user, now)
	}
}

// keyOf ignores case and how characters are composed, as some directories do:
// else every spelling of a name would have a bucket of its own.
func keyOf(username string) userKey {
	sum := sha256.Sum256([]byte(strings.ToLower(norm.NFKC.String(strings.TrimSpace(username)))))
	return userKey(sum[:16])
}

// network returns what one customer has of addresses: of IPv6 that is a /64.
// What has no address shares one.
func network(addr netip.Addr) netip.Prefix {
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// buckets are token buckets, of which only those that are not full take memory:
// a bucket is the time at which it will be full again.
type buckets[K comparable] struct {
	limit  Limit
	fullAt deadlines[K]
}

func newBuckets[K comparable](limit Limit, entries int) buckets[K] {
	return buckets[K]{limit: limit, fullAt: newDeadlines[K](entries)}
}

// wait returns how long it takes until there is a token; zero if there is one.
func (b *buckets[K]) wait(key K, now time.Time) time.Duration {
	fullAt, lacking := b.fullAt.get(key, now)
	if !lacking {
		return 0
	}
	room := time.Duration(b.limit.Burst-1) * b.limit.Every
	return max(0, fullAt.Sub(now)-room)
}

func (b *buckets[K]) take(key K, now time.Time) {
	fullAt, lacking := b.fullAt.get(key, now)
	if !lacking {
		fullAt = now
	}
	b.fullAt.set(key, fullAt.Add(b.limit.Every), now)
}

func (b *buckets[K]) giveBack(key K, now time.Time) {
	if fullAt, lacking := b.fullAt.get(key, now); lacking {
		b.fullAt.set(key, fullAt.Add(-b.limit.Every), now)
	}
}
