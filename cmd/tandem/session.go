package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/profile"
)

// profileFlags name the profile that a command works with.
type profileFlags struct {
	Profile string `short:"p" default:"default" placeholder:"NAME" help:"The profile: a server and the session on it (default ${default})."`
}

// errSignIn says what to do where there is no session.
var errSignIn = errors.New("not signed in: run tandem login URL")

// A signedIn is an open session and its profile.
type signedIn struct {
	*tandem.Session
	profile *profile.Profile
}

// open opens the session of the profile. Close it in the end.
func (f *profileFlags) open(ctx context.Context) (*signedIn, error) {
	root, err := profile.Root()
	if err != nil {
		return nil, err
	}
	p, err := profile.Load(root, f.Profile)
	if errors.Is(err, profile.ErrNone) {
		return nil, f.orOthers(root)
	}
	if err != nil {
		return nil, err
	}
	return openProfile(ctx, p)
}

// orOthers is errSignIn, and names the profiles that there are.
func (f *profileFlags) orOthers(root string) error {
	names, err := profile.List(root)
	switch {
	case err != nil:
		return err
	case len(names) == 0:
		return errSignIn
	}
	return fmt.Errorf("%w (profile %q; there are: %q)", errSignIn, f.Profile, names)
}

func openProfile(ctx context.Context, p *profile.Profile) (*signedIn, error) {
	store, err := p.Store()
	if err != nil {
		return nil, err
	}
	session, err := tandem.Open(ctx, store, tandem.Config{URL: p.URL, Origins: p.Origins, Device: device()})
	if err != nil {
		return nil, err
	}
	return &signedIn{session, p}, nil
}

// with calls do with the session of the profile.
func (f *profileFlags) with(ctx context.Context, do func(*signedIn) error) error {
	s, err := f.open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.Close())
}

// get asks the server with a GET, and reads its JSON answer.
func (s *signedIn) get(ctx context.Context, path string, answer any) error {
	resp, err := s.do(ctx, http.MethodGet, path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(answer); err != nil {
		return fmt.Errorf("%s answered with something else than JSON; is it a Tandem server?", s.profile.URL)
	}
	return nil
}

func (s *signedIn) do(ctx context.Context, method, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.profile.URL+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return nil, errors.Join(statusError{resp.StatusCode}, resp.Body.Close())
	}
	return resp, nil
}

// A statusError is an answer that reports an error.
type statusError struct{ status int }

func (e statusError) Error() string {
	return fmt.Sprintf("the server answered %d %s", e.status, http.StatusText(e.status))
}

// printJSON prints a value as one line of JSON.
func printJSON(w io.Writer, value any) error { return json.NewEncoder(w).Encode(value) }

// left says how long it is until a time, as people do.
func left(until time.Time) string {
	return time.Until(until).Round(time.Second).String()
}
