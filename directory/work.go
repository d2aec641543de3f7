package directory

import (
	"sync/atomic"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
)

// leastMemory is the least that argon2 works with, in KiB.
const leastMemory = 8

// work is how long a hash takes, as memory times passes: argon2's time goes by that.
func work(p *argon2id.Params) uint64 { return uint64(p.Memory) * uint64(p.Iterations) }

// An evenWork makes all passwords that are not right take equally long, whatever the
// cost of the hash is that they were compared with: as long as the most expensive hash
// takes that has been met, or a new one. Else a changed cost would tell the names whose
// hashes are of before from those that nobody has.
type evenWork struct {
	params argon2id.Params // of new hashes
	most   atomic.Uint64   // of the hashes met, or 0
}

// met takes note of the cost of a user's hash.
func (e *evenWork) met(p *argon2id.Params) {
	for {
		most := e.most.Load()
		if work(p) <= most || e.most.CompareAndSwap(most, work(p)) {
			return
		}
	}
}

// fill works for as long as a hash of this cost lacks, and returns how much it did.
func (e *evenWork) fill(p *argon2id.Params) uint64 {
	missing := max(e.most.Load(), work(&e.params)) - work(p)
	if missing < leastMemory {
		return 0
	}
	// No more memory than a hash takes, and as many passes as that makes necessary.
	memory := max(leastMemory, uint64(e.params.Memory))
	passes := max(uint64(e.params.Iterations), (missing+memory-1)/memory)
	if missing/passes < leastMemory {
		passes = 1
	}
	memory = missing / passes
	argon2.IDKey(nil, make([]byte, e.params.SaltLength), uint32(passes), uint32(memory), 1, e.params.KeyLength)
	return memory * passes
}
