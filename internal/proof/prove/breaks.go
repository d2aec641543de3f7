package prove

// A Break is a broken rule, with a small world in which breaking it breaks a promise.
type Break struct {
	Setting
	// Expect is the promise that breaks.
	Expect string
}

// Breaks break every rule in turn. They leave out the rows of the tables on which no
// promise depends: what a client without a session does; Kept, which only saves a write; a
// client that goes on asking after the server has told it that the session has ended; and
// one that does not read its store after a stale token. None of these loses a session.
func Breaks() []Break {
	with := func(set Setting, rule Rule, expect breach) Break {
		set.Name, set.Broken = string(rule), rule
		return Break{Setting: set, Expect: string(expect)}
	}
	var (
		alone    = Setting{Processes: 1, Generations: 3, Crashes: true}
		fallBack = Setting{Processes: 1, Generations: 3, Crashes: true, FallBack: true}
		both     = Setting{Processes: 2, Generations: 3, Crashes: true}
		stolen   = Setting{Processes: 1, Generations: 4, Crashes: true, Thief: true}
		overlap  = Setting{Processes: 1, Generations: 3, Crashes: true, Thief: true, Overlap: true}

		ageing       = Setting{Processes: 1, Generations: 3, Lifetime: 3, Leeway: 2, Hold: 1}
		ageingBusy   = Setting{Processes: 2, Generations: 2, Overlap: true, Lifetime: 3, Leeway: 2, Hold: 1}
		ageingBoth   = Setting{Processes: 2, Generations: 3, Crashes: true, Lifetime: 3, Leeway: 2, Hold: 1}
		ageingStolen = Setting{Processes: 1, Generations: 2, Crashes: true, Thief: true, Lifetime: 3, Leeway: 2}

		faults             = Setting{Processes: 1, Generations: 3, Crashes: true, StoreFaults: true}
		faultsBoth         = Setting{Processes: 2, Generations: 3, Crashes: true, StoreFaults: true}
		faultsForLong      = Setting{Processes: 1, Generations: 3, StoreFaults: true, Lifetime: 6, Leeway: 1}
		faultsStrict       = Setting{Processes: 1, Generations: 3, StoreFaults: true, Strict: true}
		rollback           = Setting{Processes: 1, Generations: 4, Crashes: true, Rollbacks: 1}
		rollbackBoth       = Setting{Processes: 2, Generations: 4, Crashes: true, Rollbacks: 1}
		rollbackFaults     = Setting{Processes: 1, Generations: 4, Crashes: true, StoreFaults: true, Rollbacks: 1}
		rollbackFaultsBoth = Setting{Processes: 2, Generations: 4, Crashes: true, StoreFaults: true, Rollbacks: 1}
		signOut            = Setting{Processes: 2, Generations: 3, Crashes: true, StoreFaults: true, SignOut: true, OtherUser: true}
		elsewhere          = Setting{Processes: 2, Generations: 3, Crashes: true, OtherServer: true}
	)
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
		with(ageingStolen, PlaceBeforeAge, unseenFork),
		with(ageingStolen, ExpiredEnds, unseenFork),
		with(ageing, ExpiredEnds, livesOn),
		with(ageingBusy, ExpiresAsRead, falseLogout),
		with(ageing, AgeOfCurrent, falseLogout),
		with(ageingBoth, LeewayAfterCurrent, falseLogout),
		with(ageing, LeewayAfterNewer, falseLogout),
		with(ageingBoth, OutlivedIsNoReuse, falseLogout),

		with(both, ReadBeforeRefresh, falseLogout),
		with(signOut, EmptyIsSignedOut, signedOutGoesOn),
		with(elsewhere, ForeignIsLeftAlone, foreignPresented),
		with(signOut, SessionAdopted, wrongUser),
		with(signOut, EndedNotAdopted, endedAdopted),
		with(both, NewerAdopted, falseLogout),
		with(faultsBoth, SiblingAdopted, falseLogout),
		with(rollback, OlderNotAdopted, falseLogout),
		with(faultsBoth, StoredIsPresented, falseLogout),
		with(faults, UnsavedNotUsed, falseLogout),
		with(rollbackFaultsBoth, OlderIsNoBase, falseLogout),
		with(faultsStrict, BaseNotAtStrict, falseLogout),
		with(faultsForLong, HalfTheLifetime, falseLogout),

		with(signOut, EmptyNotFilled, comesBack),
		with(elsewhere, ForeignNotReplaced, foreignReplaced),
		with(signOut, SessionNotReplaced, sessionReplaced),
		with(both, SiblingNotReplaced, falseLogout),
		with(both, NewerNotReplaced, falseLogout),
		with(rollbackFaults, OlderReplaced, falseLogout),
		with(rollbackBoth, StoredIsBase, falseLogout),
		with(rollbackBoth, ReloadedGivesUp, falseLogout),
		with(signOut, LookBeforeEnd, wrongEnd),
		with(both, StaleIsNoEnd, falseLogout),
		with(ageing, StaleIsNoEnd, falseLogout),
		with(alone, FailedIsNoEnd, falseLogout),
		with(faultsBoth, UnsavedWrittenOlder, falseLogout),
	}
}
