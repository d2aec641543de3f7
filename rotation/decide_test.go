package rotation_test

import (
	"math"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/rotation"
)

// The tables below take their names from this little story: the session's
// current token is generation 5, branch 50, confirmed at noon.
var (
	noon    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	current = rotation.Position{Generation: 5, Branch: 50}
	sibling = rotation.Position{Generation: 5, Branch: 51}
	older   = rotation.Position{Generation: 4, Branch: 40}
	next    = rotation.Position{Generation: 6, Branch: 60}
	ahead   = rotation.Position{Generation: 8, Branch: 80}
)

const leeway = 10 * time.Second

func policy() rotation.Policy {
	return rotation.Policy{RefreshTTL: 7 * 24 * time.Hour, Leeway: leeway, RetryWindow: rotation.Unbounded}
}

func state() rotation.State {
	return rotation.State{Current: current, ConfirmedAt: noon, ExpiresAt: noon.Add(90 * 24 * time.Hour)}
}

func token(p rotation.Position) rotation.Token {
	return rotation.Token{Position: p, IssuedAt: noon.Add(-time.Minute)}
}

func TestDecide(t *testing.T) {
	within, after := noon.Add(leeway-1), noon.Add(leeway)
	textbook := func(p *rotation.Policy) { p.RetryWindow = 0 }
	minute := func(p *rotation.Policy) { p.RetryWindow = time.Minute }
	noLeeway := func(p *rotation.Policy) { p.Leeway = 0 }
	reach := func(p *rotation.Policy) { p.LeewayReach = 2 }

	for _, c := range []struct {
		name     string
		token    rotation.Position
		now      time.Time
		policy   func(*rotation.Policy)
		verdict  rotation.Verdict
		wentBack bool
	}{
		{name: "newer: a successor's first use confirms it", token: next, now: within, verdict: rotation.Confirm},
		{name: "newer: however late", token: next, now: after, verdict: rotation.Confirm},
		{name: "newer by more than one: the store went back in time", token: ahead, now: after, verdict: rotation.Confirm, wentBack: true},

		{name: "current again: its reply was lost", token: current, now: within, verdict: rotation.Retry},
		{name: "current again: a week of holidays later", token: current, now: noon.Add(6 * 24 * time.Hour), verdict: rotation.Retry},
		{name: "current again: inside the retry window", token: current, now: noon.Add(59 * time.Second), policy: minute, verdict: rotation.Retry},
		{name: "current again: past the retry window", token: current, now: noon.Add(time.Minute), policy: minute, verdict: rotation.Reuse},
		{name: "current again: textbook, delayed duplicate", token: current, now: within, policy: textbook, verdict: rotation.Stale},
		{name: "current again: textbook, reuse", token: current, now: after, policy: textbook, verdict: rotation.Reuse},

		{name: "sibling: delayed duplicate", token: sibling, now: within, verdict: rotation.Stale},
		{name: "sibling: fork", token: sibling, now: after, verdict: rotation.Reuse},
		{name: "sibling: fork at once without leeway", token: sibling, now: noon, policy: noLeeway, verdict: rotation.Reuse},
		{name: "older: delayed duplicate", token: older, now: within, verdict: rotation.Stale},
		{name: "older: reuse", token: older, now: after, verdict: rotation.Reuse},
		{name: "older: at the end of the leeway's reach", token: rotation.Position{Generation: 3}, now: within, policy: reach, verdict: rotation.Stale},
		{name: "older: beyond the leeway's reach", token: rotation.Position{Generation: 2}, now: within, policy: reach, verdict: rotation.Reuse},
		{name: "older: any number of generations without one", token: rotation.Position{}, now: within, verdict: rotation.Stale},
		{name: "sibling: within any reach", token: sibling, now: within, policy: reach, verdict: rotation.Stale},
		{name: "older: the clock was set back since, no reason to end anything", token: older, now: noon.Add(-time.Second), verdict: rotation.Stale},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, s := policy(), state()
			if c.policy != nil {
				c.policy(&p)
			}
			got := rotation.Decide(&s, token(c.token), c.now, p)

			want := rotation.Decision{Verdict: c.verdict, Next: s, StoreWentBack: c.wentBack}
			switch c.verdict {
			case rotation.Confirm:
				want.Next.Current, want.Next.ConfirmedAt = c.token, c.now
			case rotation.Reuse:
				want.Next.EndedAt, want.Next.EndReason = c.now, rotation.ReuseDetected
				want.Reason = rotation.ReuseDetected
			}
			if got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if s != state() {
				t.Error("Decide changed the state that it was given")
			}
		})
	}
}

