package prove

// A Setting is a world to search.
type Setting struct {
	Name string
	// Processes of the client that share its store: 1 or 2; with a Lock, one at a
	// time refreshes.
	Processes int
	Lock      bool
	// Generations is how often the session is refreshed at most.
	Generations uint8

	// Crashes lets processes lose what they remember, at any moment.
	Crashes bool
	// StoreFaults lets the client's store fail to keep a pair.
	StoreFaults bool
	// Rollbacks is how often the client's store may fall back to an earlier pair,
	// while a process remembers.
	Rollbacks uint8

	// SignOut, OtherUser and OtherServer let a process sign out, sign in as somebody
	// else, and sign in at another server.
	SignOut, OtherUser, OtherServer bool

	// FallBack lets the server's store fall back to an earlier state, once.
	FallBack bool
	// Overlap lets the server work on two requests at once: between its reading
	// of the row and its writing, others may have written.
	Overlap bool
	// Strict is a server that takes a refresh token once, on a network that loses
	// and repeats nothing.
	Strict bool

	// Lifetime is how many ticks a refresh token is good for; 0 is for ever. Leeway is
	// in ticks, too, and 1 if it is 0. Hold is how many ticks the network may hold a
	// request back.
	Lifetime, Leeway, Hold uint8

	// Thief lets a thief copy a token of the client's, once.
	Thief bool
	// Turns is how often the party that goes on with the session may change after
	// the theft before that counts as a silent fork.
	Turns uint8

	// Broken is the rule that is broken, if one is.
	Broken Rule
}
