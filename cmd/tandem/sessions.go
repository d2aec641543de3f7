package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/tandem-auth/tandem/internal/admin"
	"github.com/tandem-auth/tandem/internal/visible"
)

type sessionCommand struct {
	List sessionListCommand `cmd:"" help:"List sessions that nothing has ended."`
	Show sessionShowCommand `cmd:"" help:"Tell a session's story: how it began, how often it was refreshed, what was odd, why it ended."`
	End  sessionEndCommand  `cmd:"" help:"End a session. Its user may sign in again; tandem user sign-out ends all of a user."`
}

type sessionListCommand struct {
	User  string `placeholder:"NAME" help:"Of this user; without it, of all users."`
	Limit int    `default:"100" placeholder:"N" help:"How many at most (default ${default})."`

	storeFlags `embed:""`
}

// Run lists sessions.
func (cmd *sessionListCommand) Run(ctx context.Context, c console) error {
	return cmd.withOperator(ctx, func(o admin.Operator) error {
		list, err := o.ListSessions(ctx, cmd.User, max(cmd.Limit, 1))
		if err != nil {
			return err
		}
		if c.json {
			return printJSON(c.out, list)
		}
		table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tUSER\tSINCE\tLAST REFRESH\tFROM\tDEVICE")
		for _, s := range list {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", s.ID, visible.Text(s.Username), minute(s.CreatedAt), minute(s.LastRefreshAt), s.IP, visible.Text(s.Device))
		}
		return table.Flush()
	})
}

// minute formats a time for a table.
func minute(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

// A sessionArg names the session that a command is about.
type sessionArg struct {
	ID string `arg:"" help:"The session's ID, as tandem session list and the log have it."`

	storeFlags `embed:""`
}

type sessionShowCommand struct {
	sessionArg `embed:""`
}

// Run tells the story of a session.
func (cmd *sessionShowCommand) Run(ctx context.Context, c console) error {
	return cmd.withOperator(ctx, func(o admin.Operator) error {
		story, err := o.ShowSession(ctx, cmd.ID)
		if err != nil {
			return err
		}
		if c.json {
			return printJSON(c.out, story)
		}
		return tell(c.out, story)
	})
}

func tell(out io.Writer, s admin.Story) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(table, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	line("session", "%s (%s)", s.ID, s.State)
	line("user", "%s (%s)", visible.Text(s.Username), visible.Text(s.Subject))
	line("began", "%s from %s, %s", second(s.CreatedAt), s.IP, visible.Text(s.Device))
	if s.Refreshes == 0 {
		line("refreshed", "not yet")
	} else {
		line("refreshed", "%d times, last at %s", s.Refreshes, second(s.LastRefreshAt))
	}
	if s.EndedAt.IsZero() {
		line("expires", "%s at the latest", second(s.ExpiresAt))
	} else {
		line("ended", "%s: %s", second(s.EndedAt), s.EndReason)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	return printRecords(out, s.Records, map[string]string{s.Subject: s.Username}, true)
}

// second formats a time for a story.
func second(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

type sessionEndCommand struct {
	sessionArg `embed:""`
}

// Run ends a session.
func (cmd *sessionEndCommand) Run(ctx context.Context, c console) error {
	return cmd.withOperator(ctx, func(o admin.Operator) error {
		ended, err := o.EndSession(ctx, c.by(), cmd.ID)
		if err != nil {
			return err
		}
		return c.print(ended, "Ended the session %s of %s. Its access token is good until it expires, where no feed of ended sessions is followed.\n", ended.ID, ended.Username)
	})
}
