package rotation_test

import (
	"math"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/rotation"
)

// In the tables below, the session's current token is generation 5, branch 50,
// confirmed at noon.
var (
	noon    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	current = rotation.Position{Generation: 5, Branch: 50}
	sibling = rotation.Position{Generation: 5, Branch: 51}
	older   = rotation.Position{Generation: 4, Branch: 40}
	next    = rotation.Position{Generation: 6, Branch: 60}
	ahead   = rotation.Position{Generation: 8, Branch: 80}
)

const (
	leeway   = 10 * time.Second
	lifetime = 7 * 24 * time.Hour
)

func policy() rotation.Policy {
	return rotation.Policy{RefreshTTL: lifetime, Leeway: leeway, RetryWindow: rotation.Unbounded}
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
	const issuedBefore = time.Minute // how long before noon the function token issues its tokens

	for _, c := range []struct {
		name     string
		token    rotation.Position
		now      time.Time
		policy   func(*rotation.Policy)
		verdict  rotation.Verdict
		wentBack bool
	}{
		{name: "newer: a successor's first use confirms it", token: next, now: within, verdict: rotation.Confirm},
		{name: "newer: however late after the confirmation", token: next, now: after, verdict: rotation.Confirm},
		{name: "newer: at the end of its lifetime", token: next, now: noon.Add(lifetime - issuedBefore - 1), verdict: rotation.Confirm},
		{name: "newer: sent in time, and held back", token: next, now: noon.Add(lifetime + leeway - issuedBefore - 1), verdict: rotation.Confirm},
		{name: "newer: too late", token: next, now: noon.Add(lifetime + leeway - issuedBefore), verdict: rotation.Expire},
		{name: "newer: too late, without leeway", token: next, now: noon.Add(lifetime - issuedBefore), policy: noLeeway, verdict: rotation.Expire},
		{name: "newer: too late, though the store went back", token: ahead, now: noon.Add(lifetime + leeway), verdict: rotation.Expire},
		{name: "newer by more than one: the store went back in time", token: ahead, now: after, verdict: rotation.Confirm, wentBack: true},

		{name: "current again: its reply was lost", token: current, now: within, verdict: rotation.Retry},
		{name: "current again: a week of holidays later", token: current, now: noon.Add(6 * 24 * time.Hour), verdict: rotation.Retry},
		{name: "current again: its age counts from its confirmation", token: current, now: noon.Add(lifetime - 1), verdict: rotation.Retry},
		{name: "current again: perhaps a repetition of what was sent in time", token: current, now: noon.Add(lifetime), verdict: rotation.Stale},
		{name: "current again: at the end of the leeway", token: current, now: noon.Add(lifetime + leeway - 1), verdict: rotation.Stale},
		{name: "current again: too late", token: current, now: noon.Add(lifetime + leeway), verdict: rotation.Expire},
		{name: "current again: too late, without leeway", token: current, now: noon.Add(lifetime), policy: noLeeway, verdict: rotation.Expire},
		{name: "current again: inside the retry window", token: current, now: noon.Add(59 * time.Second), policy: minute, verdict: rotation.Retry},
		{name: "current again: past the retry window", token: current, now: noon.Add(time.Minute), policy: minute, verdict: rotation.Reuse},
		{name: "current again: past the retry window and the lifetime", token: current, now: noon.Add(lifetime + leeway), policy: minute, verdict: rotation.Reuse},
		{name: "current again: textbook, delayed duplicate", token: current, now: within, policy: textbook, verdict: rotation.Stale},
		{name: "current again: textbook, reuse", token: current, now: after, policy: textbook, verdict: rotation.Reuse},

		{name: "sibling: delayed duplicate", token: sibling, now: within, verdict: rotation.Stale},
		{name: "sibling: fork", token: sibling, now: after, verdict: rotation.Reuse},
		{name: "sibling: fork, though it has outlived itself", token: sibling, now: noon.Add(2 * lifetime), verdict: rotation.Reuse},
		{name: "sibling: fork at once without leeway", token: sibling, now: noon, policy: noLeeway, verdict: rotation.Reuse},
		{name: "older: delayed duplicate", token: older, now: within, verdict: rotation.Stale},
		{name: "older: reuse", token: older, now: after, verdict: rotation.Reuse},
		{name: "older: reuse, though it has outlived itself", token: older, now: noon.Add(2 * lifetime), verdict: rotation.Reuse},
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
			case rotation.Expire:
				want.Next.EndedAt, want.Next.EndReason = c.now, rotation.Expired
				want.Reason = rotation.Expired
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

// The lifetime slides without a write: a token is valid for RefreshTTL from its own
// issue, whenever the session began.
func TestEachTokenSlidesTheLifetime(t *testing.T) {
	s, p := state(), policy()
	now := noon
	for range 11 {
		now = now.Add(p.RefreshTTL - time.Second)
		given := rotation.Token{Position: s.Successor(7), IssuedAt: now.Add(time.Second - p.RefreshTTL)}
		d := rotation.Decide(&s, given, now, p)
		if d.Verdict != rotation.Confirm {
			t.Fatalf("%s after sign-in: %v", now.Sub(noon), d.Verdict)
		}
		s = d.Next
	}
	late := now.Add(p.RefreshTTL + p.Leeway)
	if d := rotation.Decide(&s, rotation.Token{Position: s.Successor(8), IssuedAt: now}, late, p); d.Verdict != rotation.Expire {
		t.Errorf("a token older than RefreshTTL and the leeway: got %v (%s), want expire", d.Verdict, d.Reason)
	}
}

// A delayed duplicate does not end the session, however old the token is, if another
// token was confirmed within the leeway.
func TestWithinTheLeewayAnOlderTokenIsStaleWhateverItsAge(t *testing.T) {
	s := state()
	s.ConfirmedAt = noon.Add(30 * 24 * time.Hour)
	for _, p := range []rotation.Position{older, sibling} {
		if d := rotation.Decide(&s, token(p), s.ConfirmedAt.Add(leeway-1), policy()); d.Verdict != rotation.Stale {
			t.Errorf("%+v: got %v (%s), want stale", p, d.Verdict, d.Reason)
		}
	}
}

// The server's clock was behind when the current token was confirmed, and is right now.
// The server issues no token earlier than the one that it replaces, so Decide counts the
// token's age from its issue.
func TestTheCurrentTokenIsNoOlderThanItsIssue(t *testing.T) {
	s := state()
	s.ConfirmedAt = noon.Add(-365 * 24 * time.Hour)
	if d := rotation.Decide(&s, token(current), noon, policy()); d.Verdict != rotation.Retry {
		t.Errorf("got %v (%s), want retry", d.Verdict, d.Reason)
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

// For every sequence of tokens and times: an ended session does not change, a session
// whose end a client is told has ended, and a state changes only as the verdict says.
func FuzzDecide(f *testing.F) {
	f.Add(uint32(5), uint64(50), uint32(6), uint64(60), int64(0), int64(0), int64(time.Second), int64(10*time.Second), int64(-1), uint32(16), false)
	f.Add(uint32(5), uint64(50), uint32(5), uint64(51), int64(-1), int64(lifetime), int64(lifetime), int64(0), int64(0), uint32(0), false)
	f.Add(uint32(0), uint64(0), uint32(math.MaxUint32), uint64(1), int64(0), int64(0), int64(0), int64(1), int64(1), uint32(1), true)
	f.Fuzz(func(t *testing.T, generation uint32, branch uint64, presented uint32, on uint64,
		issued, confirmed, ttl, leeway, window int64, reach uint32, ended bool,
	) {
		at := func(d int64) time.Time { return noon.Add(time.Duration(d)) }
		s := rotation.State{
			Current:     rotation.Position{Generation: generation, Branch: branch},
			ConfirmedAt: at(confirmed), ExpiresAt: noon.Add(time.Hour),
		}
		if ended {
			s.EndedAt, s.EndReason = noon, rotation.SignedOut
		}
		given := rotation.Token{Position: rotation.Position{Generation: presented, Branch: on}, IssuedAt: at(issued)}
		before := s
		d := rotation.Decide(&s, given, noon, rotation.Policy{
			RefreshTTL: time.Duration(ttl), Leeway: time.Duration(leeway),
			RetryWindow: time.Duration(window), LeewayReach: reach,
		})
		if s != before {
			t.Fatal("Decide changed the state that it was given")
		}
		_, over := d.Next.Ended(noon)
		if told := d.Reason != ""; told != over {
			t.Errorf("%v: told that the session has ended: %t; it has: %t", d.Verdict, told, over)
		}
		writes := d.Verdict == rotation.Confirm || d.Verdict == rotation.Reuse || d.Verdict == rotation.Expire
		if writes != (d.Next != s) || ended && writes {
			t.Errorf("%v: %+v has become %+v", d.Verdict, s, d.Next)
		}
		if confirmed := d.Next.Current != s.Current; confirmed != (d.Verdict == rotation.Confirm) || confirmed && presented <= generation {
			t.Errorf("%v: %+v is current after %+v", d.Verdict, d.Next.Current, s.Current)
		}
	})
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
