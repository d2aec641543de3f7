package server

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/rotation"
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

// take makes a sign-in with an outcome, unless it is limited.
func (l *signInLimiter) take(username string, addr netip.Addr, how outcome) (wait time.Duration) {
	a := l.attempt(signInOrigin{username: username, addr: addr})
	v, wait := l.judge(a)
	if v == begin {
		l.start(a)
		l.finish(a, how)
	}
	return wait
}

// fail makes failed sign-ins until one is refused, and returns how many there
// were and how long the wait is.
func (l *signInLimiter) fail(username string, addr netip.Addr, atMost int) (int, time.Duration) {
	for n := range atMost {
		if wait := l.take(username, addr, failed); wait > 0 {
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
		wait := l.take(fmt.Sprint("user", n), attacker, failed)
		if limited := wait > 0; limited != (n == 100) {
			t.Fatalf("failure %d: limited %t", n, limited)
		}
	}
	if wait := l.take("alice", home, undecided); wait > 0 {
		t.Error("another address is limited too")
	}
}

func TestOneUserFromManyAddresses(t *testing.T) {
	l, _ := newTestLimiter(t, SignInLimits{})
	for n := range 101 {
		wait := l.take("alice", botnet(n), failed)
		if limited := wait > 0; limited != (n == 100) {
			t.Fatalf("failure %d: limited %t", n, limited)
		}
	}
	if wait := l.take("bob", botnet(0), undecided); wait > 0 {
		t.Error("another user is limited too")
	}
}

// Successful sign-ins have a bucket of their own, and take nothing from that of failures.
func TestSuccessesCountApart(t *testing.T) {
	l, clock := newTestLimiter(t, SignInLimits{})
	for n := range 300 {
		if wait := l.take("alice", home, succeeded); wait > 0 {
			t.Fatalf("sign-in %d is limited", n)
		}
	}
	if wait := l.take("alice", home, succeeded); wait != time.Second {
		t.Errorf("after 300 sign-ins the wait is %v, want 1s", wait)
	}
	if wait := l.take("alice", attacker, succeeded); wait > 0 {
		t.Error("alice is limited at another address too")
	}
	clock.advance(time.Second)
	if n, _ := l.fail("alice", home, 100); n != 10 {
		t.Errorf("room for %d failures after that, want 10", n)
	}
}

// Ten passwords may be wrong. Therefore no more than ten are checked at once, even if none
// has failed yet.
func TestGuessesAtTheSameTimeCannotExceedTheBurst(t *testing.T) {
	l, _ := newTestLimiter(t, SignInLimits{})
	a := l.attempt(signInOrigin{username: "alice", addr: home})
	for n := range 10 {
		if v, _ := l.judge(a); v != begin {
			t.Fatalf("sign-in %d must wait", n)
		}
		l.start(a)
	}
	if v, wait := l.judge(a); v != hold || wait != 0 {
		t.Errorf("the eleventh at once: %v, %v; want it held back", v, wait)
	}
	l.finish(a, succeeded)
	if v, _ := l.judge(a); v != begin {
		t.Error("one has succeeded, and there is no room for another")
	}
	for range 9 {
		l.finish(a, failed)
	}
	if n, _ := l.fail("alice", home, 100); n != 1 {
		t.Errorf("after nine failures there is room for %d, want 1", n)
	}
	if len(l.underWay) != 0 {
		t.Errorf("%d are under way though all have ended", len(l.underWay))
	}
}

func TestOneAttackerCannotLockAUserOut(t *testing.T) {
	l, clock := newTestLimiter(t, SignInLimits{})
	for range 3600 {
		l.fail("alice", attacker, 100)
		clock.advance(time.Second)
	}
	if wait := l.take("alice", home, undecided); wait > 0 {
		t.Errorf("alice must wait %v at home while one address attacks", wait)
	}
}

func TestABotnetCannotLockAUserOutOfTheirOwnAddress(t *testing.T) {
	l, clock := newTestLimiter(t, SignInLimits{})
	l.take("alice", home, succeeded)
	for n := range 200 {
		l.take("alice", botnet(n), failed)
	}
	if wait := l.take("alice", netip.MustParseAddr("192.0.2.200"), undecided); wait == 0 {
		t.Fatal("the attack does not even limit a strange address")
	}
	if wait := l.take("alice", home, undecided); wait > 0 {
		t.Errorf("alice must wait %v at an address that she signed in from", wait)
	}
	clock.advance(familiarFor)
	for n := range 200 {
		l.take("alice", botnet(n), failed)
	}
	if wait := l.take("alice", home, undecided); wait == 0 {
		t.Error("an address stays familiar for ever")
	}
}

// One customer of a provider, with a /64, a /60, a /56 or a /48 of IPv6 addresses, cannot
// lock a user out, however long the attack lasts.
func TestOneIPv6NetworkCannotLockAUserOut(t *testing.T) {
	for _, bits := range []int{64, 60, 56, 48} {
		t.Run(fmt.Sprint("/", bits), func(t *testing.T) {
			l, clock := newTestLimiter(t, SignInLimits{})
			failures := 0
			for range 120 {
				for n := range min(1<<(64-bits), 64) { // more addresses would only take longer
					addr := [16]byte{0x20, 0x01, 0x0d, 0xb8}
					addr[6], addr[7] = byte(n<<2), byte(n)
					if bits > 48 {
						addr[6] = 0
					}
					f, _ := l.fail("alice", netip.AddrFrom16(addr), 100)
					failures += f
				}
				if wait := l.take("alice", home, undecided); wait > 0 {
					t.Fatalf("alice must wait %v at home, after %d failures", wait, failures)
				}
				clock.advance(time.Second)
			}
		})
	}
}

// A device that proves with a token that its user has signed in on it before has a bucket
// of its own, independent of its address and of other clients.
func TestABotnetCannotLockAKnownDeviceOut(t *testing.T) {
	l, _ := newTestLimiter(t, SignInLimits{})
	for n := range 200 {
		l.take("alice", botnet(n), failed)
	}
	for range 100 {
		l.fail("somebody", home, 100)
	}
	judge := func(device byte) verdict {
		a := l.attempt(signInOrigin{username: "alice", addr: home, device: rotation.SessionID{device}})
		v, _ := l.judge(a)
		if v == begin {
			l.start(a)
			l.finish(a, failed)
		}
		return v
	}
	if judge(0) != limited {
		t.Fatal("the attack does not even limit a strange device")
	}
	for n := range 10 {
		if judge(1) != begin {
			t.Fatalf("sign-in %d of a device that has signed in before is limited", n)
		}
	}
	if judge(1) != limited {
		t.Error("a device may fail as often as it likes")
	}
	if judge(2) != begin {
		t.Error("another device of the user is limited with it")
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
		same int
	}{
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff::9", 3},
		{"2001:db8:1:2::1", "2001:db8:1:3::1", 2},
		{"2001:db8:1:2::1", "2001:db8:1:102::1", 1},
		{"2001:db8:1:2::1", "2001:db8:2:2::1", 0},
		{"192.0.2.1", "192.0.2.1", 1},
		{"192.0.2.1", "192.0.2.2", 0},
	} {
		same := 0
		for i, net := range networks(netip.MustParseAddr(c.a)) {
			if net == networks(netip.MustParseAddr(c.b))[i] {
				same++
			}
		}
		if same != c.same {
			t.Errorf("%s and %s: %d networks in common, want %d", c.a, c.b, same, c.same)
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
		l.take(fmt.Sprint("user", n), botnet(n), succeeded)
		l.take(fmt.Sprint("user", n), botnet(n), failed)
	}
	if n := len(l.failures.fullAt.byKey); n > 3*entries {
		t.Errorf("%d failures are kept", n)
	}
	if n := len(l.successes.fullAt.byKey); n > entries {
		t.Errorf("%d successes are kept", n)
	}
	if n := len(l.familiar.byKey); n > entries {
		t.Errorf("%d familiar addresses are kept", n)
	}
	if wait := l.take("alice", attacker, undecided); wait == 0 {
		t.Error("a flood of others made the limiter forget an attack")
	}
	clock.advance(2 * familiarFor)
	l.take("bob", home, failed)
	l.take("bob", home, succeeded)
	clock.advance(time.Hour)
	l.take("bob", home, failed)
	if n := len(l.failures.fullAt.byKey); n != 2 {
		t.Errorf("%d buckets are kept, want bob's two: all others are full", n)
	}
}

// An operator lifts the limits on a user: on the user alone, once, and not long after.
func TestAnUnlockedUser(t *testing.T) {
	l, clock := newTestLimiter(t, SignInLimits{})
	lockOut := func(names ...string) {
		t.Helper()
		for _, name := range names {
			if _, wait := l.fail(name, home, 20); wait == 0 {
				t.Fatalf("%s is not limited", name)
			}
		}
	}
	lockOut("alice", "bob")
	at := clock.now()
	if !l.unlock("Alice ", at) {
		t.Error("the unlock has no effect")
	}
	if wait := l.take("bob", home, failed); wait == 0 {
		t.Error("another user was unlocked")
	}
	if n, wait := l.fail("alice", home, 20); n != 10 || wait == 0 {
		t.Errorf("%d failures until a wait of %v, want the whole burst of 10 and the limit again", n, wait)
	}
	if l.unlock("alice", at) {
		t.Error("the same unlock has an effect twice")
	}
	clock.advance(2 * unlockedFor)
	if l.unlock("alice", at.Add(time.Second)) {
		t.Error("an unlock of long ago has an effect: a server that starts would heed it again")
	}
}

// What an operator unlocks during an attack stays unlocked where the user is at home: the
// attack can exhaust the new buckets too.
func TestAnUnlockKeepsTheAddressesOfTheUser(t *testing.T) {
	l, clock := newTestLimiter(t, SignInLimits{})
	l.take("alice", home, succeeded)
	l.unlock("alice", clock.now())
	for n := range 200 {
		l.take("alice", botnet(n), failed)
	}
	if wait := l.take("alice", botnet(201), undecided); wait == 0 {
		t.Fatal("the attack does not even limit a strange address")
	}
	if wait := l.take("alice", home, undecided); wait > 0 {
		t.Errorf("after an unlock, alice must wait %v at an address that she signed in from", wait)
	}
}
