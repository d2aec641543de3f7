package keys

import (
	"slices"
	"time"

	"github.com/tandem-auth/tandem/accesstoken"
	"github.com/tandem-auth/tandem/server"
)

// A plan is the key sets that a document leads to, one after the other: each is used
// until the next one begins. It has at least one.
type plan []stage

type stage struct {
	from time.Time
	set  *server.KeySet
}

// newPlan makes a set for each instant at which a key of the document begins to be
// used.
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

// at returns the set to use at a time.
func (p plan) at(now time.Time) *server.KeySet {
	for _, s := range slices.Backward(p) {
		if !s.from.After(now) {
			return s.set
		}
	}
	return p[0].set
}
