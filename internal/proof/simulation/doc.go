// Package simulation plays weeks of the real code in minutes: the real handler over the
// real store, and real clients, with a network and clocks that follow a seed. The same
// seed gives the same history.
//
// Clients' stores fail and roll back, too, as far as a client can recover: the store, or
// one running process, has the pair that was presented last. A process that starts after
// the store has rolled back, and does not know what was presented, looks like a thief to
// the server; the worlds have no such process.
//
// Each world is a testing/synctest bubble. No two events happen at the same moment,
// because every delay has a length of its own. So the order of events follows from the
// seed alone.
package simulation
