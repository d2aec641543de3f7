package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/profile"
	"github.com/tandem-auth/tandem/tokenstore/keyringstore"
)

// profileFlags name the profile that a command works with.
type profileFlags struct {
	Profile string `short:"p" default:"default" placeholder:"NAME" completion:"profile" help:"The profile, which is a server and the session on it; without the flag, the one called ${default}."`
}

// name is the profile's; an empty variable of the environment names none.
func (f *profileFlags) name() string { return cmp.Or(f.Profile, profile.Default) }

// errSignIn says what to do where there is no session.
var errSignIn = errors.New("not signed in: run tandem login URL")

// A signedIn is an open session and its profile.
type signedIn struct {
	*tandem.Session

	profile *profile.Profile
	store   tandem.Store
}

// open opens the session of the profile. Close it in the end.
func (f *profileFlags) open(ctx context.Context) (*signedIn, error) {
	root, err := profile.Root()
	if err != nil {
		return nil, err
	}
	p, err := profile.Load(root, f.name())
	if errors.Is(err, profile.ErrNone) {
		return nil, f.orOthers(root)
	}
	if err != nil {
		return nil, err
	}
	s, err := openProfile(ctx, p)
	if errors.Is(err, keyringstore.ErrUnavailable) {
		err = fmt.Errorf("%w: tandem login --no-keyring does that", err)
	}
	return s, err
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
	return fmt.Errorf("%w -p %s (there are the profiles %s)", errSignIn, f.name(), strings.Join(names, ", "))
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
	return &signedIn{session, p, store}, nil
}

// mayGo reports whether the access token may go to a URL: to the profile's server, or
// to an origin that was named at login.
func (s *signedIn) mayGo(to *url.URL) error {
	for _, allowed := range append([]string{s.profile.URL}, s.profile.Origins...) {
		if u, err := url.Parse(allowed); err == nil && strings.EqualFold(u.Scheme, to.Scheme) && strings.EqualFold(u.Host, to.Host) {
			return nil
		}
	}
	return fmt.Errorf("the access token may not go to %s://%s: name that origin at tandem login, with --origin", to.Scheme, to.Host)
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

// A sessionAnswer is what --json prints of a profile and the session on it.
type sessionAnswer struct {
	Profile string   `json:"profile"`
	URL     string   `json:"url"`
	Origins []string `json:"origins,omitempty"`
	// Kept is where the session is kept: "file" or "keyring".
	Kept            string     `json:"kept"`
	SignedIn        bool       `json:"signedIn"`
	Username        string     `json:"username,omitempty"`
	SessionID       string     `json:"sessionId,omitempty"`
	AccessExpiresAt *time.Time `json:"accessExpiresAt,omitempty"`
	// Reason is why the session has ended.
	Reason string `json:"reason,omitempty"`
	// Problem is why the server could not be asked, or the session not be read.
	Problem string `json:"problem,omitempty"`
}

func newAnswer(p *profile.Profile) sessionAnswer {
	kept := "file"
	if p.Keyring {
		kept = "keyring"
	}
	return sessionAnswer{Profile: p.Name, URL: p.URL, Origins: p.Origins, Kept: kept}
}

// answer is the session as it is now.
func (s *signedIn) answer() sessionAnswer {
	a := newAnswer(s.profile)
	if status := s.Status(); status.SignedIn {
		until := status.ExpiresAt.UTC().Truncate(time.Second)
		a.SignedIn, a.Username, a.SessionID, a.AccessExpiresAt = true, status.Username, status.SessionID, &until
	}
	return a
}

// access says how long an access token is good for, as people do.
func access(until time.Time) string {
	left := time.Until(until).Round(time.Second)
	if left <= 0 {
		return "The access token has run out; the next one is fetched when it is needed."
	}
	return fmt.Sprintf("The access token is good for %s, then the next one is fetched.", left)
}
