package keys

import (
	"slices"
	"time"

	"github.com/tandem-auth/tandem/accesstoken"
	"github.com/tandem-auth/tandem/server"
)

// A plan is the sequence of key sets that follows from a document. Each is used until the
// next one begins. A plan has at least one key set.
type plan []stage

type stage struct {
	from time.Time
	set  *server.KeySet
}

// newPlan makes a key set for each instant at which a key of the document becomes active.
func newPlan(d document, alg accesstoken.Algorithm) (plan, error) {
	begins := []time.Time{{}}
	for _, k := range d {
		begins = append(begins, k.ActiveFrom)
	}
	slices.SortFunc(begins, time.Time.Compare)
	var p plan
	for _, from := range slices.CompactFunc(begins, time.Time.Equal) {
		set, err := d.keySet(alg, from)
		if err != nil {
			return nil, err
		}
		p = append(p, stage{from, set})
	}
	return p, nil
}

// at returns the key set to use at the time now.
func (p plan) at(now time.Time) *server.KeySet {
	for _, s := range slices.Backward(p) {
		if !s.from.After(now) {
			return s.set
		}
	}
	return p[0].set
}
