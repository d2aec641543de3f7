package tandem

import "sync/atomic"

type stats struct {
	requests, expiries, replays, refreshes, refreshFailures, ends atomic.Int64
}

// Stats counts what a session has done since it was opened.
type Stats struct {
	// Requests that were sent with an access token, replays not counted.
	Requests int64
	// Expiries of access tokens in use: they ran out, or were refused.
	Expiries int64
	// Replays of requests that were refused with 401.
	Replays int64
	// Refreshes that fetched a new pair.
	Refreshes int64
	// RefreshFailures, after all attempts in a row.
	RefreshFailures int64
	// Ends of a session that were not this session's own SignOut.
	Ends int64
}

// Stats returns the counts as they are now.
func (s *Session) Stats() Stats {
	return Stats{
		Requests:        s.stats.requests.Load(),
		Expiries:        s.stats.expiries.Load(),
		Replays:         s.stats.replays.Load(),
		Refreshes:       s.stats.refreshes.Load(),
		RefreshFailures: s.stats.refreshFailures.Load(),
		Ends:            s.stats.ends.Load(),
	}
}
