package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
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

// name returns the name of the profile. An empty TANDEM_PROFILE stands for the default.
func (f *profileFlags) name() string { return cmp.Or(f.Profile, profile.Default) }

// errSignIn reports that there is no session, and says how to get one.
var errSignIn = errors.New("not signed in: run tandem login URL")

// A signedIn is an open session and its profile.
type signedIn struct {
	*tandem.Session
	*witness

	profile *profile.Profile
	store   tandem.Store
}

// load returns the profile. If it does not exist, the error is an errSignIn.
func (f *profileFlags) load() (*profile.Profile, error) {
	root, err := profile.Root()
	if err != nil {
		return nil, err
	}
	p, err := profile.Load(root, f.name())
	if errors.Is(err, profile.ErrNone) {
		return nil, f.orOthers(root)
	}
	return p, err
}

// open opens the session of the profile; the caller closes it. The session reports its
// events to the logger; without a logger, its witness prints warnings on the console.
func (f *profileFlags) open(ctx context.Context, c console, logger *slog.Logger) (*signedIn, error) {
	p, err := f.load()
	if err != nil {
		return nil, err
	}
	s, err := openProfile(ctx, c, p, logger)
	switch {
	case isKeyringTrouble(err):
		return nil, fmt.Errorf("%w: tandem login --no-keyring does that", err)
	case profile.Newer(err):
		return nil, fmt.Errorf("%w; or remove it with tandem logout --forget -p %s", err, p.Name)
	case profile.Unusable(err):
		return nil, fmt.Errorf("%w; or replace it with tandem login -p %s", err, p.Name)
	}
	return s, err
}

// isKeyringTrouble reports whether the keyring itself failed: it is missing, locked or does
// not answer.
func isKeyringTrouble(err error) bool {
	return errors.Is(err, keyringstore.ErrUnavailable) || errors.Is(err, keyringstore.ErrLocked) || errors.Is(err, keyringstore.ErrNotAnswering)
}

// orOthers returns an errSignIn that names the existing profiles, or the error of listing
// them.
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

func openProfile(ctx context.Context, c console, p *profile.Profile, logger *slog.Logger) (*signedIn, error) {
	store, err := p.Store()
	if err != nil {
		return nil, err
	}
	return openIn(ctx, c, p, store, logger)
}

// openIn opens the session that a store holds, with the settings of a profile. The store
// need not be the profile's own.
func openIn(ctx context.Context, c console, p *profile.Profile, store tandem.Store, logger *slog.Logger) (_ *signedIn, err error) {
	s := &signedIn{witness: &witness{console: c}, profile: p, store: store}
	config := tandem.Config{URL: p.URL, FormerIssuers: p.MovedFrom, Origins: p.Origins, Device: device(), Logger: logger}
	if logger == nil {
		config.Observe = s.observe
	}
	if s.Session, err = tandem.Open(ctx, store, config); err != nil {
		return nil, err
	}
	return s, nil
}

// othersSession returns a wrapped *tandem.OtherServerError if the profile's store holds a
// session of another server than the profile's. Its text names the commands that help.
func (s *signedIn) othersSession(ctx context.Context) error {
	if s.Status().SignedIn {
		return nil
	}
	err := s.Reload(ctx)
	if other, ok := errors.AsType[*tandem.OtherServerError](err); ok {
		return &wordedError{err: err, text: fmt.Sprintf("the profile %q is for %s, but the session that is kept in it belongs to %s: replace it with tandem login -p %[1]s, or remove it with tandem logout --forget -p %[1]s",
			s.profile.Name, other.Want, other.Have)}
	}
	return nil // the command itself will meet any other problem of the store
}

// mayGo returns an error unless the session may send the access token to the origin of a
// URL: the origin of the profile's server, or one that the user named at login.
func (s *signedIn) mayGo(to *url.URL) error {
	origin := &url.URL{Scheme: to.Scheme, Host: to.Host}
	if s.Allows(origin) {
		return nil
	}
	return fmt.Errorf("the access token may not go to %s: name that origin at tandem login, with --origin", origin)
}

// with opens the session of the profile, calls do, and closes the session.
func (f *profileFlags) with(ctx context.Context, c console, do func(*signedIn) error) error {
	s, err := f.open(ctx, c, nil)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.othersSession(ctx); err != nil {
		return err
	}
	return do(s)
}

// get makes a GET request to the server, and decodes its JSON into answer.
func (s *signedIn) get(ctx context.Context, path string, answer any) error {
	resp, err := s.do(ctx, http.MethodGet, path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(answer); err != nil {
		if isAway(err) {
			return err
		}
		return &wrongServerError{url: s.profile.URL, err: errors.New("it answers with something else than JSON")}
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

// A statusError is the HTTP status of an answer that is no success.
type statusError struct{ status int }

func (e statusError) Error() string {
	return fmt.Sprintf("the server answered %d %s", e.status, http.StatusText(e.status))
}

// A sessionAnswer is a profile and its session as --json prints them.
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
	// Reason is why the session ended.
	Reason string `json:"reason,omitempty"`
	// Problem is why the command could not ask the server, or not read the session.
	Problem string `json:"problem,omitempty"`
}

func newAnswer(p *profile.Profile) sessionAnswer {
	kept := "file"
	if p.Keyring {
		kept = "keyring"
	}
	return sessionAnswer{Profile: p.Name, URL: p.URL, Origins: p.Origins, Kept: kept}
}

// answer returns the session's current state. It makes no request.
func (s *signedIn) answer() sessionAnswer {
	a := newAnswer(s.profile)
	if status := s.Status(); status.SignedIn {
		until := status.ExpiresAt.UTC().Truncate(time.Second)
		a.SignedIn, a.Username, a.SessionID, a.AccessExpiresAt = true, status.Username, status.SessionID, &until
	}
	return a
}

// access returns a sentence about how long an access token is still good.
func access(until time.Time) string {
	left := time.Until(until).Round(time.Second)
	if left <= 0 {
		return "The access token has run out; the next one is fetched when it is needed."
	}
	return fmt.Sprintf("The access token is good for %s, then the next one is fetched.", left)
}
