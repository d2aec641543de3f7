// Package bench measures what a refresh costs: with each store that tandem serve
// has, and with another server that rotates refresh tokens, on the same machine in
// the same run.
//
// The servers are the real programs, each a process of its own on loopback. They
// are measured in turn, in rounds, and while one is measured none of the others
// runs. A ratio is that of two figures of one round.
//
// The load is one process for all clients. A client signs in once, then refreshes
// in a loop with the token that it has just received, over one connection. An
// answer other than 200 ends the run.
package bench
