package main

import (
	"context"
	"errors"
	"time"

	"github.com/tandem-auth/tandem"
)

type statusCommand struct {
	Offline bool `env:"-" help:"Do not ask the server whether the session lives."`

	profileFlags `embed:""`
}

// statusTimeout is how long tandem status waits for the server's answer.
const statusTimeout = 10 * time.Second

// Run prints who is signed in, and fails if nobody is.
func (cmd *statusCommand) Run(ctx context.Context, c console) error {
	return cmd.with(ctx, c, func(s *signedIn) error {
		answer, err := cmd.look(ctx, s)
		if c.json {
			return errors.Join(printJSON(c.out, answer), err)
		}
		if answer.SignedIn {
			if failed := c.print(answer, "Signed in to %s as %s.\n%s\n", answer.URL, answer.Username, access(*answer.AccessExpiresAt)); failed != nil {
				return errors.Join(failed, err)
			}
		}
		if answer.Problem != "" && err == nil {
			c.warn("not_asked", "the server could not be asked: %s", answer.Problem)
		}
		return err
	})
}

// look asks the server about the session, unless cmd.Offline. It returns an error if nobody
// is signed in, or if the answer is not that of the profile's Tandem server; a server that
// is away is a Problem of the answer, and no error.
func (cmd *statusCommand) look(ctx context.Context, s *signedIn) (sessionAnswer, error) {
	var problem error
	if !cmd.Offline && s.Status().SignedIn {
		ctx, cancel := context.WithTimeout(ctx, statusTimeout)
		defer cancel()
		var me struct{ Username string }
		if problem = s.get(ctx, "/auth/me", &me); problem == nil && me.Username == "" {
			problem = errors.New("it does not know who is signed in")
		}
	}
	answer := s.answer()
	if ended, ok := errors.AsType[*tandem.EndedError](problem); ok {
		answer.Reason = string(ended.Reason)
		return answer, ended
	}
	if problem != nil {
		answer.Problem = problem.Error()
	}
	if !answer.SignedIn {
		return answer, errSignIn
	}
	if temporary, ok := errors.AsType[*tandem.TemporaryError](problem); ok {
		problem = temporary.Err
		if problem == nil || !isCertificateTrouble(problem) {
			return answer, nil // as far as the client knows, the session is live
		}
	}
	if problem != nil && !isAway(problem) {
		return answer, &wrongServerError{url: s.profile.URL, err: problem}
	}
	return answer, nil
}
