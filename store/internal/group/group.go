// Package group is the group commit of the SQL stores: calls that come while
// others are being carried out share the next transaction or statement. The more
// calls there are at once, the less each costs; a lone call waits for no others.
package group

import (
	"context"
	"errors"
	"runtime"
	"sync"
)

// ErrClosed is for calls after [Group.Close].
var ErrClosed = errors.New("the store is closed")

// A Config says how a [Group] carries out its calls. All fields are required.
type Config[T any] struct {
	// Workers is how many batches may be under way at once.
	Workers int

	// Largest bounds how many calls share a batch, and so how long one may have to
	// wait for the others.
	Largest int

	// CarryOut carries out a batch, which has at least one call in it, and writes
	// the result of each call, an error too, into the call's own T. A worker calls
	// it with no lock held; with several workers it runs several times at once. It
	// may reorder the slice, and must not keep it.
	CarryOut func(batch []*T)
}

// A Group carries out calls in batches. A T holds what a call asks for and what
// comes of it. Its methods are safe for concurrent use.
type Group[T any] struct {
	config   Config[T]
	queue    chan *call[T]
	stop     chan struct{} // closed when no more calls are taken
	stopped  chan struct{} // closed when the workers have returned
	stopOnce sync.Once
}

// A call is what somebody waits for.
type call[T any] struct {
	ctx   context.Context
	value T
	done  chan struct{} // closed once value has the result
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

// Do has a call carried out and returns it with its result. The error is that of
// ctx if ctx ends first, in which case the call may be carried out all the same,
// or [ErrClosed], in which case it is not.
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
	default: // the workers had looked into the queue for the last time before it got in
		return none, ErrClosed
	}
}

// Close takes no more calls, carries out those that are queued, and waits for
// that. It may be called twice.
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

// carryOut carries out first and what is queued behind it, and answers each.
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

// collect takes what is queued behind first, without waiting for more. Goroutines
// that are ready to run do so before: on busy processors, some of them are about
// to call Do.
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

// A batch is the calls that a worker has in hand. The worker uses its memory again.
type batch[T any] struct {
	calls  []*call[T]
	values []*T // those of the calls, in an order that CarryOut may change
}

// add leaves out a call that nobody waits for any more.
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
