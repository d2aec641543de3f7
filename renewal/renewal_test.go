package renewal_test

import (
	"testing"
	"time"

	"github.com/tandem-auth/tandem/renewal"
)

const (
	ours   = "https://auth.example.com"
	theirs = "https://auth.example.net"
	day    = 24 * time.Hour
)

var now = time.Unix(1_800_000_000, 0)

// pair returns a pair of ann's session with us, whose access token is good.
func pair(name string, revision uint64) renewal.Pair {
	return renewal.Pair{
		Issuer: ours, SessionID: "ann", Revision: revision,
		AccessToken: "access " + name, RefreshToken: "refresh " + name,
		ReceivedAt: now, ExpiresAt: now.Add(time.Hour), RefreshExpiresAt: now.Add(7 * day),
	}
}

// unrotated returns a pair of a server that never changes the refresh token.
func unrotated(name string, revision uint64) renewal.Pair {
	p := pair(name, revision)
	p.RefreshToken = "the same for ever"
	return p
}

func of(session string, p renewal.Pair) renewal.Pair {
	p.SessionID = session
	return p
}

func from(issuer string, p renewal.Pair) renewal.Pair {
	p.Issuer = issuer
	return p
}

var (
	none    renewal.Pair
	older   = pair("1", 1)
	base    = pair("2", 2)
	live    = pair("3", 3)
	sibling = pair("3b", 3)
	newer   = pair("4", 4)
	// Those that were kept before pairs had revisions.
	unnumbered = pair("0", 0)
)

