package prove

import (
	"context"
	"hash/maphash"
	"runtime"
	"sync"
)

// A Result is the result of a search.
type Result struct {
	// States is the number of states; Depth is the number of steps to the state that is
	// furthest from the start.
	States, Depth int
	// Breach is the broken promise, or empty; Trace then has a shortest sequence of steps
	// that breaks it.
	Breach string
	Trace  []string
}

// A node is a reached state, with the step by which the search first reached it.
type node struct {
	parent id
	step   step
}

// An id names a node: its shard and its index there.
type id struct {
	shard uint16
	place uint32
}

// A shard has a part of the states. Only one worker at a time adds to it.
type shard struct {
	seen  map[state]struct{}
	nodes []node
	fresh []reached // the nodes that the latest round added
}

type reached struct {
	state state
	id    id
}

// A find is a state that a worker has reached; it may be known already.
type find struct {
	state state
	node  node
}

type breachAt struct {
	breach breach
	parent id
	step   step
}

// A search proceeds from the start by one step in each round, so that it finds a shortest
// breach first.
type search struct {
	world   *world
	seed    maphash.Seed
	shards  []shard
	workers []worker
	root    id
}

// A worker finds the successors of some states. It has a list for each shard.
type worker struct {
	finds    [][]find
	breached *breachAt
}

// Run searches until no state is left, a promise is broken or ctx ends; in that last case
// it returns the context's error.
func (set Setting) Run(ctx context.Context) (Result, error) {
	n := runtime.GOMAXPROCS(0)
	s := &search{world: newWorld(set), seed: maphash.MakeSeed(), shards: make([]shard, n), workers: make([]worker, n)}
	for i := range s.shards {
		s.shards[i].seen = map[state]struct{}{}
		s.workers[i].finds = make([][]find, n)
	}
	s.offer(&s.workers[0], find{state: start()})
	s.gather()
	for i := range s.shards {
		for _, f := range s.shards[i].fresh {
			s.root = f.id
		}
	}

	result := Result{States: s.count()}
	for {
		if err := ctx.Err(); err != nil {
			return Result{}, err
		}
		s.expand()
		if b := s.breached(); b != nil {
			result.States, result.Breach, result.Trace = s.count(), string(b.breach), s.trace(b)
			return result, nil
		}
		if s.gather() == 0 {
			return result, nil
		}
		result.States = s.count()
		result.Depth++
	}
}

func (s *search) count() int {
	n := 0
	for i := range s.shards {
		n += len(s.shards[i].seen)
	}
	return n
}

func (s *search) offer(w *worker, f find) {
	i := maphash.Comparable(s.seed, f.state) % uint64(len(s.shards))
	w.finds[i] = append(w.finds[i], f)
}

// expand finds the successors of the latest round's states. Each worker takes the fresh
// states of one shard.
func (s *search) expand() {
	var all sync.WaitGroup
	for i := range s.workers {
		all.Go(func() {
			w := &s.workers[i]
			for k := range s.shards[i].fresh {
				from := &s.shards[i].fresh[k]
				s.world.successors(&from.state, func(st step, next *state, b breach) {
					if b != "" {
						if w.breached == nil {
							w.breached = &breachAt{breach: b, parent: from.id, step: st}
						}
						return
					}
					canonical, _ := s.world.canonical(next)
					s.offer(w, find{state: canonical, node: node{parent: from.id, step: st}})
				})
			}
		})
	}
	all.Wait()
}

// gather adds the finds to the shards, with one worker for each shard, and returns how
// many states were new.
func (s *search) gather() int {
	var all sync.WaitGroup
	for i := range s.shards {
		all.Go(func() { s.shards[i].gather(uint16(i), s.workers) })
	}
	all.Wait()
	n := 0
	for i := range s.shards {
		n += len(s.shards[i].fresh)
	}
	return n
}

func (sh *shard) gather(number uint16, workers []worker) {
	sh.fresh = sh.fresh[:0]
	for w := range workers {
		for _, f := range workers[w].finds[number] {
			if _, known := sh.seen[f.state]; known {
				continue
			}
			sh.seen[f.state] = struct{}{}
			sh.fresh = append(sh.fresh, reached{state: f.state, id: id{number, uint32(len(sh.nodes))}})
			sh.nodes = append(sh.nodes, f.node)
		}
		workers[w].finds[number] = workers[w].finds[number][:0]
	}
}

func (s *search) breached() *breachAt {
	for i := range s.workers {
		if b := s.workers[i].breached; b != nil {
			return b
		}
	}
	return nil
}
