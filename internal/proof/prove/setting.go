package prove

// A Setting describes a world to search.
type Setting struct {
	Name string
	// Processes is how many processes of the client share its store: 1 or 2. With a Lock,
	// only one at a time refreshes.
	Processes int
	Lock      bool
	// Generations is the highest number of refreshes.
	Generations uint8

	// Crashes lets processes lose what they remember, at any moment.
	Crashes bool
	// StoreFaults lets the client's store fail to keep a pair.
	StoreFaults bool
	// Rollbacks is how often the client's store may roll back to an earlier pair while a
	// process remembers the later one.
	Rollbacks uint8

	// SignOut, OtherUser and OtherServer let a process sign out, sign in as another user,
	// and sign in at another server.
	SignOut, OtherUser, OtherServer bool

	// FallBack lets the server's store roll back to an earlier state, once.
	FallBack bool
	// Overlap lets the server work on two requests at once: between its read and its write
	// of the row, the other request may write.
	Overlap bool
	// Strict is a server that takes each refresh token once, with a network that neither
	// loses nor repeats anything.
	Strict bool

	// Lifetime is a refresh token's lifetime in ticks; 0 is unlimited. Leeway is in ticks,
	// too; 0 stands for 1. Hold is how many ticks the network may hold a request back.
	Lifetime, Leeway, Hold uint8

	// Thief lets a thief copy a token of the client's, once.
	Thief bool
	// Turns is how often, after the theft, the session may pass from one party to the
	// other before that counts as a silent fork.
	Turns uint8

	// Broken is the rule that is broken, if one is.
	Broken Rule
}
