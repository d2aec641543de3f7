package group_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/tandem-auth/tandem/store/internal/group"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A task asks for a number to be doubled.
type task struct {
	n       int
	doubled int
	err     error
}

// A desk is a group with one worker. Each batch waits until the test releases it.
type desk struct {
	*group.Group[task]
	release chan error // the error that a batch ends with
	batches [][]int
}

func newDesk(largest int) *desk {
	d := &desk{release: make(chan error)}
	d.Group = group.New(group.Config[task]{Workers: 1, Largest: largest, CarryOut: d.carryOut})
	return d
}

var errOdd = errors.New("thirteen brings bad luck")

// carryOut doubles the numbers. It returns an error for the number 13, and for a whole
// batch if the test releases it with an error.
func (d *desk) carryOut(batch []*task) {
	var numbers []int
	for _, one := range batch {
		numbers = append(numbers, one.n)
	}
	d.batches = append(d.batches, numbers)
	err := <-d.release
	slices.Reverse(batch)
	for _, one := range batch {
		one.doubled, one.err = 2*one.n, err
		if one.n == 13 {
			one.err = errOdd
		}
	}
}

// An outcome is what a caller of Do got.
type outcome struct {
	task
	err error
}

// do calls Do concurrently for each number, and returns once all of the calls wait. The
// function that it returns waits for their outcomes.
func (d *desk) do(ctx context.Context, numbers ...int) func() map[int]outcome {
	var mu sync.Mutex
	var all sync.WaitGroup
	outcomes := map[int]outcome{}
	for _, n := range numbers {
		all.Go(func() {
			result, err := d.Do(ctx, task{n: n})
			mu.Lock()
			defer mu.Unlock()
			outcomes[n] = outcome{result, err}
		})
		synctest.Wait()
	}
	return func() map[int]outcome {
		all.Wait()
		return outcomes
	}
}

func (d *desk) wantBatches(t *testing.T, want ...[]int) {
	t.Helper()
	if !slices.EqualFunc(d.batches, want, slices.Equal) {
		t.Errorf("batches %v, want %v", d.batches, want)
	}
}

func wantDoubled(t *testing.T, outcomes map[int]outcome) {
	t.Helper()
	for n, got := range outcomes {
		if got.err != nil || got.task.err != nil || got.doubled != 2*n {
			t.Errorf("%d: %+v", n, got)
		}
	}
}

// While a batch runs, calls gather for the next batch, up to the largest batch.
func TestCallsShareABatchWhileAnotherIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(4)
		defer d.Close()
		first := d.do(t.Context(), 1) // waits for no others
		rest := d.do(t.Context(), 2, 3, 4, 5, 6)
		for range 3 {
			d.release <- nil
		}
		wantDoubled(t, first())
		wantDoubled(t, rest())
		d.wantBatches(t, []int{1}, []int{2, 3, 4, 5}, []int{6})
	})
}

func TestABatchThatFailsTellsAllItsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(10)
		defer d.Close()
		first, second := d.do(t.Context(), 1), d.do(t.Context(), 2, 3)
		failed := errors.New("the disk is full")
		d.release <- nil
		d.release <- failed
		wantDoubled(t, first())
		for n, got := range second() {
			if got.err != nil || !errors.Is(got.task.err, failed) {
				t.Errorf("%d: %+v", n, got)
			}
		}
		third := d.do(t.Context(), 4)
		d.release <- nil
		wantDoubled(t, third())
	})
}

func TestACallThatFailsAloneTellsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(10)
		defer d.Close()
		first, second := d.do(t.Context(), 1), d.do(t.Context(), 12, 13, 14)
		d.release <- nil
		d.release <- nil
		wantDoubled(t, first())
		outcomes := second()
		if got := outcomes[13]; got.err != nil || !errors.Is(got.task.err, errOdd) {
			t.Errorf("13: %+v", got)
		}
		delete(outcomes, 13)
		wantDoubled(t, outcomes)
	})
}

// A caller whose context ends stops waiting. The worker skips calls that are still in
// the queue then, and executes running ones, whose results nobody gets.
func TestAContextThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(10)
		defer d.Close()
		ctx, cancel := context.WithCancel(t.Context())
		underWay := d.do(ctx, 1)
		queued := d.do(ctx, 2)
		patient := d.do(t.Context(), 3)
		cancel()
		for _, outcomes := range []map[int]outcome{underWay(), queued(), d.do(ctx, 4)()} {
			for n, got := range outcomes {
				if !errors.Is(got.err, context.Canceled) || got.task != (task{}) {
					t.Errorf("%d: %+v", n, got)
				}
			}
		}
		d.release <- nil
		d.release <- nil
		wantDoubled(t, patient())
		d.wantBatches(t, []int{1}, []int{3})
	})
}

