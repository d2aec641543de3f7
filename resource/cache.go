package resource

import (
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/tandem-auth/tandem/accesstoken"
)

// ways is how many places there are for a token.
const ways = 4

// A version counts what is known of ended sessions.
type version = atomic.Uint64

// An entry is a token that was verified. It does not change, but for known.
type entry struct {
	token     string
	until     time.Time // of the token's expiry and the leeway
	keys      *accesstoken.KeySet
	principal Principal
	// known is the version of the ended sessions in which the session was not.
	known version
	// askedAt is when the server last said that the session lives, in nanoseconds since 1970.
	askedAt atomic.Int64
	// isOver is set once the server has said that the token is good no more. Another token
	// of the session is another question: by the server's clock, this one may have expired.
	isOver atomic.Bool
}

// A cache remembers verified tokens. It has a fixed number of places, and looking one up
// takes no lock: goroutines on many cores do not wait for one another. A token is found by
// all of its text. Being found does not keep it in the cache for longer.
type cache struct {
	seed maphash.Seed
	sets [][ways]atomic.Pointer[entry]
}

func newCache(size int) *cache {
	return &cache{seed: maphash.MakeSeed(), sets: make([][ways]atomic.Pointer[entry], (size+ways-1)/ways)}
}

func (c *cache) set(token string) *[ways]atomic.Pointer[entry] {
	return &c.sets[maphash.String(c.seed, token)%uint64(len(c.sets))]
}

// find returns the entry of a token, unless the token has expired since, or the issuer's
// keys have changed.
func (c *cache) find(token string, keys *accesstoken.KeySet, now time.Time) *entry {
	set := c.set(token)
	for i := range set {
		if e := set[i].Load(); e != nil && e.token == token {
			if e.keys == keys && now.Before(e.until) {
				return e
			}
			return nil
		}
	}
	return nil
}

// add puts an entry in the place of one that counts no more, or of the one that expires
// first, and returns it; if another goroutine has added its token meanwhile, add returns
// that entry. If two goroutines add at the same moment, one entry may be lost.
func (c *cache) add(e *entry, now time.Time) *entry {
	if old := c.find(e.token, e.keys, now); old != nil {
		return old
	}
	set := c.set(e.token)
	place := &set[0]
	var first *entry // the one in place
	for i := range set {
		old := set[i].Load()
		if old == nil || old.token == e.token || old.keys != e.keys || !now.Before(old.until) {
			set[i].Store(e)
			return e
		}
		if first == nil || old.until.Before(first.until) {
			place, first = &set[i], old
		}
	}
	place.Store(e)
	return e
}
