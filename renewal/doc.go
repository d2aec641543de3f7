// Package renewal decides what a client does with its pairs of tokens: which refresh
// token it presents, and what it keeps of the answer. It is the client's counterpart of
// package rotation, and as pure: no I/O, no clock, no goroutine, and nothing but the
// standard library.
//
// # The revision
//
// A pair carries a revision: 1 at sign-in, and one more than that of the pair that was
// presented at every refresh. The client stores it with the pair. Of two pairs of one
// session the one with the higher revision is newer; two pairs with the same revision and
// other tokens are siblings, the answers to two refreshes at once. That is how a client
// tells "another process has refreshed" from "the store has gone back in time".
//
// # What a client remembers
//
// Live is the pair whose access token is in use. Base is the pair that the client has
// presented last or, if that is later, the pair that it knows to have been in its store: one
// that it has adopted, or has stored itself without an error. The server may have that pair
// as current, for another process may have presented it. Stored is what the store had when
// the client read it for this decision.
//
// A pair without a revision was stored before clients recorded one. It counts as newer than
// any other, for nothing tells that it is old; unless it is Behind, which is what the store
// had when it failed to keep live.
//
// # Before a refresh
//
// The client reads its store, then [Before] says what to do:
//
//	the store has                                       step
//	nothing                                             SignedOut; NotSignedIn if nothing is live either
//	a pair of another server                            Foreign: present nothing, delete nothing
//	another session, but not the one that ended here    Adopt
//	a newer pair than live, or a sibling of it          Adopt
//	live                                                PresentLive
//	base, and live is newer                             PresentBase if the server forgives, else PresentLive
//	another older pair than live                        PresentLive
//
// Base, older than live, means that the store has failed to keep live. A
// successor is not presented before it is kept: a crash, or another process that goes
// on from the store, then presents the same token again, which a server with Tandem's
// protocol allows until the refresh lifetime is over. A store that fails for days must
// not end a session that is in use: once half of that lifetime has gone since base was
// first presented, live is presented instead.
//
// Another older pair means that the store has gone back in time. Before it did, another
// process may have presented live, so that an older pair is spent.
//
// After Adopt the stored pair is live and base. If its access token is [Pair.Usable], the
// client is done; otherwise it asks Before again.
//
// # After the answer
//
//	the server has                    the store has                     step
//	given a pair                      nothing                           Discard
//	given a pair                      a pair of another server          Discard
//	given a pair                      another session                   Adopt
//	given a pair                      that pair                         Kept
//	given a pair                      a newer pair, or a sibling        Adopt
//	given a pair                      an older pair                     Keep
//	said that the session has ended   another pair, and not an older    Adopt
//	said that the session has ended   anything else                     End
//	said that the token is stale      another pair, and not an older    Adopt
//	said that the token is stale      anything else                     Retry
//	failed, or not answered                                             Retry
//
// The client uses the access token that it was given whether or not its store could keep
// the pair. If another pair has become live while the refresh was under way, the client
// gives the new pair up instead.
//
// Package prove searches these tables together with the server's for a history that
// breaks a promise; testdata/vectors/renewal has them for clients in other languages.
package renewal
