package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/tandem-auth/tandem"
)

type logoutCommand struct {
	Everywhere bool `env:"-" help:"End all sessions of the user, on every device."`
	Forget     bool `env:"-" help:"Forget the server as well: remove the profile."`

	profileFlags `embed:""`
}

// A logoutAnswer is what --json prints.
type logoutAnswer struct {
	Profile string `json:"profile"`
	URL     string `json:"url"`
	// SignedOut is false if nobody was signed in.
	SignedOut  bool `json:"signedOut"`
	Everywhere bool `json:"everywhere"`
	Forgotten  bool `json:"forgotten"`
}

// Run signs out here, and at the server.
func (cmd *logoutCommand) Run(ctx context.Context, c console) error {
	return cmd.with(ctx, func(s *signedIn) error {
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
