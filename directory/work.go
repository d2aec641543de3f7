package directory

import (
	"sync/atomic"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
)

// leastMemory is the least memory that argon2 uses, in KiB.
const leastMemory = 8

// work returns the cost of a hash as memory times passes, to which argon2's running time
// is proportional.
func work(p *argon2id.Params) uint64 { return uint64(p.Memory) * uint64(p.Iterations) }

// An evenWork makes the check of every wrong password take equally long, whatever the
// cost of the user's hash: as long as the most expensive hash seen so far, or as a new
// hash if that costs more. Otherwise, after an operator has changed the cost, an attacker
// could tell the names of users with older hashes from names that no user has.
type evenWork struct {
	params argon2id.Params // of new hashes
	most   atomic.Uint64   // the highest work of the users' hashes seen so far, or 0
}

// met records the cost of a user's hash.
func (e *evenWork) met(p *argon2id.Params) {
	for {
		most := e.most.Load()
		if work(p) <= most || e.most.CompareAndSwap(most, work(p)) {
			return
		}
	}
}

// fill does the work by which a hash of this cost falls short of the most expensive one,
// and returns how much work it did.
func (e *evenWork) fill(p *argon2id.Params) uint64 {
	missing := max(e.most.Load(), work(&e.params)) - work(p)
	if missing < leastMemory {
		return 0
	}
	// Use no more memory than a new hash does, and as many passes as that requires.
	memory := max(leastMemory, uint64(e.params.Memory))
	passes := max(uint64(e.params.Iterations), (missing+memory-1)/memory)
	if missing/passes < leastMemory {
		passes = 1
	}
	memory = missing / passes
	argon2.IDKey(nil, make([]byte, e.params.SaltLength), uint32(passes), uint32(memory), 1, e.params.KeyLength)
	return memory * passes
}
