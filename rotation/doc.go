// Package rotation defines Tandem's refresh tokens and decides what the server
// answers when a client presents one.
//
// Every function in it is pure: there is no I/O, no clock and no randomness. The
// caller passes the session's state, the token, the time and the policy, and
// [Decide] returns what to do. Therefore tests can check the two promises
// exhaustively:
//
//   - No false logout: a session ends only because its user, its policy or a
//     thief ended it.
//   - No silent fork: when two parties hold one session and each of them presents
//     a refresh token that the server gave to that party, the server refuses the
//     second and ends the session.
//
// The idea in one sentence: the server accepts a refresh token until a successor
// of it is first presented. The server may issue any number of successors of one
// token (after a lost reply the client asks again), but accepts only one of
// them.
//
// # Words
//
// A successor is one generation above the token that it was issued for, on a
// random branch of its own. The first use of a successor confirms it: it is now
// the current token. A fork is two parties that each hold a successor of one
// token. A stale token is neither current nor newer.
//
// Refresh tokens and their rotation are those of RFC 6749 section 6 and RFC 9700
// section 4.14.
package rotation
