package simulation_test

import (
	"flag"
	"fmt"
	"testing"

	"github.com/tandem-auth/tandem/internal/proof/simulation"
)

var histories = flag.Int("histories", 120, "how many users whose stores fail or go back to simulate; half of them with -short")

const (
	// usersPerWorld share a server; each is a history of its own.
	usersPerWorld = 10
	// refreshesPerUser make a history of about an hour.
	refreshesPerUser = 20
)

// storeWorlds are the worlds of clients whose stores fail, go back in time, or both.
var storeWorlds = []struct {
	name   string
	config simulation.Config
}{ // a seed has always the same one
	{"stores that fail", simulation.Config{StoreFaults: 0.3}},
	{"stores that go back", simulation.Config{StoreRollbacks: true}},
	{"stores that fail and go back", simulation.Config{StoreFaults: 0.3, StoreRollbacks: true}},
	{"stores that fail and go back, where nothing else fails", simulation.Config{StoreFaults: 0.3, StoreRollbacks: true, Faults: -1}},
	{"stores that fail, and a server's that does", simulation.Config{StoreFaults: 0.2, FallBacks: true}},
	{"stores that fail and go back, and a strict server", simulation.Config{StoreFaults: 0.3, StoreRollbacks: true, Strict: true}},
}

// Whatever a client's store does, nobody is signed out by mistake as long as one process
// remembers what was used.
func TestStoresThatFailAndGoBackEndNothing(t *testing.T) {
	t.Parallel()
	count := *histories
	if testing.Short() {
		count = max(1, count/2)
	}
	sums := make([]total, len(storeWorlds))
	t.Cleanup(func() { // once the parallel worlds are done
		for i, kind := range storeWorlds {
			r := &sums[i].report
			t.Logf("%s, %d histories: %s", kind.name, r.Worlds*usersPerWorld, r)
			rare := kind.config.StoreFaults > 0 && r.StoreFaults == 0 || kind.config.StoreRollbacks && r.Rollbacks == 0
			if rare && r.Worlds > 10 {
				t.Errorf("%s: nothing of that happened", kind.name)
			}
		}
	})
	for i := range (count + usersPerWorld - 1) / usersPerWorld {
		seed := *firstSeed + uint64(i)
		n := seed % uint64(len(storeWorlds))
		kind, sum := storeWorlds[n], &sums[n]
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			config := kind.config
			config.Seed, config.NoThieves = seed, true
			config.Users, config.Refreshes = usersPerWorld, usersPerWorld*refreshesPerUser
			report := simulation.Run(t, config)
			sum.add(report)
			if report.FalseLogouts != 0 {
				t.Errorf("%s: %d false logouts\n%s\nagain: go test ./internal/proof/simulation -run Stores -histories %d -seed %d", kind.name, report.FalseLogouts, &report, usersPerWorld, seed)
			}
		})
	}
}
