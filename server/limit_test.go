package server

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// A fakeClock stands still until a test moves it.
type fakeClock struct{ t time.Time }

func (c *fakeClock) now() time.Time          { return c.t }
func (c *fakeClock) advance(d time.Duration) { c.t = c.t.Add(d) }

func newTestLimiter(t *testing.T, limits SignInLimits) (*signInLimiter, *fakeClock) {
	t.Helper()
	clock := &fakeClock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	return newSignInLimiter(Config{SignIn: limits}.withDefaults().SignIn, clock.now), clock
}

var (
	home     = netip.MustParseAddr("192.0.2.1")
	attacker = netip.MustParseAddr("203.0.113.66")
)

// fail makes failed sign-ins until one is refused, and returns how many there
// were and how long the wait is.
func (l *signInLimiter) fail(username string, addr netip.Addr, atMost int) (int, time.Duration) {
	for n := range atMost {
		if _, wait := l.take(username, addr); wait > 0 {
			return n, wait
		}
	}
	return atMost, 0
}

func botnet(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, 51, byte(n >> 8), byte(n)})
}

func TestAUserFromOneAddress(t *testing.T) {
	l, clock := newTestLimiter(t, SignInLimits{})
	if n, wait := l.fail("alice", home, 100); n != 10 || wait != 10*time.Second {
		t.Fatalf("%d failures, then a wait of %v; want 10 and 10s", n, wait)
	}
	clock.advance(10*time.Second - 1)
	if n, wait := l.fail("alice", home, 1); n != 0 || wait != 1 {
		t.Errorf("a moment too early: %d, wait %v", n, wait)
	}
	clock.advance(1)
	if n, _ := l.fail("alice", home, 5); n != 1 {
		t.Errorf("after 10 s there is room for %d, want 1", n)
	}
	clock.advance(time.Hour)
	if n, _ := l.fail("alice", home, 100); n != 10 {
		t.Errorf("after an hour there is room for %d, want the whole burst of 10", n)
	}
}

func TestManyUsersFromOneAddress(t *testing.T) {
	l, _ := newTestLimiter(t, SignInLimits{})
	for n := range 101 {
		_, wait := l.take(fmt.Sprint("user", n), attacker)
		if limited := wait > 0; limited != (n == 100) {
			t.Fatalf("failure %d: limited %t", n, limited)
		}
	}
	if _, wait := l.take("alice", home); wait > 0 {
		t.Error("another address is limited too")
	}
}

func TestOneUserFromManyAddresses(t *testing.T) {
	l, _ := newTestLimiter(t, SignInLimits{})
	for n := range 101 {
		_, wait := l.take("alice", botnet(n))
		if limited := wait > 0; limited != (n == 100) {
			t.Fatalf("failure %d: limited %t", n, limited)
		}
	}
	if _, wait := l.take("bob", botnet(0)); wait > 0 {
		t.Error("another user is limited too")
	}
}

func TestSuccessesCostNothing(t *testing.T) {
	l, _ := newTestLimiter(t, SignInLimits{})
	for n := range 1000 {
		a, wait := l.take("alice", home)
		if wait > 0 {
			t.Fatalf("sign-in %d is limited", n)
		}
		l.succeeded(a)
	}
	if n, _ := l.fail("alice", home, 100); n != 10 {
		t.Errorf("room for %d failures after that, want 10", n)
	}
}

func TestGuessesAtTheSameTimeCannotExceedTheBurst(t *testing.T) {
	l, _ := newTestLimiter(t, SignInLimits{})
	var underWay []attempt
	for range 100 {
		if a, wait := l.take("alice", home); wait == 0 {
			underWay = append(underWay, a)
		}
	}
	if len(underWay) != 10 {
		t.Errorf("%d passwords are being checked at once, want 10", len(underWay))
	}
}

func TestOneAttackerCannotLockAUserOut(t *testing.T) {
	l, clock := newTestLimiter(t, SignInLimits{})
	for range 3600 {
		l.fail("alice", attacker, 100)
		clock.advance(time.Second)
	}
	if _, wait := l.take("alice", home); wait > 0 {
		t.Errorf("alice must wait %v at home while one address attacks", wait)
	}
}

func TestABotnetCannotLockAUserOutOfTheirOwnAddress(t *testing.T) {
	l, clock := newTestLimiter(t, SignInLimits{})
	a, _ := l.take("alice", home)
	l.succeeded(a)
	for n := range 200 {
		l.take("alice", botnet(n))
	}
	if _, wait := l.take("alice", netip.MustParseAddr("192.0.2.200")); wait == 0 {
		t.Fatal("the attack does not even limit a strange address")
	}
	if _, wait := l.take("alice", home); wait > 0 {
		t.Errorf("alice must wait %v at an address that she signed in from", wait)
	}
	clock.advance(familiarFor)
	for n := range 200 {
		l.take("alice", botnet(n))
	}
	if _, wait := l.take("alice", home); wait == 0 {
		t.Error("an address stays familiar for ever")
	}
}

func TestSpellingsOfANameShareABucket(t *testing.T) {
	l, _ := newTestLimiter(t, SignInLimits{})
	l.fail("alice", home, 5)
	if n, _ := l.fail(" ALICE ", home, 100); n != 5 {
		t.Errorf("room for %d, want the 5 that are left", n)
	}
	l.fail("Ren\u00e9", home, 5)
	if n, _ := l.fail("Rene\u0301", home, 100); n != 5 {
		t.Errorf("room for %d, want the 5 that are left", n)
	}
}

func TestAddressesOfOneNetworkShareABucket(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true},
		{"2001:db8:1:2::1", "2001:db8:1:3::1", false},
		{"192.0.2.1", "192.0.2.2", false},
	} {
		if got := network(netip.MustParseAddr(c.a)) == network(netip.MustParseAddr(c.b)); got != c.same {
			t.Errorf("%s and %s: same %t", c.a, c.b, got)
		}
	}
	l, _ := newTestLimiter(t, SignInLimits{})
	if n, _ := l.fail("alice", netip.Addr{}, 100); n != 10 {
		t.Errorf("no address: room for %d, want 10", n)
	}
}

func TestLimiterMemoryIsBounded(t *testing.T) {
	const entries = 50
	l, clock := newTestLimiter(t, SignInLimits{Entries: entries})
	l.fail("alice", attacker, 10)
	for n := range 10 * entries {
		a, _ := l.take(fmt.Sprint("user", n), botnet(n))
		l.succeeded(a)
		l.take(fmt.Sprint("user", n), botnet(n))
	}
	if n := len(l.byAddress.fullAt.byKey); n > entries {
		t.Errorf("%d addresses are kept", n)
	}
	if n := len(l.byBoth.fullAt.byKey); n > entries {
		t.Errorf("%d users at addresses are kept", n)
	}
	if n := len(l.familiar.byKey); n > entries {
		t.Errorf("%d familiar addresses are kept", n)
	}
	if _, wait := l.take("alice", attacker); wait == 0 {
		t.Error("a flood of others made the limiter forget an attack")
	}
	clock.advance(2 * familiarFor)
	a, _ := l.take("bob", home)
	l.giveBack(a)
	if n := len(l.byUser.fullAt.byKey) + len(l.byBoth.fullAt.byKey) + len(l.byAddress.fullAt.byKey); n != 0 {
		t.Errorf("%d buckets are kept though all are full", n)
	}
}
