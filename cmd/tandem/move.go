package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/profile"
)

// move changes the profile and its session to the new address of their server. It first
// tries a copy of the session there, because a client ends a session that the server does
// not know; until that has worked, it changes nothing.
func (cmd *loginCommand) move(ctx context.Context, c console, before, p *profile.Profile) error {
	s, err := cmd.open(ctx, c, nil)
	if err != nil {
		return err
	}
	defer s.close()
	kept, err := s.store.Load(ctx)
	if err != nil {
		return err
	}
	p.MovedFrom = append(before.MovedFrom, before.URL)
	moved := newAnswer(p)
	if kept.IsZero() {
		if err := p.Save(); err != nil {
			return err
		}
		return c.print(moved, "The profile %q is for %s now. Nobody is signed in.\n", p.Name, p.URL)
	}

	copied := tandem.NewMemoryStore()
	if _, err := copied.CompareAndSwap(ctx, tandem.Pair{}, kept); err != nil {
		return err
	}
	there, err := openIn(ctx, c, p, copied, nil)
	if err != nil {
		return err
	}
	defer there.close()
	if err := there.othersSession(ctx); err != nil {
		return err
	}
	var me struct{}
	if err := there.get(ctx, "/auth/me", &me); err != nil {
		_, ended := errors.AsType[*tandem.EndedError](err)
		if _, refused := errors.AsType[statusError](err); ended || refused {
			return fmt.Errorf("%s does not know the session of the profile %q; is it the same server as %s? Nothing was changed", p.URL, p.Name, before.URL)
		}
		return fmt.Errorf("nothing was changed: %w", err)
	}
	next, err := copied.Load(ctx)
	if err != nil {
		return err
	}
	// Save the settings before the pair. With the new settings, any pair in the store works
	// at the new address: the previous pair, the next one, or another process's.
	if err := p.Save(); err != nil {
		return err
	}
	if next.RefreshToken != kept.RefreshToken {
		if _, err := s.store.CompareAndSwap(ctx, kept, next); err != nil {
			c.warn("not_kept", notKept, err)
		}
	}
	answer := there.answer()
	return c.print(answer, "The profile %q is for %s now, and %s is still signed in.\n", p.Name, p.URL, answer.Username)
}
