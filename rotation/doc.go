// Package rotation is the heart of Tandem: the refresh token and the decision
// what to answer when one is presented.
//
// Everything in it is pure. There is no I/O, no clock and no randomness: the
// caller brings the session's row, the token, the time and the policy, and
// [Decide] says what to do. That is what makes the two promises checkable:
//
//   - No false logout: a session ends only because its user, its policy or a
//     thief ended it.
//   - No silent fork: when two parties hold one session and each of them uses a
//     refresh token that it was itself given, the second such use is refused and
//     the session ends.
//
// The idea in one sentence: a refresh token stays good until a successor of it
// is first used. A token may be given any number of successors (that is what a
// lost reply looks like), but only one of them can ever be used.
//
// # Words
//
// A successor is a token one generation above the one it was given for, on a
// random branch of its own. The first use of a successor confirms it: it is now
// current. A fork is two parties that each hold a successor of one token. A
// stale token is neither current nor newer.
//
// Refresh tokens and their rotation are those of RFC 6749 section 6 and RFC 9700
// section 4.14.
package rotation
