// Package group implements group commit for the SQL stores: calls that arrive while a
// worker is busy share the next transaction or statement. The more calls arrive at
// once, the less each of them costs; a call that is alone does not wait for others.
package group

import (
	"context"
	"errors"
	"runtime"
	"sync"
)

// ErrClosed is the error of calls after [Group.Close].
var ErrClosed = errors.New("the store is closed")

// A Config says how a [Group] carries out its calls. All fields are required.
type Config[T any] struct {
	// Workers is how many batches run at the same time.
	Workers int

	// Largest is how many calls a batch has at most. It bounds how long a call waits
	// for the other calls of its batch.
	Largest int

	// CarryOut executes a batch of at least one call, and writes each call's result or
	// error into the call's own T. A worker calls it with no lock held; with several
	// workers it runs concurrently. It may reorder the slice, and must not keep it.
	CarryOut func(batch []*T)
}

// A Group executes calls in batches. A T holds the request of a call and its result.
// The methods of a Group are safe for concurrent use.
type Group[T any] struct {
	config   Config[T]
	queue    chan *call[T]
	stop     chan struct{} // closed when the group accepts no more calls
	stopped  chan struct{} // closed when the workers have returned
	stopOnce sync.Once
}

// A call is one invocation of [Group.Do], which waits for done.
type call[T any] struct {
	ctx   context.Context
	value T
	done  chan struct{} // closed once value holds the result
}

// New returns a group whose workers are running. [Group.Close] ends them.
func New[T any](config Config[T]) *Group[T] {
	g := &Group[T]{
		config:  config,
		queue:   make(chan *call[T], config.Largest),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
	go g.run()
	return g
}

// Do executes a call in the next batch and returns its result. If ctx ends first, Do
// returns the context's error, and a worker may still execute the call. If the group is
// closed, Do returns [ErrClosed] and no worker executes the call.
func (g *Group[T]) Do(ctx context.Context, value T) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	select {
	case <-g.stop:
		return none, ErrClosed
	default:
	}
	c := &call[T]{ctx: ctx, value: value, done: make(chan struct{})}
	select {
	case g.queue <- c:
	case <-ctx.Done():
		return none, ctx.Err()
	case <-g.stop:
		return none, ErrClosed
	}
	select {
	case <-c.done:
		return c.value, nil
	case <-ctx.Done():
		return none, ctx.Err()
	case <-g.stopped:
	}
	select {
	case <-c.done:
		return c.value, nil
	default: // the workers drained the queue before this call entered it
		return none, ErrClosed
	}
}

// Close makes the group refuse new calls, and waits until the workers have executed the
// queued ones. It may be called twice.
func (g *Group[T]) Close() {
	g.stopOnce.Do(func() { close(g.stop) })
	<-g.stopped
}

// run runs the workers until the group is closed.
func (g *Group[T]) run() {
	defer close(g.stopped)
	var workers sync.WaitGroup
	for range g.config.Workers {
		workers.Go(g.work)
	}
	workers.Wait()
}

func (g *Group[T]) work() {
	var b batch[T]
	for {
		select {
		case first := <-g.queue:
			g.carryOut(first, &b)
		case <-g.stop:
			g.drain(&b)
			return
		}
	}
}

func (g *Group[T]) drain(b *batch[T]) {
	for {
		select {
		case first := <-g.queue:
			g.carryOut(first, b)
		default:
			return
		}
	}
}

// carryOut executes first together with the calls queued behind it, and reports to each
// caller that its call is done.
func (g *Group[T]) carryOut(first *call[T], b *batch[T]) {
	g.collect(first, b)
	if len(b.calls) > 0 {
		g.config.CarryOut(b.values)
	}
	for _, c := range b.calls {
		close(c.done)
	}
	b.clear()
}

// collect takes the calls that are queued behind first, and waits for no others. It
// yields the processor once before: on a busy machine, goroutines that are about to
// call Do get to run first and share the batch.
func (g *Group[T]) collect(first *call[T], b *batch[T]) {
	runtime.Gosched()
	b.add(first)
	for len(b.calls) < g.config.Largest {
		select {
		case next := <-g.queue:
			b.add(next)
		default:
			return
		}
	}
}

// A batch holds the calls that a worker executes together. The worker reuses its memory
// for the next batch.
type batch[T any] struct {
	calls  []*call[T]
	values []*T // the calls' values; CarryOut may reorder them
}

// add adds a call to the batch unless the caller's context has ended.
func (b *batch[T]) add(c *call[T]) {
	if c.ctx.Err() != nil {
		return
	}
	b.calls = append(b.calls, c)
	b.values = append(b.values, &c.value)
}

func (b *batch[T]) clear() {
	clear(b.calls)
	clear(b.values)
	b.calls, b.values = b.calls[:0], b.values[:0]
}
