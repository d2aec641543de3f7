// Package bench measures the cost of a refresh: with each store of tandem serve, and
// with another server that rotates refresh tokens, on the same machine in the same run.
//
// The servers are the real programs, each a process of its own on loopback. Run
// measures them one after another in rounds; while it measures one server, no other
// server runs. A ratio compares two figures of the same round.
//
// One process runs all clients. A client signs in once, then refreshes in a loop over
// one connection, each time with the token that it has just received. Any answer other
// than 200 ends the run.
package bench
