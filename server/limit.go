package server

import (
	"crypto/sha256"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/tandem-auth/tandem/rotation"
)

// familiarFor is how long after a user's sign-in an address counts as familiar for that
// user.
const familiarFor = 30 * 24 * time.Hour

// widest is how many times as often a /48 network may fail as a /64.
const widest = 4

// A signInLimiter bounds how often sign-ins may fail and how often they may
// succeed. It does not count an attempt under way as either, but holds the next
// attempt while those under way would use up a limit if they all failed. Its
// methods are not safe for concurrent use; a signInGate guards it.
type signInLimiter struct {
	now    func() time.Time
	limits SignInLimits

	failures, successes buckets
	// familiar holds pairs of a user and a network from which that user has signed
	// in, and until when they count.
	familiar deadlines[limitKey]
	// unlocked has when an operator last lifted the limits on a user, by the folded name. It
	// has only users of the directory.
	unlocked map[string]time.Time
	// underWay counts, for each bucket, the attempts that have begun and not ended.
	underWay map[limitKey]int
}

// A limitKey is a hash, of fixed size, of what a limit applies to, such as a user and a
// network.
type limitKey [16]byte

// A bound is a limit on an attempt, and the key of the bucket that counts for it.
type bound struct {
	key   limitKey
	limit Limit
}

// An attempt is a sign-in that wants to begin, or is under way.
type attempt struct {
	failures []bound
	success  bound
	// familiar is the key of the user and this address.
	familiar limitKey
	// user and network decide the attempt's place in the queue.
	user, network limitKey
}

func newSignInLimiter(limits SignInLimits, now func() time.Time) *signInLimiter {
	return &signInLimiter{
		now:       now,
		limits:    limits,
		failures:  newBuckets(3 * limits.Entries), // addresses, users and both
		successes: newBuckets(limits.Entries),
		familiar:  newDeadlines[limitKey](limits.Entries),
		unlocked:  map[string]time.Time{},
		underWay:  map[limitKey]int{},
	}
}

// A signInOrigin says which name, address and device a sign-in comes from.
type signInOrigin struct {
	username string
	addr     netip.Addr
	// device is an earlier session of the user on this device, which the client has
	// proved with a refresh token. It is zero if the client has not.
	device rotation.SessionID
}

// attempt returns the bounds of a sign-in. A device that has signed in before has a
// bucket of its own, so that the failures of others do not limit it.
func (l *signInLimiter) attempt(from signInOrigin) attempt {
	user, addr := foldName(from.username), from.addr
	failing := user // names the user in buckets of failures
	if at, unlocked := l.unlocked[user]; unlocked {
		failing += "\x00" + at.UTC().Format(time.RFC3339Nano) // buckets of their own, which are full
	}
	nets := networks(addr)
	home, whole := nets[0].String(), nets[len(nets)-1].String()
	a := attempt{
		user:     keyOf("user", user),
		network:  keyOf("network", whole),
		familiar: keyOf("familiar", user, home),
		success:  bound{keyOf("success", user, whole), l.limits.Successes},
	}
	if from.device != (rotation.SessionID{}) {
		a.failures = []bound{{keyOf("device", from.device.String(), failing), l.limits.PerUserAndAddress}}
		return a
	}
	for i, net := range nets {
		factor := 1 << i
		a.failures = append(a.failures,
			bound{keyOf("network", net.String()), l.limits.PerAddress.times(factor)},
			bound{keyOf("user at network", failing, net.String()), l.limits.PerUserAndAddress.times(factor)})
	}
	if !l.familiar.has(a.familiar, l.now()) {
		a.failures = append(a.failures, bound{keyOf("user", failing), l.limits.PerUser})
	}
	return a
}

// unlockedFor is for how long an operator's command to lift the limits on a user takes
// effect on a server that has not heard of it yet.
const unlockedFor = time.Hour

// unlock lifts the limits on a user that failures before a time have caused. It reports
// whether it did: not if that time was heard of before, or is long ago.
func (l *signInLimiter) unlock(username string, at time.Time) bool {
	user := foldName(username)
	if !at.After(l.unlocked[user]) || l.now().Sub(at) > unlockedFor {
		return false
	}
	l.unlocked[user] = at
	return true
}

