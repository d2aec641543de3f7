package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/profile"
)

type logoutCommand struct {
	Everywhere bool `env:"-" help:"End all sessions of the user, on every device."`
	Forget     bool `env:"-" help:"Remove the profile, whatever is wrong with it. The server is not told, unless with --everywhere."`

	profileFlags `embed:""`
}

// A logoutAnswer is the result that --json prints.
type logoutAnswer struct {
	Profile string `json:"profile"`
	URL     string `json:"url"`
	// SignedOut is false if nobody was signed in, or if --forget left the server untold.
	SignedOut  bool `json:"signedOut"`
	Everywhere bool `json:"everywhere"`
	Forgotten  bool `json:"forgotten"`
}

// Run signs out here and at the server, or with --forget alone removes the profile and
// tells the server nothing.
func (cmd *logoutCommand) Run(ctx context.Context, c console) error {
	if cmd.Forget && !cmd.Everywhere {
		return cmd.forget(c)
	}
	return cmd.with(ctx, c, func(s *signedIn) error {
		answer := logoutAnswer{Profile: s.profile.Name, URL: s.profile.URL, SignedOut: s.Status().SignedIn, Forgotten: cmd.Forget}
		if answer.SignedOut && cmd.Everywhere {
			resp, err := s.do(ctx, http.MethodDelete, "/auth/sessions")
			if err != nil {
				return fmt.Errorf("nothing was signed out: %w", err)
			}
			_ = resp.Body.Close()
			answer.Everywhere = true
		}
		err := s.SignOut(ctx)
		if temporary, ok := errors.AsType[*tandem.TemporaryError](err); ok {
			err = &wordedError{err: err, text: fmt.Sprintf("signed out here, but the server could not be told, so the session lives on there until it expires: sign in again later, and run tandem logout --everywhere (%v)", temporary.Err)}
		} else if kept, loadErr := s.store.Load(ctx); err != nil && (loadErr != nil || !kept.IsZero()) {
			err = fmt.Errorf("signed out at the server, but the session could not be removed here; tandem logout --forget -p %s does that: %w", s.profile.Name, err)
		}
		if cmd.Forget {
			err = errors.Join(err, s.profile.Remove())
		}
		if err != nil {
			return err
		}
		text := "Nobody is signed in."
		switch {
		case answer.Everywhere:
			text = "Signed out of " + answer.URL + ", on every device."
		case answer.SignedOut:
			text = "Signed out of " + answer.URL + "."
		case answer.Forgotten:
			text = "Forgot " + answer.URL + "."
		}
		return c.print(answer, "%s\n", text)
	})
}

// forget removes the profile and its session, even if they cannot be read.
func (cmd *logoutCommand) forget(c console) error {
	answer := logoutAnswer{Profile: cmd.name(), Forgotten: true}
	root, err := profile.Root()
	if err != nil {
		return err
	}
	p, err := profile.Load(root, cmd.name())
	if err == nil {
		answer.URL = p.URL
		err = p.Remove()
	} else if !errors.Is(err, profile.ErrNone) {
		c.warn("profile_damaged", "the settings of the profile %q cannot be read; if its session was in the keyring, the entry stays there", cmd.name())
		err = profile.Remove(root, cmd.name())
	}
	switch {
	case errors.Is(err, profile.ErrNone):
		return cmd.orOthers(root)
	case err != nil:
		return err
	}
	return c.print(answer, "Removed the profile %q and its session from this machine. The server was not told:\nif the session was live, it goes on there until it expires.\n", answer.Profile)
}
