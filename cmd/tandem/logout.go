package main

import (
	"context"
	"fmt"
	"net/http"
)

type logoutCommand struct {
	Everywhere bool `env:"-" help:"End all sessions of the user, on every device."`
	Forget     bool `env:"-" help:"Forget the server as well: remove the profile."`

	profileFlags `embed:""`
}

// Run signs out here, and at the server.
func (cmd *logoutCommand) Run(ctx context.Context, c console) error {
	return cmd.with(ctx, func(s *signedIn) error {
		was := s.Status().SignedIn
		if !was && !cmd.Forget {
			fmt.Fprintln(c.out, "Nobody is signed in.")
			return nil
		}
		if was && cmd.Everywhere {
			resp, err := s.do(ctx, http.MethodDelete, "/auth/sessions")
			if err != nil {
				return fmt.Errorf("nothing was signed out: %w", err)
			}
			_ = resp.Body.Close()
		}
		if err := s.SignOut(ctx); err != nil {
			return err
		}
		if cmd.Forget {
			if err := s.profile.Remove(); err != nil {
				return err
			}
		}
		if was {
			fmt.Fprintf(c.out, "Signed out of %s%s.\n", s.profile.URL, map[bool]string{true: ", on every device"}[cmd.Everywhere])
		}
		return nil
	})
}
