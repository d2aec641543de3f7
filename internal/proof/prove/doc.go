// Package prove searches every history of one session, up to a bound, for one
// that breaks a promise of the protocol: a session that ends though no thief was
// there, or two parties that both go on with one session.
//
// The decision that it tries is [rotation.Decide] itself. Around it is a small
// world: client processes that share a store of their own, a network that loses,
// repeats and reorders, crashes at every step, a server whose store may fall back
// to an earlier state once, and a thief who copies the client's token at any
// moment.
//
// Time has one step, "the leeway passes". What the network has held back until
// then is lost: a request that is delayed for longer than the leeway looks like a
// thief's to every protocol of this kind.
//
// Branches are random numbers in reality, and here names in order of appearance:
// states that differ in names alone are one state. That makes the search end.
package prove
