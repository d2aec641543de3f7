package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/tandem-auth/tandem/internal/admin"
	"github.com/tandem-auth/tandem/internal/visible"
	"github.com/tandem-auth/tandem/store"
)

type auditCommand struct {
	Since   time.Duration `placeholder:"DURATION" help:"How far to look back, such as 1h; without it, as far as there are records."`
	User    string        `placeholder:"NAME" help:"Records about this user."`
	Session string        `placeholder:"ID" help:"Records about this session."`
	Action  string        `placeholder:"NAME" help:"Records of this action, such as sign_in."`
	Limit   int           `default:"1000" placeholder:"N" help:"How many records at most, the newest (default ${default}); 0 is all."`
	Follow  bool          `short:"f" help:"Go on with the records that come."`

	storeFlags `embed:""`
}

const (
	// followEvery is between two looks into the store.
	followEvery = time.Second
	// followOverlap is how far each look goes back: a server may add a record some seconds
	// after its time.
	followOverlap = time.Minute
)

// Run prints records, the oldest first.
func (cmd *auditCommand) Run(ctx context.Context, c console) error {
	return cmd.withOperator(ctx, func(o admin.Operator) error {
		query := store.AuditQuery{Session: cmd.Session, Action: cmd.Action, Limit: cmd.Limit}
		if cmd.Since > 0 {
			query.Since = time.Now().Add(-cmd.Since)
		}
		records, err := o.Audit(ctx, query, cmd.User)
		if err != nil {
			return err
		}
		names, err := o.Names(ctx)
		if err != nil {
			return err
		}
		if err := cmd.print(c, records, names, true); err != nil || !cmd.Follow {
			return err
		}
		seen := map[string]time.Time{}
		for {
			for _, r := range records {
				seen[r.ID] = r.Time
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(followEvery):
			}
			query.Since, query.Limit = time.Now().Add(-followOverlap), 0
			found, err := o.Audit(ctx, query, cmd.User)
			if errors.Is(err, context.Canceled) {
				return nil
			}
			if err != nil {
				return err
			}
			records = records[:0]
			for _, r := range found {
				if _, known := seen[r.ID]; !known && r.Time.After(query.Since) {
					records = append(records, r)
				}
			}
			for id, at := range seen {
				if at.Before(query.Since) {
					delete(seen, id)
				}
			}
			if err := cmd.print(c, records, names, false); err != nil {
				return err
			}
		}
	})
}

func (cmd *auditCommand) print(c console, records []store.AuditRecord, names map[string]string, heading bool) error {
	if !c.json {
		return printRecords(c.out, records, names, heading)
	}
	for _, r := range records {
		if err := printJSON(c.out, r); err != nil {
			return err
		}
	}
	return nil
}

// printRecords prints records as a table. names has the users' names by their subjects.
func printRecords(out io.Writer, records []store.AuditRecord, names map[string]string, heading bool) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if heading {
		fmt.Fprintln(table, "TIME\tACTION\tOUTCOME\tBY\tUSER\tON\tFROM\tWHY")
	}
	for _, r := range records {
		action := r.Action
		if r.Count > 1 {
			action = fmt.Sprintf("%s (%d)", action, r.Count)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", second(r.Time), action, r.Outcome,
			visible.Text(r.Actor), visible.Text(cmp.Or(names[r.Subject], r.Subject)), visible.Text(cmp.Or(r.Session, r.Target)), r.IP, r.Reason)
	}
	return table.Flush()
}
