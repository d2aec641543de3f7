package prove

// Settings are the worlds that every change is checked with. They take seconds in total.
func Settings() []Setting {
	return []Setting{
		// The server's part.
		{Name: "1 process, 5 generations, one fall-back", Processes: 1, Generations: 5, Crashes: true, FallBack: true},
		{Name: "2 processes with a lock, 5 generations, one fall-back", Processes: 2, Lock: true, Generations: 5, Crashes: true, FallBack: true},
		{Name: "2 processes, 4 generations, failing saves, one fall-back", Processes: 2, Generations: 4, Crashes: true, StoreFaults: true, FallBack: true},
		{Name: "2 processes, 4 generations, overlapping requests", Processes: 2, Generations: 4, Crashes: true, Overlap: true},
		{Name: "1 process, 5 generations, a thief", Processes: 1, Generations: 5, Crashes: true, Thief: true},
		{Name: "2 processes with a lock, 4 generations, a thief", Processes: 2, Lock: true, Generations: 4, Crashes: true, Thief: true},
		{Name: "2 processes, 3 generations, a thief", Processes: 2, Generations: 3, Crashes: true, Thief: true},
		{Name: "1 process, 4 generations, failing saves, a thief", Processes: 1, Generations: 4, Crashes: true, StoreFaults: true, Thief: true},
		{Name: "1 process, 4 generations, a thief, overlapping requests", Processes: 1, Generations: 4, Crashes: true, Thief: true, Overlap: true},
		{Name: "1 process, 4 generations, a thief, one fall-back", Processes: 1, Generations: 4, Crashes: true, Thief: true, FallBack: true, Turns: 2},

		// The client's store.
		{Name: "1 process, 7 generations, failing saves", Processes: 1, Generations: 7, Crashes: true, StoreFaults: true},
		{Name: "2 processes with a lock, 6 generations, failing saves", Processes: 2, Lock: true, Generations: 6, Crashes: true, StoreFaults: true},
		{Name: "2 processes, 5 generations, failing saves", Processes: 2, Generations: 5, Crashes: true, StoreFaults: true},
		{Name: "1 process, 6 generations, failing saves, 3 rollbacks", Processes: 1, Generations: 6, Crashes: true, StoreFaults: true, Rollbacks: 3},
		{Name: "2 processes, 4 generations, failing saves, one rollback", Processes: 2, Generations: 4, Crashes: true, StoreFaults: true, Rollbacks: 1},
		{Name: "1 process, 6 generations, strict server, failing saves, 2 rollbacks", Processes: 1, Generations: 6, StoreFaults: true, Rollbacks: 2, Strict: true},
		{Name: "2 processes, 3 generations, sign-out, another user", Processes: 2, Generations: 3, Crashes: true, StoreFaults: true, SignOut: true, OtherUser: true},
		{Name: "2 processes, 3 generations, sign-out, another server", Processes: 2, Generations: 3, Crashes: true, StoreFaults: true, SignOut: true, OtherServer: true},

		// Tokens that grow old.
		{Name: "1 process, 4 generations, lifetime 6, failing saves", Processes: 1, Generations: 4, StoreFaults: true, Lifetime: 6, Leeway: 1},
		{Name: "1 process, 5 generations, lifetime 3, failing saves", Processes: 1, Generations: 5, Crashes: true, StoreFaults: true, Lifetime: 3, Leeway: 2, Hold: 1},
		{Name: "2 processes, 2 generations, lifetime 3, failing saves", Processes: 2, Generations: 2, Crashes: true, StoreFaults: true, Lifetime: 3, Leeway: 2, Hold: 1},
		{Name: "1 process, 3 generations, lifetime 3, one rollback", Processes: 1, Generations: 3, StoreFaults: true, Rollbacks: 1, Lifetime: 3, Leeway: 2, Hold: 1},
		{Name: "1 process, 3 generations, lifetime 3, one fall-back", Processes: 1, Generations: 3, Crashes: true, FallBack: true, Lifetime: 3, Leeway: 2, Hold: 1},
		{Name: "1 process, 3 generations, lifetime 3, a thief", Processes: 1, Generations: 3, Crashes: true, Thief: true, Lifetime: 3, Leeway: 2},
	}
}

// DeepSettings are larger worlds, which take minutes.
func DeepSettings() []Setting {
	return []Setting{
		{Name: "2 processes, 7 generations, failing saves, one fall-back", Processes: 2, Generations: 7, Crashes: true, StoreFaults: true, FallBack: true},
		{Name: "2 processes, 6 generations, failing saves, overlapping requests", Processes: 2, Generations: 6, Crashes: true, StoreFaults: true, Overlap: true},
		{Name: "1 process, 10 generations, a thief", Processes: 1, Generations: 10, Crashes: true, Thief: true},
		{Name: "2 processes, 5 generations, a thief", Processes: 2, Generations: 5, Crashes: true, Thief: true},
		{Name: "2 processes, 3 generations, failing saves, a thief", Processes: 2, Generations: 3, Crashes: true, StoreFaults: true, Thief: true},
		{Name: "2 processes, 4 generations, a thief, overlapping requests", Processes: 2, Generations: 4, Crashes: true, Thief: true, Overlap: true},
		{Name: "1 process, 6 generations, a thief, one fall-back", Processes: 1, Generations: 6, Crashes: true, Thief: true, FallBack: true, Turns: 2},
		{Name: "2 processes, 3 generations, a thief, one fall-back", Processes: 2, Generations: 3, Crashes: true, Thief: true, FallBack: true, Turns: 2},

		{Name: "2 processes, 8 generations, failing saves", Processes: 2, Generations: 8, Crashes: true, StoreFaults: true},
		{Name: "1 process, 10 generations, failing saves, 3 rollbacks", Processes: 1, Generations: 10, Crashes: true, StoreFaults: true, Rollbacks: 3},
		{Name: "2 processes, 5 generations, failing saves, one rollback", Processes: 2, Generations: 5, Crashes: true, StoreFaults: true, Rollbacks: 1},
		{Name: "2 processes, 4 generations, failing saves, 2 rollbacks", Processes: 2, Generations: 4, Crashes: true, StoreFaults: true, Rollbacks: 2},

		{Name: "2 processes, 3 generations, lifetime 3, failing saves", Processes: 2, Generations: 3, Crashes: true, StoreFaults: true, Lifetime: 3, Leeway: 2, Hold: 1},
		{Name: "2 processes, 3 generations, lifetime 3, overlapping requests", Processes: 2, Generations: 3, Crashes: true, Overlap: true, Lifetime: 3, Leeway: 2, Hold: 1},
		{Name: "2 processes, 3 generations, lifetime 3, one fall-back", Processes: 2, Generations: 3, Crashes: true, FallBack: true, Lifetime: 3, Leeway: 2, Hold: 1},
		{Name: "1 process, 4 generations, lifetime 3, a thief", Processes: 1, Generations: 4, Crashes: true, Thief: true, Lifetime: 3, Leeway: 2},
		{Name: "1 process, 3 generations, lifetime 3, failing saves, a thief", Processes: 1, Generations: 3, Crashes: true, StoreFaults: true, Thief: true, Lifetime: 3, Leeway: 2, Hold: 1},
	}
}