// If all callers of the queued calls have given up, the worker runs no batch.
func TestABatchIsNeverEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(10)
		ctx, cancel := context.WithCancel(t.Context())
		first := d.do(t.Context(), 1)
		gone := d.do(ctx, 2, 3)
		cancel()
		gone()
		d.release <- nil
		wantDoubled(t, first())
		d.Close()
		d.wantBatches(t, []int{1})
	})
}

// A caller whose context ends while the queue is full stops waiting.
func TestAContextThatEndsBeforeThereIsRoomInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(1)
		ctx, cancel := context.WithCancel(t.Context())
		first := d.do(t.Context(), 1, 2)
		outside := d.do(ctx, 3)
		cancel()
		if got := outside()[3]; !errors.Is(got.err, context.Canceled) {
			t.Errorf("%+v", got)
		}
		d.release <- nil
		d.release <- nil
		wantDoubled(t, first())
		d.Close()
		d.wantBatches(t, []int{1}, []int{2})
	})
}

func TestCloseCarriesOutWhatIsQueued(t *testing.T) {
	for range 20 { // a worker that finds both a call and the end picks either
		synctest.Test(t, closeCarriesOutWhatIsQueued)
	}
}

func closeCarriesOutWhatIsQueued(t *testing.T) {
	d := newDesk(2)
	queued := d.do(t.Context(), 1, 2, 3)
	outside := d.do(t.Context(), 4) // the queue has room for two
	var closing sync.WaitGroup
	var closed atomic.Int32
	for range 2 {
		closing.Go(func() {
			d.Close()
			closed.Add(1)
		})
	}
	synctest.Wait()
	for n, got := range outside() {
		if !errors.Is(got.err, group.ErrClosed) {
			t.Errorf("%d: %+v", n, got)
		}
	}
	if n := closed.Load(); n != 0 {
		t.Errorf("%d calls of Close did not wait", n)
	}
	d.release <- nil
	d.release <- nil
	closing.Wait()
	wantDoubled(t, queued())
	d.Close()
	for n, got := range d.do(t.Context(), 5)() {
		if !errors.Is(got.err, group.ErrClosed) {
			t.Errorf("%d: %+v", n, got)
		}
	}
	d.wantBatches(t, []int{1}, []int{2, 3})
}

func TestEachWorkerHasABatchOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var underWay atomic.Int32
		release := make(chan struct{})
		g := group.New(group.Config[task]{Workers: 3, Largest: 10, CarryOut: func([]*task) {
			underWay.Add(1)
			<-release
		}})
		var all sync.WaitGroup
		for n := range 5 {
			all.Go(func() { _, _ = g.Do(t.Context(), task{n: n}) })
			synctest.Wait()
		}
		if n := underWay.Load(); n != 3 {
			t.Errorf("%d batches are under way, want 3", n)
		}
		close(release)
		all.Wait()
		g.Close()
	})
}

// Under load, while contexts end and the group is closed, each caller gets exactly one
// answer: the result of its own call, or an error.
func TestManyCallsAtOnce(t *testing.T) {
	g := group.New(group.Config[task]{Workers: 3, Largest: 8, CarryOut: func(batch []*task) {
		if len(batch) == 0 || len(batch) > 8 {
			t.Errorf("a batch of %d", len(batch))
		}
		for _, one := range batch {
			one.doubled = 2 * one.n
		}
	}})
	var all sync.WaitGroup
	var answered atomic.Int32
	for n := range 200 {
		all.Go(func() {
			for i := range 50 {
				ctx, cancel := context.WithCancel(t.Context())
				if i%7 == 3 {
					go cancel()
				}
				got, err := g.Do(ctx, task{n: n})
				cancel()
				switch {
				case err == nil && got.doubled == 2*n:
					answered.Add(1)
				case errors.Is(err, context.Canceled), errors.Is(err, group.ErrClosed):
				default:
					t.Errorf("%d: %+v, %v", n, got, err)
				}
				if answered.Load() > 5000 {
					g.Close()
				}
			}
		})
	}
	all.Wait()
	g.Close()
	if answered.Load() == 0 {
		t.Error("no call was carried out")
	}
}
