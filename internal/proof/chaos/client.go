package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/rotation"
)

// ClientEnv is set in the environment of the client processes.
const ClientEnv = "TANDEM_CHAOS_CLIENT"

// signOutEvery is the mean number of calls between two sign-outs.
const signOutEvery = 30

// A runner runs a client process.
type runner struct {
	url     string
	store   *tandem.MemoryStore
	session *tandem.Session
	report  Report
	// gone has the pairs of sessions whose sign-out the server answered.
	gone []tandem.Pair
}

// Client is the program of a client process: it uses the server at the URL of the
// last argument until standard input ends, and prints its report.
func Client() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	r := &runner{url: os.Args[len(os.Args)-1], store: tandem.NewMemoryStore()}
	var err error
	r.session, err = tandem.Open(ctx, r.store, tandem.Config{URL: r.url, Device: "chaos", RefreshTimeout: 2 * time.Second})
	if err != nil {
		return err
	}
	defer r.session.Close()
	for ctx.Err() == nil {
		if err := r.call(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return r.finish()
}

// call uses the session once, in a random way.
func (r *runner) call(ctx context.Context) error {
	r.report.Calls++
	token, err := r.session.Token(ctx)
	switch chance := rand.IntN(signOutEvery); {
	case err != nil:
	case chance == 0:
		err = r.signOut(ctx)
	case chance < signOutEvery/2:
		r.session.Invalidate(token)
	default:
		err = r.ask(ctx)
	}
	var temporary *tandem.TemporaryError
	var ended *tandem.EndedError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &ended):
		if ended.Reason != rotation.SignedOut {
			r.report.FalseLogouts++
			fmt.Fprintln(os.Stderr, "false logout:", err)
		}
		return r.signIn(ctx)
	case errors.Is(err, tandem.ErrNotSignedIn):
		return r.signIn(ctx)
	case errors.As(err, &temporary):
		r.report.Temporary++
		return wait(ctx, min(time.Until(temporary.RetryAt), 200*time.Millisecond))
	}
	return nil // the network drops calls on purpose
}

func (r *runner) signIn(ctx context.Context) error {
	err := r.session.SignIn(ctx, username, password)
	var temporary *tandem.TemporaryError
	switch {
	case err == nil:
		r.report.SignIns++
		return nil
	case errors.As(err, &temporary):
		return wait(ctx, 50*time.Millisecond)
	}
	return err
}

// signOut signs out, and remembers the pair if the server answered.
func (r *runner) signOut(ctx context.Context) error {
	pair, err := r.store.Load(ctx)
	if err != nil || pair.IsZero() {
		return err
	}
	for {
		err := r.session.SignOut(ctx)
		if _, temporary := errors.AsType[*tandem.TemporaryError](err); !temporary {
			if err == nil {
				r.report.SignOuts++
				r.gone = append(r.gone, pair)
			}
			return err
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

func (r *runner) ask(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/auth/me", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := r.session.Client().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// finish checks that the signed-out sessions stay signed out, and prints the report.
func (r *runner) finish() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r.report.Refreshes = r.session.Stats().Refreshes
	for _, pair := range r.gone {
		ended, err := r.hasEnded(ctx, pair)
		if err != nil {
			return err
		}
		if !ended {
			r.report.CameBack++
		}
	}
	return json.NewEncoder(os.Stdout).Encode(r.report)
}

// hasEnded refreshes with a pair, and reports whether the server says that its session has
// ended.
func (r *runner) hasEnded(ctx context.Context, pair tandem.Pair) (bool, error) {
	store := tandem.NewMemoryStore()
	if _, err := store.CompareAndSwap(ctx, tandem.Pair{}, pair); err != nil {
		return false, err
	}
	session, err := tandem.Open(ctx, store, tandem.Config{URL: r.url})
	if err != nil {
		return false, err
	}
	defer session.Close()
	session.Invalidate(pair.AccessToken)
	_, err = session.Token(ctx)
	var ended *tandem.EndedError
	switch {
	case errors.As(err, &ended):
		return ended.Reason == rotation.SignedOut, nil
	case err != nil:
		return false, err
	}
	return false, nil
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(max(d, time.Millisecond))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
