package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-auth/tandem/internal/backup"
	"github.com/tandem-auth/tandem/internal/sqlitefile"
	"github.com/tandem-auth/tandem/internal/storage"
)

type backupCommand struct {
	File      string   `arg:"" help:"The file to write; it must not be there yet. Unless it is sealed, whoever can read it can sign in as anybody."`
	Recipient []string `placeholder:"KEY" help:"Seal the backup for this recipient, age1…, of tandem backup-key or age-keygen; repeatable."`

	storeFlags `embed:""`
}

// Run backs up a SQLite database and its master key.
func (cmd *backupCommand) Run(ctx context.Context, c console) error {
	location, err := cmd.location()
	if err != nil {
		return err
	}
	recipients, err := backup.ParseRecipients(cmd.Recipient)
	if err != nil {
		return fmt.Errorf("--recipient: %w", err)
	}
	return cmd.withStore(ctx, func(s storage.Store) error {
		database, ok := s.(interface {
			Backup(ctx context.Context, to string) error
		})
		if !ok {
			return errors.New("tandem backup is for SQLite; use the database server's own tools, such as pg_dump, and keep the master key apart from it")
		}
		if err := sqlitefile.Backup(ctx, location.Path(), cmd.File, database.Backup, backup.Seal(recipients)); err != nil {
			return err
		}
		how := "Keep it as safe as the database itself."
		if len(recipients) > 0 {
			how = "It is sealed: tandem restore opens it with the key of the recipient."
		}
		return c.print(backupAnswer{Database: location.Path(), File: cmd.File},
			"Backed up %s to %s. %s\n", location.Path(), cmd.File, how)
	})
}

// A backupAnswer is the result that --json prints.
type backupAnswer struct {
	Database string `json:"database"`
	File     string `json:"file"`
}

type backupKeyCommand struct {
	File string `arg:"" help:"The file to write the key to; it must not be there yet."`
}

// Run makes the key that opens sealed backups.
func (cmd *backupKeyCommand) Run(c console) error {
	recipient, err := backup.NewKey(cmd.File)
	if err != nil {
		return err
	}
	return c.print(backupKeyAnswer{File: cmd.File, Recipient: recipient},
		"Wrote the key that opens backups to %s: keep it away from the server and from the backups.\nName its recipient in the settings of the server:\n\n    backup-recipient: %s\n", cmd.File, recipient)
}

// A backupKeyAnswer is the result that --json prints.
type backupKeyAnswer struct {
	File      string `json:"file"`
	Recipient string `json:"recipient"`
}

type restoreCommand struct {
	File     string `arg:"" help:"A file that tandem backup or a server's schedule has written."`
	Identity string `placeholder:"FILE" help:"File with the key that opens a sealed backup, of tandem backup-key or age-keygen."`
	Check    bool   `help:"Only try: restore into a folder of its own, look at everything in it, and remove it. --data is not needed."`

	MasterKeyFile string `placeholder:"FILE" help:"With --check: the master key of the server, if it is not in the backup; without it, TANDEM_MASTER_KEY has the key itself."`

	storeFlags `embed:""`
}

// Validate needs a place unless the backup is only tried.
func (cmd *restoreCommand) Validate() error {
	if cmd.Check {
		return nil
	}
	return cmd.storeFlags.Validate()
}

// Run restores the database, and lists its users to find out whether it can be read.
func (cmd *restoreCommand) Run(ctx context.Context, c console) error {
	open, err := backup.Open(cmd.Identity)
	if err != nil {
		return err
	}
	if cmd.Check {
		masters, err := masterKeys(cmd.MasterKeyFile)
		if err != nil {
			return err
		}
		report, err := backup.Check(ctx, cmd.File, open, masters)
		if err != nil {
			return err
		}
		return c.print(report, "%s\n", told(report))
	}
	location, err := cmd.location()
	if err != nil {
		return err
	}
	if location.Path() == "" {
		return errors.New("tandem restore is for SQLite; use the database server's own tools")
	}
	if err := sqlitefile.Restore(location.Path(), cmd.File, open); err != nil {
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

// told says for a person what a backup has in it.
func told(r backup.Report) string {
	keys := fmt.Sprintf("%d keys, which its master key opens", r.Keys)
	switch r.MasterKey {
	case "given":
		keys = fmt.Sprintf("%d keys, which the master key opens", r.Keys)
	case "":
		keys = "keys that were not tried: the backup has no master key; name it with --master-key-file"
	}
	return fmt.Sprintf("The backup can be restored. It was made on %s UTC, %s ago, and has %d users, %d live sessions and %s.",
		r.MadeAt.Format("2006-01-02 15:04:05"), time.Since(r.MadeAt).Round(time.Second), r.Users, r.LiveSessions, keys)
}

// A restoreAnswer is the result that --json prints.
type restoreAnswer struct {
	Database string `json:"database"`
	Users    int    `json:"users"`
}
