package prove

// Settings are the worlds that are searched on every change: seconds in all.
func Settings() []Setting {
	return []Setting{
		{Name: "1 process, 5 generations, one fall-back", Processes: 1, Generations: 5, FallBack: true},
		{Name: "2 processes with a lock, 5 generations, one fall-back", Processes: 2, Lock: true, Generations: 5, FallBack: true},
		{Name: "2 processes without a lock, 5 generations, one fall-back", Processes: 2, Generations: 5, FallBack: true},
		{Name: "2 processes, 4 generations, overlapping requests", Processes: 2, Generations: 4, Overlap: true},
		{Name: "1 process, 5 generations, a thief", Processes: 1, Generations: 5, Thief: true},
		{Name: "2 processes with a lock, 4 generations, a thief", Processes: 2, Lock: true, Generations: 4, Thief: true},
		{Name: "2 processes without a lock, 4 generations, a thief", Processes: 2, Generations: 4, Thief: true},
		{Name: "1 process, 4 generations, a thief, overlapping requests", Processes: 1, Generations: 4, Thief: true, Overlap: true},
		{Name: "1 process, 5 generations, a thief, one fall-back", Processes: 1, Generations: 5, Thief: true, FallBack: true, Turns: 2},
	}
}

// DeepSettings are larger worlds: minutes.
func DeepSettings() []Setting {
	return []Setting{
		{Name: "2 processes without a lock, 7 generations, one fall-back", Processes: 2, Generations: 7, FallBack: true},
		{Name: "2 processes, 6 generations, overlapping requests", Processes: 2, Generations: 6, Overlap: true},
		{Name: "1 process, 10 generations, a thief", Processes: 1, Generations: 10, Thief: true},
		{Name: "2 processes without a lock, 6 generations, a thief", Processes: 2, Generations: 6, Thief: true},
		{Name: "2 processes, 4 generations, a thief, overlapping requests", Processes: 2, Generations: 4, Thief: true, Overlap: true},
		{Name: "1 process, 7 generations, a thief, one fall-back", Processes: 1, Generations: 7, Thief: true, FallBack: true, Turns: 2},
		{Name: "2 processes, 4 generations, a thief, one fall-back", Processes: 2, Generations: 4, Thief: true, FallBack: true, Turns: 2},
	}
}

// A Break is a rule that is broken, and the smallest world of the settings' kind
// in which that shows.
type Break struct {
	Setting
	// Expect is the promise that it costs.
	Expect string
}

// Breaks break every rule in turn.
func Breaks() []Break {
	alone := Setting{Processes: 1, Generations: 3}
	fallBack := Setting{Processes: 1, Generations: 3, FallBack: true}
	both := Setting{Processes: 2, Generations: 3}
	stolen := Setting{Processes: 1, Generations: 4, Thief: true}
	overlap := Setting{Processes: 1, Generations: 3, Thief: true, Overlap: true}
	with := func(set Setting, rule Rule, expect breach) Break {
		set.Name, set.Broken = string(rule), rule
		return Break{Setting: set, Expect: string(expect)}
	}
	return []Break{
		with(alone, Leeway, falseLogout),
		with(alone, Retry, falseLogout),
		with(fallBack, NewerByMore, falseLogout),
		with(stolen, SiblingRefused, silentFork),
		with(stolen, OlderRefused, silentFork),
		with(stolen, ReuseEnds, unseenFork),
		with(stolen, EndedStaysEnded, undead),
		with(stolen, FreshBranches, silentFork),
		with(overlap, CompareAndSet, silentFork),
		with(both, StoreCompareAndSwap, falseLogout),
		with(both, ReadBeforeRefresh, falseLogout),
		with(both, StaleIsNoEnd, falseLogout),
	}
}