func TestBefore(t *testing.T) {
	for name, c := range map[string]struct {
		view renewal.View
		want renewal.Step
	}{
		"nothing is live or stored":                                           {renewal.View{}, renewal.NotSignedIn},
		"another process signed in":                                           {renewal.View{Stored: live}, renewal.Adopt},
		"the session that ended here is still stored":                         {renewal.View{Stored: live, EndedSessionID: "ann"}, renewal.NotSignedIn},
		"another process signed out":                                          {renewal.View{Live: live, Base: base}, renewal.SignedOut},
		"live is stored":                                                      {renewal.View{Live: live, Base: base, Stored: live}, renewal.PresentLive},
		"another process refreshed":                                           {renewal.View{Live: live, Base: live, Stored: newer}, renewal.Adopt},
		"another process refreshed from the same pair":                        {renewal.View{Live: live, Base: base, Stored: sibling}, renewal.Adopt},
		"another user signed in":                                              {renewal.View{Live: live, Base: base, Stored: of("bob", older)}, renewal.Adopt},
		"the store went back to a session that ended here":                    {renewal.View{Live: live, Base: base, Stored: of("bob", newer), EndedSessionID: "bob"}, renewal.PresentLive},
		"the store failed to keep live":                                       {renewal.View{Live: live, Base: base, Stored: base}, renewal.PresentBase},
		"the store went back to base":                                         {renewal.View{Live: live, Base: base, Stored: base}, renewal.PresentBase},
		"the store went back further than base":                               {renewal.View{Live: live, Base: base, Stored: older}, renewal.PresentLive},
		"the store went back, and live was presented last":                    {renewal.View{Live: live, Base: live, Stored: older}, renewal.PresentLive},
		"the store went back before anything was presented":                   {renewal.View{Live: live, Stored: older}, renewal.PresentLive},
		"the store has failed for less than half the lifetime":                {renewal.View{Live: live, Base: base, Stored: base, BasePresentedAt: now.Add(-3 * day)}, renewal.PresentBase},
		"the store has failed for half the lifetime":                          {renewal.View{Live: live, Base: base, Stored: base, BasePresentedAt: now.Add(-7 * day / 2)}, renewal.PresentLive},
		"somebody signed in at another server":                                {renewal.View{Live: live, Base: base, Stored: from(theirs, newer)}, renewal.Foreign},
		"somebody signed in at another server before we did":                  {renewal.View{Stored: from(theirs, newer)}, renewal.Foreign},
		"our server had another name before":                                  {renewal.View{Stored: from(theirs, newer), FormerIssuers: []string{theirs}}, renewal.Adopt},
		"the stored pair has no issuer":                                       {renewal.View{Stored: from("", newer)}, renewal.Adopt},
		"the stored pair has no revision":                                     {renewal.View{Live: live, Base: base, Stored: unnumbered}, renewal.Adopt},
		"the stored pair has no revision, and the store failed to replace it": {renewal.View{Live: newer, Base: live, Stored: unnumbered, Behind: unnumbered}, renewal.PresentLive},
		"the store failed to replace a pair that has no revision":             {renewal.View{Live: older, Base: unnumbered, Stored: unnumbered}, renewal.PresentBase},
	} {
		t.Run(name, func(t *testing.T) {
			c.view.Issuer, c.view.Server = ours, renewal.Forgiving
			if got := renewal.Before(c.view, now); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// A strict server has spent base: only live is good.
func TestBeforeAtAStrictServer(t *testing.T) {
	for name, c := range map[string]struct {
		view renewal.View
		want renewal.Step
	}{
		"the store failed to keep live":                       {renewal.View{Live: live, Base: base, Stored: base}, renewal.PresentLive},
		"the store went back":                                 {renewal.View{Live: live, Base: live, Stored: older}, renewal.PresentLive},
		"another process refreshed":                           {renewal.View{Live: live, Base: live, Stored: newer}, renewal.Adopt},
		"tokens do not rotate, and another process refreshed": {renewal.View{Live: unrotated("2", 2), Base: unrotated("1", 1), Stored: unrotated("3", 3)}, renewal.Adopt},
		"tokens do not rotate, and the store went back":       {renewal.View{Live: unrotated("2", 2), Base: unrotated("2", 2), Stored: unrotated("1", 1)}, renewal.PresentLive},
	} {
		t.Run(name, func(t *testing.T) {
			if got := renewal.Before(c.view, now); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestAfter(t *testing.T) {
	ended := renewal.View{EndedSessionID: "bob"}
	for name, c := range map[string]struct {
		view   renewal.View
		answer renewal.Answer
		stored renewal.Pair
		want   renewal.Step
	}{
		"given a pair, signed out meanwhile":                   {renewal.View{}, renewal.Granted, none, renewal.Discard},
		"given a pair, another server's is stored":             {renewal.View{}, renewal.Granted, from(theirs, base), renewal.Discard},
		"given a pair, another user has signed in":             {renewal.View{}, renewal.Granted, of("bob", newer), renewal.Adopt},
		"given a pair, a session that ended here is stored":    {ended, renewal.Granted, of("bob", newer), renewal.Keep},
		"given a pair, the store has it":                       {renewal.View{}, renewal.Granted, live, renewal.Kept},
		"given a pair, the store has the one before":           {renewal.View{}, renewal.Granted, base, renewal.Keep},
		"given a pair, the store went back":                    {renewal.View{}, renewal.Granted, older, renewal.Keep},
		"given a pair, another process was faster":             {renewal.View{}, renewal.Granted, sibling, renewal.Adopt},
		"given a pair, another process is ahead":               {renewal.View{}, renewal.Granted, newer, renewal.Adopt},
		"given a pair, the stored one has no revision":         {renewal.View{}, renewal.Granted, unnumbered, renewal.Adopt},
		"ended, and the store has what was presented":          {renewal.View{}, renewal.Ended, base, renewal.End},
		"ended, and the store has an older pair":               {renewal.View{}, renewal.Ended, older, renewal.End},
		"ended, and the store has nothing":                     {renewal.View{}, renewal.Ended, none, renewal.End},
		"ended, and another process has refreshed":             {renewal.View{}, renewal.Ended, live, renewal.Adopt},
		"ended, and another user has signed in":                {renewal.View{}, renewal.Ended, of("bob", older), renewal.Adopt},
		"ended, and another server's pair is stored":           {renewal.View{}, renewal.Ended, from(theirs, live), renewal.End},
		"ended, and a session that ended here is stored":       {ended, renewal.Ended, of("bob", live), renewal.End},
		"stale, and another process has refreshed":             {renewal.View{}, renewal.Stale, live, renewal.Adopt},
		"stale, and the store has what was presented":          {renewal.View{}, renewal.Stale, base, renewal.Retry},
		"stale, and the store has an older pair":               {renewal.View{}, renewal.Stale, older, renewal.Retry},
		"stale, and signed out meanwhile":                      {renewal.View{}, renewal.Stale, none, renewal.Retry},
		"no answer":                                            {renewal.View{}, renewal.Failed, base, renewal.Retry},
		"no answer, whatever another process has done":         {renewal.View{}, renewal.Failed, newer, renewal.Retry},
		"given a pair for base again, whose first is stored":   {renewal.View{Live: sibling}, renewal.Granted, sibling, renewal.Adopt},
		"stale, and somebody has signed in at another server":  {renewal.View{}, renewal.Stale, from(theirs, live), renewal.Retry},
		"given a pair, and the store has a spent one of ann's": {renewal.View{Live: base}, renewal.Granted, older, renewal.Keep},
	} {
		t.Run(name, func(t *testing.T) {
			v := c.view
			v.Issuer, v.Server, v.Base, v.Stored = ours, renewal.Forgiving, base, c.stored
			if got := renewal.After(v, base, c.answer, live); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// What was presented is older than its successor, whatever its revision.
func TestAfterAPairWithoutARevision(t *testing.T) {
	v := renewal.View{Live: unnumbered, Base: unnumbered, Stored: unnumbered, Issuer: ours, Server: renewal.Forgiving}
	if got := renewal.After(v, unnumbered, renewal.Granted, older); got != renewal.Keep {
		t.Errorf("%v, want %v", got, renewal.Keep)
	}
}

// The store has failed to replace a pair without a revision, again and again.
func TestAfterAPairWithoutARevisionThatIsBehind(t *testing.T) {
	v := renewal.View{Live: live, Base: live, Stored: unnumbered, Behind: unnumbered, Issuer: ours}
	if got := renewal.After(v, live, renewal.Granted, newer); got != renewal.Keep {
		t.Errorf("given a pair: %v, want %v", got, renewal.Keep)
	}
	if got := renewal.After(v, live, renewal.Ended, none); got != renewal.End {
		t.Errorf("ended: %v, want %v", got, renewal.End)
	}
}

// Live and base may have changed while the refresh was under way: what another process
// stored is ahead of the answer all the same.
func TestAfterAReloadDuringTheRefresh(t *testing.T) {
	v := renewal.View{Live: sibling, Base: sibling, Stored: sibling, Issuer: ours, Server: renewal.Forgiving}
	if got := renewal.After(v, base, renewal.Granted, live); got != renewal.Adopt {
		t.Errorf("%v, want %v", got, renewal.Adopt)
	}
}

func TestUnsaved(t *testing.T) {
	for name, c := range map[string]struct {
		live, stored renewal.Pair
		want         bool
	}{
		"nothing is live":               {none, base, false},
		"live is stored":                {live, live, false},
		"an older pair is stored":       {live, base, true},
		"a sibling is stored":           {live, sibling, false},
		"a newer pair is stored":        {live, newer, false},
		"signed out":                    {live, none, false},
		"another session is stored":     {live, of("bob", base), false},
		"another server's is stored":    {live, from(theirs, base), false},
		"one without a revision stored": {live, unnumbered, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := renewal.Unsaved(renewal.View{Live: c.live, Base: base, Stored: c.stored, Issuer: ours}); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestUsable(t *testing.T) {
	for name, c := range map[string]struct {
		at   time.Time
		want bool
	}{
		"just received":                            {now, true},
		"a moment before its expiry":               {now.Add(time.Hour - 1), true},
		"expired":                                  {now.Add(time.Hour), false},
		"received a moment ahead of the clock":     {now.Add(-renewal.ClockTolerance), true},
		"received in the future, an hour from now": {now.Add(-time.Hour), false},
		"received in the future, a year from now":  {now.Add(-365 * day), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := live.Usable(c.at); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// Whatever a client knows, it presents nothing of another server's or another session's,
// takes back nothing that it has moved on from, and writes over nothing that is ahead.
func FuzzDecisions(f *testing.F) {
	f.Add(uint64(3), uint64(2), uint64(1), uint64(3), "ann", ours, false, uint8(1))
	f.Add(uint64(3), uint64(3), uint64(4), uint64(4), "bob", theirs, true, uint8(2))
	f.Fuzz(func(t *testing.T, liveAt, baseAt, storedAt, nextAt uint64, session, issuer string, strict bool, answer uint8) {
		v := renewal.View{
			Live: pair("live", liveAt), Base: pair("base", baseAt), Stored: from(issuer, of(session, pair("stored", storedAt))),
			Issuer: ours, Server: renewal.Forgiving,
		}
		if strict {
			v.Server = renewal.Strict
		}
		foreign := issuer != "" && issuer != ours
		isOlder := session == "ann" && storedAt != 0 && storedAt < liveAt
		switch before := renewal.Before(v, now); {
		case foreign != (before == renewal.Foreign):
			t.Errorf("%v for a pair of %q", before, issuer)
		case !foreign && isOlder == (before == renewal.Adopt):
			t.Errorf("%v for revision %d of %q, live is %d", before, storedAt, session, liveAt)
		case strict && before == renewal.PresentBase:
			t.Error("base is presented again to a strict server")
		}
		next := pair("next", nextAt)
		after := renewal.After(v, v.Base, renewal.Answer(answer%4), next)
		switch {
		case after == renewal.Keep && (session != "ann" || foreign || storedAt >= nextAt):
			t.Errorf("revision %d is kept over revision %d of %q from %q", nextAt, storedAt, session, issuer)
		case after == renewal.Adopt && (foreign || session == "ann" && storedAt != 0 && storedAt < min(baseAt, nextAt)):
			t.Errorf("revision %d of %q from %q is adopted, %d was presented", storedAt, session, issuer, baseAt)
		case after == renewal.End && renewal.Answer(answer%4) != renewal.Ended:
			t.Errorf("the session ends for the answer %d", answer)
		}
	})
}

func BenchmarkBefore(b *testing.B) {
	v := renewal.View{Live: live, Base: base, Stored: older, BasePresentedAt: now, Issuer: ours, Server: renewal.Forgiving}
	b.ReportAllocs()
	for b.Loop() {
		if renewal.Before(v, now) != renewal.PresentBase {
			b.Fatal("another step")
		}
	}
}

func BenchmarkAfter(b *testing.B) {
	v := renewal.View{Live: live, Base: base, Stored: base, Issuer: ours, Server: renewal.Forgiving}
	b.ReportAllocs()
	for b.Loop() {
		if renewal.After(v, base, renewal.Granted, live) != renewal.Keep {
			b.Fatal("another step")
		}
	}
}
