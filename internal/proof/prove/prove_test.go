package prove_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tandem-auth/tandem/internal/proof/prove"
)

// quick says that the test leaves the larger searches out: go run ./internal/proof/cmd/prove
// does them all, without the race detector.
func quick() bool { return testing.Short() || raced }

func TestNoHistoryBreaksAPromise(t *testing.T) {
	for _, set := range prove.Settings() {
		if quick() && (set.Processes > 1 || set.Thief) {
			continue
		}
		t.Run(set.Name, func(t *testing.T) {
			result := run(t, set)
			if result.Breach != "" {
				report(t, result)
				t.Error("a promise is broken")
			}
			t.Logf("%d states, up to %d steps from the start", result.States, result.Depth)
		})
	}
}

// The search would notice. Each rule of the server and of the client is broken in turn.
func TestEveryBrokenRuleShows(t *testing.T) {
	for _, broken := range prove.Breaks() {
		t.Run(broken.Name, func(t *testing.T) {
			result := run(t, broken.Setting)
			if result.Breach != broken.Expect {
				t.Errorf("found %q among %d states, want %q", result.Breach, result.States, broken.Expect)
			}
			report(t, result)
			if quick() {
				return
			}
			broken.Broken = ""
			if whole := run(t, broken.Setting); whole.Breach != "" {
				t.Errorf("found %q though the rule holds", whole.Breach)
			}
		})
	}
}

// After a fall-back the fork is seen two turns later, not one: the bound of the
// setting is the best there is.
func TestAFallBackDelaysTheFork(t *testing.T) {
	result := run(t, prove.Setting{Processes: 1, Generations: 4, Crashes: true, Thief: true, FallBack: true, Turns: 1})
	if result.Breach == "" {
		t.Error("the fork is seen one turn after a fall-back: say so in the documentation")
	}
}

// States that are alike are searched once. Here they are not: no rule has this name.
func TestWhatIsForgottenMakesNoDifference(t *testing.T) {
	for _, set := range []prove.Setting{
		{Processes: 2, Generations: 3, Crashes: true, StoreFaults: true},
		{Processes: 1, Generations: 3, Crashes: true, Thief: true},
		{Processes: 1, Generations: 4, Crashes: true, StoreFaults: true, Rollbacks: 2},
		{Processes: 1, Generations: 3, Crashes: true, StoreFaults: true, Lifetime: 3, Leeway: 2, Hold: 1},
	} {
		few := run(t, set)
		set.Broken = "nothing is forgotten"
		if all := run(t, set); all.Breach != few.Breach || all.States <= few.States {
			t.Errorf("%+v: found %q among %d states, and %q among %d", set, few.Breach, few.States, all.Breach, all.States)
		}
	}
}

func TestASearchIsTheSameEveryTime(t *testing.T) {
	set := prove.Setting{Processes: 2, Generations: 2, Crashes: true, StoreFaults: true, Thief: true}
	if first, second := run(t, set), run(t, set); first.States != second.States || first.Depth != second.Depth {
		t.Errorf("%d states and %d steps, then %d and %d", first.States, first.Depth, second.States, second.Depth)
	}
}

func TestASearchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	set := prove.Setting{Processes: 2, Generations: 9, Thief: true}
	if _, err := set.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func run(t *testing.T, set prove.Setting) prove.Result {
	t.Helper()
	result, err := set.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func report(t *testing.T, result prove.Result) {
	t.Helper()
	for i, line := range result.Trace {
		t.Logf("%2d. %s", i+1, line)
	}
}
