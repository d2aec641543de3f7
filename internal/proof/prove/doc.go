// Package prove searches every history of one session, up to a bound, for one that breaks
// a promise of the protocol: a session that ends though there was no thief, or two parties
// that both go on with one session.
//
// The search calls the real decisions: [rotation.Decide] for the server, [renewal.Before],
// [renewal.After] and [renewal.Unsaved] for the client. The world around them is small:
// client processes that share a store, which may fail to keep a pair or roll back to an
// earlier one; a network that loses, repeats and reorders requests; crashes at every step;
// users who sign out, and sign in as another user; a server whose store may roll back to
// an earlier state once; and a thief who copies a token of the client's at any moment.
//
// Time passes in ticks. The network holds a request back for at most as many ticks as the
// setting says, and then loses it: to every protocol of this kind, a request that arrives
// later than the leeway looks like a thief's. If the setting has a lifetime, tokens
// expire.
//
// A real branch is a random number; here it is a name in the order of appearance. States
// that differ only in names are one state, so the number of states is finite.
//
// # What is not searched
//
// The client's store rolls back only while a process has the lost pair as its live one,
// and no token later than the base of that process was presented. A process is exposed if
// its base is later than the stored pair. Until the store is repaired, an exposed process
// does not crash, and only those processes act that are exposed and whose live pair is not
// older than what was presented last. Any other process would present a token that was
// superseded long before, which looks like a thief's. The same holds while a process uses
// a pair for half a lifetime that the store has failed to keep.
//
// A request that presents an expired token ends the session by policy. A process that has
// a younger token should have presented that one: the search checks this for one process
// that does not crash. A process that starts while its store fails does not know when the
// stored token was first presented.
package prove
