package main

import (
	"context"
	"errors"

	"github.com/tandem-auth/tandem/internal/sqlitefile"
	"github.com/tandem-auth/tandem/internal/storage"
)

type backupCommand struct {
	File string `arg:"" help:"The file to write; it must not be there yet. Whoever can read it can sign in as anybody."`

	storeFlags `embed:""`
}

// Run backs up a SQLite database and its master key.
func (cmd *backupCommand) Run(ctx context.Context, c console) error {
	location, err := cmd.location()
	if err != nil {
		return err
	}
	return cmd.withStore(ctx, func(s storage.Store) error {
		database, ok := s.(interface {
			Backup(ctx context.Context, to string) error
		})
		if !ok {
			return errors.New("tandem backup is for SQLite; use the database server's own tools, such as pg_dump, and keep the master key apart from it")
		}
		if err := sqlitefile.Backup(ctx, location.Path(), cmd.File, database.Backup); err != nil {
			return err
		}
		return c.print(backupAnswer{Database: location.Path(), File: cmd.File},
			"Backed up %s to %s. Keep it as safe as the database itself.\n", location.Path(), cmd.File)
	})
}

// A backupAnswer is the result that --json prints.
type backupAnswer struct {
	Database string `json:"database"`
	File     string `json:"file"`
}

type restoreCommand struct {
	File string `arg:"" help:"A file that tandem backup has written."`

	storeFlags `embed:""`
}

// Run restores the database, and lists its users to find out whether it can be read.
func (cmd *restoreCommand) Run(ctx context.Context, c console) error {
	location, err := cmd.location()
	if err != nil {
		return err
	}
	if location.Path() == "" {
		return errors.New("tandem restore is for SQLite; use the database server's own tools")
	}
	if err := sqlitefile.Restore(location.Path(), cmd.File); err != nil {
		return err
	}
	return cmd.withStore(ctx, func(s storage.Store) error {
		list, err := s.Users(ctx)
		if err != nil {
			return err
		}
		return c.print(restoreAnswer{Database: location.Path(), Users: len(list)},
			"Restored %s, with %d users. Sessions are as they were at the time of the backup:\nthose that ended since are live again, and those that began since have ended.\n", location.Path(), len(list))
	})
}

// A restoreAnswer is the result that --json prints.
type restoreAnswer struct {
	Database string `json:"database"`
	Users    int    `json:"users"`
}
