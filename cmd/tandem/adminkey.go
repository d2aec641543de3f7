package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tandem-auth/tandem/clients"
	"github.com/tandem-auth/tandem/internal/admin"
	"github.com/tandem-auth/tandem/internal/storage"
)

type adminKeyCommand struct {
	Add    adminKeyAddCommand    `cmd:"" help:"Add a key of the API for administrators."`
	List   adminKeyListCommand   `cmd:"" help:"List the keys of the API for administrators, without their secrets."`
	Remove adminKeyRemoveCommand `cmd:"" help:"Remove a key: it is wrong from now on."`
}

type adminKeyAddCommand struct {
	ID         string        `arg:"" help:"A name for the key, for the audit log: letters, digits, dots, hyphens and underscores."`
	Scope      []string      `required:"" help:"What the key is good for: users:read, users:write, sessions:read, sessions:write, audit:read, keys:read, keys:write; repeatable."`
	SecretFile string        `required:"" placeholder:"FILE" help:"The file to write the key to; it must not be there yet. Nothing else has the key."`
	Expires    time.Duration `placeholder:"DURATION" help:"How long the key is good for, such as 2160h; without it, until it is removed."`

	storeFlags `embed:""`
}

// Run adds the key.
func (cmd *adminKeyAddCommand) Run(ctx context.Context, c console) error {
	key := clients.AdminKey{ID: cmd.ID, Scopes: cmd.Scope}
	if cmd.Expires > 0 {
		key.ExpiresAt = time.Now().Add(cmd.Expires).UTC().Truncate(time.Second)
	}
	return cmd.withOperator(ctx, func(o admin.Operator) error {
		err := withSecretFile(cmd.SecretFile,
			func() (string, error) { return o.AddAdminKey(ctx, c.by(), key) },
			func() error { return o.RemoveAdminKey(context.WithoutCancel(ctx), c.by(), cmd.ID) })
		if err != nil {
			return err
		}
		return c.print(clientAnswer{ID: cmd.ID, SecretFile: cmd.SecretFile},
			"Added the key %s. It is in %s, and nowhere else.\n", cmd.ID, cmd.SecretFile)
	})
}

type adminKeyListCommand struct {
	storeFlags `embed:""`
}

// Run lists the keys.
func (cmd *adminKeyListCommand) Run(ctx context.Context, c console) error {
	return cmd.withStore(ctx, func(s storage.Store) error {
		all, err := clients.New(s).AdminKeys(ctx)
		if err != nil {
			return err
		}
		if c.json {
			return printJSON(c.out, append([]clients.AdminKey{}, all...)) // [], not null
		}
		table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tSCOPES\tSINCE\tEXPIRES")
		for _, k := range all {
			expires := "never"
			if !k.ExpiresAt.IsZero() {
				expires = minute(k.ExpiresAt)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", k.ID, strings.Join(k.Scopes, " "), k.CreatedAt.Format(time.DateOnly), expires)
		}
		return table.Flush()
	})
}

type adminKeyRemoveCommand struct {
	ID string `arg:"" help:"The key."`

	storeFlags `embed:""`
}

// Run removes the key.
func (cmd *adminKeyRemoveCommand) Run(ctx context.Context, c console) error {
	return cmd.withOperator(ctx, func(o admin.Operator) error {
		if err := o.RemoveAdminKey(ctx, c.by(), cmd.ID); err != nil {
			return fmt.Errorf("%s: %w", cmd.ID, err)
		}
		return c.print(clientAnswer{ID: cmd.ID}, "Removed the key %s.\n", cmd.ID)
	})
}
