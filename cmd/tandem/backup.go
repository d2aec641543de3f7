package main

import (
	"context"
	"fmt"

	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/internal/datadir"
	"github.com/tandem-auth/tandem/store/sqlitestore"
)

type backupCommand struct {
	File string `arg:"" help:"The file to write; it must not be there yet. Whoever can read it can sign in as anybody."`

	dataFlag `embed:""`
}

// Run backs up the database and the keys.
func (cmd *backupCommand) Run(ctx context.Context, c console) error {
	return withUsers(ctx, cmd.Data, func(s *sqlitestore.Store, _ *directory.Directory) error {
		if err := datadir.Backup(ctx, cmd.Data, cmd.File, s.Backup); err != nil {
			return err
		}
		fmt.Fprintf(c.out, "Backed up %s to %s. Keep it as safe as the folder itself.\n", cmd.Data, cmd.File)
		return nil
	})
}

type restoreCommand struct {
	File string `arg:"" help:"A file that tandem backup has written."`
	Data string `required:"" placeholder:"DIR" help:"The data folder to make. No server may be running on it."`
}

// Run restores the folder, and looks whether the database is sound.
func (cmd *restoreCommand) Run(ctx context.Context, c console) error {
	if err := datadir.Restore(cmd.Data, cmd.File); err != nil {
		return err
	}
	return withUsers(ctx, cmd.Data, func(_ *sqlitestore.Store, users *directory.Directory) error {
		list, err := users.List(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.out, "Restored %s, with %d users. Sessions are as they were at the time of the backup:\nthose that ended since are live again, and those that began since have ended.\n", cmd.Data, len(list))
		return nil
	})
}
