package resource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-auth/tandem/accesstoken"
)

const (
	coolDown     = time.Second // between the beginnings of two fetches
	fetchTimeout = 10 * time.Second
	maxKeySet    = 256 << 10 // bytes
	usualAge     = 5 * time.Minute
	leastAge     = time.Minute
	mostAge      = 24 * time.Hour
	longestRetry = time.Minute // after failures
	mostWaiters  = 1000        // for a fetch
)

var (
	errNoKeys = errors.New("the issuer's keys cannot be fetched")
	errClosed = errors.New("the guard is closed")
	errCrowd  = errors.New("too many requests wait for the issuer's keys")
)

// remoteKeys are the keys of an issuer, fetched from its address: ahead of their age, and
// when a token names one that is not there. While the issuer is away, the keys from before
// count on.
//
// One goroutine fetches, never more often than once a cool-down, whatever the tokens name
// and whatever the issuer answers. A key that is published and used at once is accepted
// after a cool-down at the most, since requests wait for the next fetch.
type remoteKeys struct {
	config Config
	set    atomic.Pointer[accesstoken.KeySet]
	// hasKeys is false until a fetch has succeeded.
	hasKeys atomic.Bool
	wake    chan struct{} // somebody waits for a fetch
	stop    context.CancelFunc
	done    chan struct{}

	mu      sync.Mutex
	current *fetch // the latest one that has begun
	next    *fetch
	waiters int
}

// A fetch is shared by all who asked for it before it began.
type fetch struct {
	done chan struct{}
	err  error // once done is closed
}

func newRemoteKeys(config Config) *remoteKeys {
	ctx, stop := context.WithCancel(context.Background())
	k := &remoteKeys{config: config, wake: make(chan struct{}, 1), stop: stop, done: make(chan struct{}), next: newFetch()}
	empty, err := accesstoken.NewKeySet()
	if err != nil {
		panic(err) // no key is wrong with none
	}
	k.set.Store(empty)
	go k.run(ctx)
	return k
}

func newFetch() *fetch { return &fetch{done: make(chan struct{})} }

func (f *fetch) isDone() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// Close stops fetching, and waits until that has ended.
func (k *remoteKeys) Close() error {
	k.stop()
	<-k.done
	return nil
}

// KeySet implements [accesstoken.KeySource].
func (k *remoteKeys) KeySet() *accesstoken.KeySet { return k.set.Load() }

// Reload implements [accesstoken.KeySource]: it waits for a fetch that begins from now on
// or, as long as there are no keys at all, for the one that is under way.
func (k *remoteKeys) Reload(ctx context.Context) error {
	k.mu.Lock()
	f := k.next
	if k.current != nil && !k.hasKeys.Load() && !k.current.isDone() {
		f = k.current
	}
	isCrowd := k.waiters >= mostWaiters
	if !isCrowd {
		k.waiters++
	}
	k.mu.Unlock()
	if isCrowd {
		return fmt.Errorf("%w: %w", errNoKeys, errCrowd)
	}
	defer func() {
		k.mu.Lock()
		k.waiters--
		k.mu.Unlock()
	}()
	select {
	case k.wake <- struct{}{}:
	default: // somebody has woken it
	}
	select {
	case <-f.done:
		if f.err != nil {
			return fmt.Errorf("%w: %w", errNoKeys, f.err)
		}
		return nil
	case <-k.done:
		return fmt.Errorf("%w: %w", errNoKeys, errClosed)
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errNoKeys, ctx.Err())
	}
}

// run fetches until the guard is closed: at once, when the keys are about to be too old,
// and when somebody waits.
func (k *remoteKeys) run(ctx context.Context) {
	defer close(k.done)
	failures := 0
	for {
		cool := time.NewTimer(coolDown)
		age, err := k.fetchOnce(ctx)
		if err == nil {
			failures = 0
		} else {
			failures++
			age = min(time.Second<<min(failures, 10), longestRetry)
			if ctx.Err() == nil {
				k.config.Logger.LogAttrs(ctx, slog.LevelWarn, "the issuer's keys cannot be fetched; the guard goes on with those that it has",
					slog.String("url", k.config.KeySetURL), slog.Any("error", err))
			}
		}
		due := time.NewTimer(age - rand.N(age/10)) // not all guards at the same moment
		select {
		case <-due.C:
		case <-k.wake:
		case <-ctx.Done():
		}
		due.Stop()
		select {
		case <-cool.C:
		case <-ctx.Done():
			cool.Stop()
			return
		}
	}
}

// fetchOnce fetches the keys for all who wait, and returns for how long they count.
func (k *remoteKeys) fetchOnce(ctx context.Context) (age time.Duration, err error) {
	k.mu.Lock()
	f := k.next
	k.current, k.next = f, newFetch()
	k.mu.Unlock()
	select {
	case <-k.wake: // all who are waiting now wait for this one
	default:
	}
	defer func() {
		f.err = err
		close(f.done)
	}()
	set, age, err := k.fetch(ctx)
	if err != nil {
		return 0, err
	}
	// The same keys are the same set: what was verified with it stays so.
	if old := k.set.Load(); old.JSON() != set.JSON() {
		k.set.Store(set)
		k.hasKeys.Store(true)
		k.config.Logger.LogAttrs(ctx, slog.LevelInfo, "the issuer's keys have changed", slog.Int("keys", strings.Count(set.JSON(), `"kid"`)))
	}
	return age, nil
}

func (k *remoteKeys) fetch(ctx context.Context) (*accesstoken.KeySet, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.config.KeySetURL, nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json")
	resp, err := k.config.Client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("the answer is %s", resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySet+1))
	if err != nil {
		return nil, 0, err
	}
	if len(text) > maxKeySet {
		return nil, 0, fmt.Errorf("the answer has more than %d bytes", maxKeySet)
	}
	set, err := accesstoken.ParseKeySet(text)
	if err != nil {
		return nil, 0, err
	}
	return set, ageOf(resp.Header), nil
}

// ageOf returns for how long an answer may be used, by its Cache-Control and its Age
// (RFC 9111 section 4.2), within bounds.
func ageOf(header http.Header) time.Duration {
	age := usualAge
	for _, field := range header.Values("Cache-Control") {
		for directive := range strings.SplitSeq(field, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
			if !strings.EqualFold(name, "max-age") {
				continue
			}
			if seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				age = time.Duration(seconds) * time.Second
			}
		}
	}
	if seconds, err := strconv.ParseUint(header.Get("Age"), 10, 31); err == nil {
		age -= time.Duration(seconds) * time.Second
	}
	return min(max(age, leastAge), mostAge)
}