func TestDecideRefusesWhateverTheTokenOnce(t *testing.T) {
	endedAs := func(reason rotation.EndReason) *rotation.State {
		s := state()
		s.EndedAt, s.EndReason = noon, reason
		return &s
	}
	fresh := state()
	week := policy().RefreshTTL

	for _, c := range []struct {
		name   string
		state  *rotation.State
		issued time.Time
		now    time.Time
		reason rotation.EndReason
	}{
		{"the session is unknown", nil, noon, noon, rotation.Unknown},
		{"its user signed out", endedAs(rotation.SignedOut), noon, noon, rotation.SignedOut},
		{"it was revoked", endedAs(rotation.Revoked), noon, noon, rotation.Revoked},
		{"reuse ended it", endedAs(rotation.ReuseDetected), noon, noon, rotation.ReuseDetected},
		{"it signed out and expired since: the first reason stands", endedAs(rotation.SignedOut), noon, fresh.ExpiresAt, rotation.SignedOut},
		{"the session expired", &fresh, fresh.ExpiresAt.Add(-time.Hour), fresh.ExpiresAt, rotation.Expired},
		{"the token expired", &fresh, noon, noon.Add(week), rotation.Expired},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, p := range []rotation.Position{older, sibling, current, next, ahead} {
				got := rotation.Decide(c.state, rotation.Token{Position: p, IssuedAt: c.issued}, c.now, policy())
				if got.Verdict != rotation.Refuse || got.Reason != c.reason {
					t.Errorf("%+v: got %v (%s), want refuse (%s)", p, got.Verdict, got.Reason, c.reason)
				}
				if c.state != nil && got.Next != *c.state {
					t.Errorf("%+v: a refusal changed the state", p)
				}
			}
		})
	}
}

// The sliding lifetime needs no write: a token is good for RefreshTTL from its
// own issue, whenever the session began.
func TestEachTokenSlidesTheLifetime(t *testing.T) {
	s, p := state(), policy()
	now := noon
	for range 12 {
		now = now.Add(p.RefreshTTL - time.Second)
		given := rotation.Token{Position: s.Successor(7), IssuedAt: now.Add(time.Second - p.RefreshTTL)}
		d := rotation.Decide(&s, given, now, p)
		if d.Verdict != rotation.Confirm {
			t.Fatalf("%s after sign-in: %v", now.Sub(noon), d.Verdict)
		}
		s = d.Next
	}
	late := now.Add(p.RefreshTTL)
	if d := rotation.Decide(&s, rotation.Token{Position: s.Successor(8), IssuedAt: now}, late, p); d.Reason != rotation.Expired {
		t.Errorf("a token as old as RefreshTTL: got %v (%s), want refuse (expired)", d.Verdict, d.Reason)
	}
}

func TestATokenFarAheadOfTheStoreIsNotMistakenForAnOlderOne(t *testing.T) {
	s := state()
	s.Current.Generation = 0
	d := rotation.Decide(&s, token(rotation.Position{Generation: math.MaxUint32, Branch: 1}), noon, policy())
	if d.Verdict != rotation.Confirm || !d.StoreWentBack {
		t.Errorf("got %+v", d)
	}
}

func BenchmarkDecide(b *testing.B) {
	s, p, tok := state(), policy(), token(next)
	b.ReportAllocs()
	for b.Loop() {
		if rotation.Decide(&s, tok, noon, p).Verdict != rotation.Confirm {
			b.Fatal("not confirmed")
		}
	}
}
