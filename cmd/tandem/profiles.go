package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/tandem-auth/tandem/internal/profile"
	"github.com/tandem-auth/tandem/internal/visible"
)

type profilesCommand struct {
	profileFlags `embed:""`
}

// A listedProfile is a profile as --json prints it.
type listedProfile struct {
	sessionAnswer

	// Chosen marks the profile that -p, TANDEM_PROFILE or the default names.
	Chosen bool `json:"chosen"`
}

// Run lists the profiles. It makes no request to a server.
func (cmd *profilesCommand) Run(ctx context.Context, c console) error {
	root, err := profile.Root()
	if err != nil {
		return err
	}
	names, err := profile.List(root)
	if err != nil {
		return err
	}
	list := []listedProfile{} // [], not null
	for _, name := range names {
		list = append(list, listedProfile{describe(ctx, c, root, name), name == cmd.name()})
	}
	switch {
	case c.json:
		return printJSON(c.out, list)
	case len(list) == 0:
		_, err := fmt.Fprintln(c.out, "There is no profile yet; tandem login URL makes one.")
		return err
	}
	table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  NAME\tSERVER\tUSER\tKEPT IN")
	for _, p := range list {
		mark, user := " ", p.Username
		if p.Chosen {
			mark = "*"
		}
		if !p.SignedIn {
			user = "-"
		}
		fmt.Fprintf(table, "%s %s\t%s\t%s\t%s\n", mark, p.Profile, visible.Text(p.URL), visible.Text(user), p.Kept)
	}
	err = table.Flush()
	for _, p := range list {
		if p.Problem != "" {
			c.warn("profile", "profile %s: %s", p.Profile, p.Problem)
		}
	}
	return err
}

// describe returns a profile and its session. It returns an error as Problem, so that Run
// lists the other profiles all the same.
func describe(ctx context.Context, c console, root, name string) sessionAnswer {
	p, err := profile.Load(root, name)
	if err != nil {
		return sessionAnswer{Profile: name, Problem: err.Error()}
	}
	s, err := openProfile(ctx, c, p, nil)
	if err != nil {
		answer := newAnswer(p)
		answer.Problem = err.Error()
		return answer
	}
	defer s.close()
	answer := s.answer()
	if err := s.othersSession(ctx); err != nil {
		answer.Problem = err.Error()
	}
	return answer
}
