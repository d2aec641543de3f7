// Package prove searches every history of one session, up to a bound, for one
// that breaks a promise of the protocol: a session that ends though no thief was
// there, or two parties that both go on with one session.
//
// Both decisions that it tries are the real ones: [rotation.Decide] for the server,
// [renewal.Before], [renewal.After] and [renewal.Unsaved] for the client. Around them
// is a small world: client processes that share a store of their own, which may fail
// to keep a pair or fall back to an earlier one; a network that loses, repeats and
// reorders; crashes at every step; users who sign out, and sign in as somebody else; a
// server whose store may fall back to an earlier state once; and a thief who copies a
// token of the client's at any moment.
//
// Time goes in ticks. The network holds a request back for as many ticks as the
// setting says, and loses what it has held back for longer: a request that is delayed
// for longer than the leeway looks like a thief's to every protocol of this kind. Where
// the setting has a lifetime, tokens grow old.
//
// Branches are random numbers in reality, and here names in order of appearance:
// states that differ in names alone are one state. That makes the search end.
//
// # What is not searched
//
// The client's store falls back only while a process has the pair that is lost as its
// live one, and no token later than the base of that process was presented. A process is
// exposed if its base is later than what the store has then. Until the store is repaired,
// an exposed process does not crash, and only those act that are exposed and whose live
// pair is not older than what was presented last. Any other would present a token that
// was overtaken long ago, which looks like a thief's. The same holds while a process goes
// on with a pair that the store has failed to keep for half a lifetime.
//
// A request that presents an outlived token ends the session by policy. A process that
// has a younger one should have presented that: this is searched for one process that
// does not crash. One that starts while its store fails does not know when the token in
// the store was presented first.
package prove
