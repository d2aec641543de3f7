package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-auth/tandem"
)

type statusCommand struct {
	JSON    bool `name:"json" env:"-" help:"Print JSON."`
	Offline bool `env:"-" help:"Do not ask the server whether the session lives."`

	profileFlags `embed:""`
}

// A statusAnswer is what --json prints.
type statusAnswer struct {
	Profile         string     `json:"profile"`
	URL             string     `json:"url"`
	SignedIn        bool       `json:"signedIn"`
	Username        string     `json:"username,omitempty"`
	SessionID       string     `json:"sessionId,omitempty"`
	AccessExpiresAt *time.Time `json:"accessExpiresAt,omitempty"`
	// Reason is why the session has ended.
	Reason string `json:"reason,omitempty"`
	// Problem is why the server could not be asked.
	Problem string `json:"problem,omitempty"`
}

// statusTimeout bounds how long the server is asked.
const statusTimeout = 10 * time.Second

// Run says who is signed in, and fails if nobody is.
func (cmd *statusCommand) Run(ctx context.Context, c console) error {
	return cmd.with(ctx, func(s *signedIn) error {
		answer, err := cmd.look(ctx, s)
		if cmd.JSON {
			return errors.Join(printJSON(c.out, answer), err)
		}
		if answer.SignedIn {
			fmt.Fprintf(c.out, "Signed in to %s as %s.\nThe access token is good for %s, then the next one is fetched.\n",
				answer.URL, answer.Username, left(*answer.AccessExpiresAt))
		}
		if answer.Problem != "" {
			fmt.Fprintf(c.err, "tandem: the server could not be asked: %s\n", answer.Problem)
		}
		return err
	})
}

// look returns an error if nobody is signed in.
func (cmd *statusCommand) look(ctx context.Context, s *signedIn) (statusAnswer, error) {
	answer := statusAnswer{Profile: s.profile.Name, URL: s.profile.URL}
	var problem error
	if !cmd.Offline && s.Status().SignedIn {
		ctx, cancel := context.WithTimeout(ctx, statusTimeout)
		defer cancel()
		var me struct{}
		problem = s.get(ctx, "/auth/me", &me)
	}
	if ended, ok := errors.AsType[*tandem.EndedError](problem); ok {
		answer.Reason = string(ended.Reason)
		return answer, ended
	}
	if problem != nil {
		answer.Problem = problem.Error()
	}
	status := s.Status()
	if !status.SignedIn {
		return answer, errSignIn
	}
	answer.SignedIn, answer.Username, answer.SessionID, answer.AccessExpiresAt = true, status.Username, status.SessionID, &status.ExpiresAt
	return answer, nil
}