// A verdict says whether a sign-in may begin.
type verdict int

const (
	begin   verdict = iota
	hold            // wait until an attempt under way has ended
	limited         // refuse; the client may try again after a time
)

// judge says whether an attempt may begin and, if it is limited, for how long.
func (l *signInLimiter) judge(a attempt) (verdict, time.Duration) {
	now := l.now()
	var wait time.Duration
	full := false
	check := func(in *buckets, b bound) {
		free, until := in.free(b, now)
		wait = max(wait, until)
		full = full || l.underWay[b.key] >= free
	}
	for _, b := range a.failures {
		check(&l.failures, b)
	}
	check(&l.successes, a.success)
	switch {
	case wait > 0:
		return limited, wait
	case full:
		return hold, 0
	}
	return begin, 0
}

// start counts an attempt as under way.
func (l *signInLimiter) start(a attempt) {
	for _, b := range a.failures {
		l.underWay[b.key]++
	}
	l.underWay[a.success.key]++
}

// An outcome is the result of an attempt that was under way.
type outcome int

const (
	undecided outcome = iota // not counted
	failed
	succeeded
)

// finish ends an attempt that was under way, and counts its outcome.
func (l *signInLimiter) finish(a attempt, how outcome) {
	now := l.now()
	for _, b := range a.failures {
		l.ended(b.key)
		if how == failed {
			l.failures.take(b, now)
		}
	}
	l.ended(a.success.key)
	if how == succeeded {
		l.successes.take(a.success, now)
		l.familiar.set(a.familiar, now.Add(familiarFor), now)
	}
}

func (l *signInLimiter) ended(key limitKey) {
	if l.underWay[key]--; l.underWay[key] <= 0 {
		delete(l.underWay, key)
	}
}

func keyOf(parts ...string) limitKey {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return limitKey(sum[:16])
}

// foldName maps names that differ only in case or in the composition of characters to one
// name. Some directories treat them as one user; otherwise each spelling of a name would
// have a bucket of its own.
func foldName(username string) string {
	return strings.ToLower(norm.NFKC.String(strings.TrimSpace(username)))
}

// networks returns the networks around an address that a provider may give to one
// customer, the smallest first: the address itself for IPv4, a /64, a /56 and a /48 for
// IPv6. All clients without an address share the zero prefix.
func networks(addr netip.Addr) []netip.Prefix {
	sizes := []int{32}
	if addr.Is6() {
		sizes = []int{64, 56, 48}
	}
	var nets []netip.Prefix
	for _, bits := range sizes {
		prefix, err := addr.Prefix(bits)
		if err != nil {
			prefix = netip.Prefix{}
		}
		nets = append(nets, prefix)
	}
	return nets
}

// times returns a limit with n times the burst, which refills n times as fast.
func (l Limit) times(n int) Limit {
	return Limit{Burst: l.Burst * n, Every: max(1, l.Every/time.Duration(n))}
}

// buckets are token buckets. Each is stored as the time at which it will be full again,
// so that a full bucket takes no memory.
type buckets struct {
	fullAt deadlines[limitKey]
}

func newBuckets(entries int) buckets {
	return buckets{fullAt: newDeadlines[limitKey](entries)}
}

// free returns how many tokens a bucket has and, if it is empty, how long it takes until
// it has one.
func (b *buckets) free(of bound, now time.Time) (int, time.Duration) {
	fullAt, lacking := b.fullAt.get(of.key, now)
	if !lacking {
		return of.limit.Burst, 0
	}
	missing := int((fullAt.Sub(now) + of.limit.Every - 1) / of.limit.Every)
	if missing < of.limit.Burst {
		return of.limit.Burst - missing, 0
	}
	return 0, fullAt.Sub(now) - time.Duration(of.limit.Burst-1)*of.limit.Every
}

func (b *buckets) take(of bound, now time.Time) {
	fullAt, lacking := b.fullAt.get(of.key, now)
	if !lacking {
		fullAt = now
	}
	b.fullAt.set(of.key, fullAt.Add(of.limit.Every), now)
}
