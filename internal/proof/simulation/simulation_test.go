package simulation_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/internal/proof/simulation"
)

var (
	refreshes = flag.Int("refreshes", 1_000, "how many refreshes to simulate in all, at least")
	firstSeed = flag.Uint64("seed", 1, "the seed of the first world; the others follow")
	update    = flag.Bool("update", false, "write the table of schemes into docs/protocol.md")
)

// enough is how many refreshes show what is rare.
const enough = 20_000

// perWorld is how many refreshes a world is asked for; it makes more.
func perWorld() int { return min(2_000, max(1, *refreshes/4)) }

// worlds is how many worlds that takes.
func worlds() int { return (*refreshes + perWorld() - 1) / perWorld() }

// Weeks of the real server, store and clients on a bad network: nobody is signed
// out by mistake, and every thief is seen.
func TestThePromisesHoldOnABadNetwork(t *testing.T) {
	t.Parallel()
	sum := &total{}
	t.Cleanup(func() { // once the parallel worlds are done
		sum.log(t)
		if got := sum.report.Refreshes; got < *refreshes && sum.report.Worlds == worlds() {
			t.Errorf("%d refreshes, want at least %d", got, *refreshes)
		}
		kind := sum.report.Planted == 0 || sum.report.Retried == 0 || sum.report.Stale == 0
		if kind && *refreshes >= enough {
			t.Error("the worlds were too kind to show anything")
		}
	})
	for i := range worlds() {
		seed := *firstSeed + uint64(i)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			report := simulation.Run(t, simulation.Config{Seed: seed, Refreshes: perWorld(), FallBacks: seed%4 == 3})
			sum.add(report)
			if report.FalseLogouts != 0 {
				t.Errorf("%d false logouts", report.FalseLogouts)
			}
			if report.Seen != report.Planted {
				t.Errorf("%d of %d thefts were seen", report.Seen, report.Planted)
			}
			if t.Failed() {
				t.Logf("again: go test ./internal/proof/simulation -run 'Promises/seed_%d$' -refreshes %d -seed %d\n%s", seed, 4*perWorld(), seed, &report)
			}
		})
	}
}

func TestASeedReplaysExactly(t *testing.T) {
	for _, config := range []simulation.Config{
		{Seed: 7, Refreshes: 100, FallBacks: true},
		{Seed: 7, Refreshes: 100, Scheme: simulation.Counter},
		{Seed: 7, Refreshes: 100, StoreFaults: 0.3, StoreRollbacks: true},
		{Seed: 7, Refreshes: 100, StoreFaults: 0.3, StoreRollbacks: true, Strict: true},
	} {
		first, second := simulation.Run(t, config), simulation.Run(t, config)
		if first.Digest != second.Digest || first.String() != second.String() {
			t.Errorf("the same seed, another history:\n%s\n%s", &first, &second)
		}
		config.Seed++
		if third := simulation.Run(t, config); third.Digest == first.Digest {
			t.Error("another seed, the same history")
		}
	}
}

// The simulation can tell: what others do breaks one promise or the other in it.
func TestOtherSchemesBreakAPromise(t *testing.T) {
	reports := gauntlet(t, max(1, worlds()/4))
	for _, scheme := range []simulation.Scheme{simulation.Textbook, simulation.Grace, simulation.Counter} {
		if scheme == simulation.Counter && *refreshes < enough {
			continue // its failures are rare
		}
		bad, perfect := reports[scheme][0], reports[scheme][1]
		if bad.FalseLogouts == 0 && bad.Seen == bad.Planted && perfect.Seen == perfect.Planted {
			t.Errorf("%s keeps both promises: %s; on a perfect network %s", scheme, &bad, &perfect)
		}
	}
	ours := reports[simulation.Tandem]
	for _, r := range ours {
		if r.FalseLogouts != 0 || r.Seen != r.Planted {
			t.Errorf("ours breaks a promise: %s", &r)
		}
	}
	text := table(reports)
	t.Logf("\n%s", text)
	if *update {
		write(t, text)
	}
}

// gauntlet runs all schemes through the same worlds: on a bad network, and
// where nothing ever fails, so that nothing but a thief ends a session.
func gauntlet(t *testing.T, n int) map[simulation.Scheme][2]simulation.Report {
	t.Helper()
	reports := map[simulation.Scheme][2]simulation.Report{}
	for _, scheme := range []simulation.Scheme{simulation.Tandem, simulation.Textbook, simulation.Grace, simulation.Counter} {
		var sums [2]simulation.Report
		for i, faults := range []float64{0.3, -1} {
			for seed := range uint64(n) {
				sums[i].Add(simulation.Run(t, simulation.Config{
					Seed: *firstSeed + seed, Scheme: scheme, Faults: faults, Refreshes: perWorld(),
				}))
			}
		}
		reports[scheme] = sums
	}
	return reports
}

// table is Markdown.
func table(reports map[simulation.Scheme][2]simulation.Report) string {
	var b strings.Builder
	b.WriteString("| scheme | refreshes | false logouts | thefts not seen | … where nothing else fails | seen after (median) |\n|---|---|---|---|---|---|\n")
	for _, scheme := range []simulation.Scheme{simulation.Tandem, simulation.Textbook, simulation.Grace, simulation.Counter} {
		bad, perfect := reports[scheme][0], reports[scheme][1]
		fmt.Fprintf(&b, "| %s | %d | %d | %d of %d | %d of %d | %s |\n", scheme, bad.Refreshes+perfect.Refreshes,
			bad.FalseLogouts+perfect.FalseLogouts,
			bad.Planted-bad.Seen, bad.Planted, perfect.Planted-perfect.Seen, perfect.Planted, median(bad.SeenAfter, perfect.SeenAfter))
	}
	return b.String()
}

// write puts the table between the marks of the documentation.
func write(t *testing.T, table string) {
	t.Helper()
	const path = "../../../docs/protocol.md"
	marks := regexp.MustCompile(`(?s)(<!-- gauntlet -->\n).*(<!-- /gauntlet -->)`)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !marks.Match(text) {
		t.Fatalf("%s has no place for the table", path)
	}
	text = marks.ReplaceAll(text, []byte("${1}"+table+"${2}"))
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// A total adds up the reports of worlds that are played at the same time.
type total struct {
	mu     sync.Mutex
	report simulation.Report
}

func (s *total) add(r simulation.Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Add(r)
}

func (s *total) log(t *testing.T) {
	t.Helper()
	r := &s.report
	t.Logf("%d worlds: %s", r.Worlds, r)
	if len(r.SeenAfter) > 0 {
		t.Logf("from the thief's first use of a token of their own, thefts were seen after %s in the middle, %s at the latest",
			median(r.SeenAfter), slices.Max(r.SeenAfter).Round(time.Second))
	}
}

func median(all ...[]time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(slices.Concat(all...)))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[len(sorted)/2].Round(time.Second)
}
