// Package simulation plays weeks of the real code in minutes: the real handler
// over the real store, real clients, a network and clocks that a seed decides
// about. What happens under one seed happens again under it.
//
// Clients' stores fail and go back, too, within what a client can make up for: the pair
// that was presented last is in the store, or one running process remembers it. A process
// that starts after the store has gone back, or one that never saw what was presented,
// looks like a thief; the worlds have neither.
//
// Each world is a testing/synctest bubble. Nothing in it happens at the same
// moment as anything else: every delay has a length of its own. So the order of
// things follows from the seed, and from nothing else.
package simulation
