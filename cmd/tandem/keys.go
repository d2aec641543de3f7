package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tandem-auth/tandem/internal/admin"
	"github.com/tandem-auth/tandem/internal/sqlitefile"
	"github.com/tandem-auth/tandem/internal/storage"
	"github.com/tandem-auth/tandem/keys"
)

type keysCommand struct {
	List   keysListCommand   `cmd:"" help:"List the signing keys and the keys of refresh tokens, without their secrets."`
	Rotate keysRotateCommand `cmd:"" help:"Make the next keys ahead of the schedule. Nobody notices."`
	Revoke keysRevokeCommand `cmd:"" help:"Take a key that has leaked out of use, on all servers within seconds."`
}

// keysFlags name the store of the keys, and the master key that seals them.
type keysFlags struct {
	storeFlags    `embed:""`
	MasterKeyFile string `placeholder:"FILE" help:"File with the master key of the servers; without it, TANDEM_MASTER_KEY has the key itself. Of a SQLite database, it defaults to the file beside it."`
}

// withKeys calls do with an operator of the keys in the store. Servers may use the
// store at the same time.
func (f *keysFlags) withKeys(ctx context.Context, do func(admin.Operator, keys.Operator) error) error {
	return f.withStore(ctx, func(s storage.Store) error {
		masters, err := masterKeys(f.MasterKeyFile)
		if err != nil {
			return err
		}
		if len(masters) == 0 {
			location, err := f.location()
			if err != nil {
				return err
			}
			if location.Path() == "" {
				return storage.ErrNoMasterKey
			}
			if masters, err = sqlitefile.MasterKeysBeside(location.Path()); err != nil {
				return err
			}
		}
		return do(admin.NewOperator(s), keys.Operator{Store: s, MasterKeys: masters})
	})
}

type keysListCommand struct {
	keysFlags `embed:""`
}

// Run lists the keys.
func (cmd *keysListCommand) Run(ctx context.Context, c console) error {
	return cmd.withKeys(ctx, func(_ admin.Operator, o keys.Operator) error {
		list, err := o.List(ctx)
		if err != nil {
			return err
		}
		return printKeys(c, list)
	})
}

type keysRotateCommand struct {
	PublishKeys time.Duration `default:"24h" help:"How long the new keys are published before they make tokens (default ${default}); at least a minute, better the time for which the APIs keep the key set."`

	keysFlags `embed:""`
}

// Validate refuses a PublishKeys in which running servers might not learn of the new keys.
func (cmd *keysRotateCommand) Validate() error {
	if cmd.PublishKeys < time.Minute {
		return fmt.Errorf("--publish-keys: %s is less than a minute, in which all servers learn of the new keys", cmd.PublishKeys)
	}
	return cmd.storeFlags.Validate()
}

// Run makes the next keys.
func (cmd *keysRotateCommand) Run(ctx context.Context, c console) error {
	return cmd.withKeys(ctx, func(by admin.Operator, o keys.Operator) error {
		o.PublishAhead = cmd.PublishKeys
		next, err := by.RotateKeys(ctx, c.by(), o)
		if err != nil {
			return err
		}
		return printKeys(c, next)
	})
}

type keysRevokeCommand struct {
	ID  string `arg:"" help:"The key's ID as tandem keys list has it, or its beginning."`
	Yes bool   `help:"Do not ask, though it signs people out."`

	keysFlags `embed:""`
}

// Run revokes a key. For a refresh key, it first says which sessions that ends, and asks.
func (cmd *keysRevokeCommand) Run(ctx context.Context, c console) error {
	return cmd.withKeys(ctx, func(by admin.Operator, o keys.Operator) error {
		k, err := o.Find(ctx, cmd.ID)
		if err != nil {
			return fmt.Errorf("%w; tandem keys list has them", err)
		}
		if k.Use == keys.RefreshKey && k.RevokedAt.IsZero() && !cmd.Yes {
			if err := confirm(ctx, c, endsWhatItMade(k)); err != nil {
				return err
			}
		}
		if k, err = by.RevokeKey(ctx, c.by(), o, k.ID); err != nil {
			return err
		}
		return c.print(listedKeyOf(k), "Revoked %s key %s. Servers that are running know within %s.\n", k.Use, k.ID, keys.DefaultPollEvery)
	})
}

// endsWhatItMade says whom the revocation of a refresh key signs out.
func endsWhatItMade(k keys.Key) string {
	if k.ActiveFrom.After(time.Now()) {
		return "The refresh key " + k.ID + " has made no token yet: revoking it signs nobody out."
	}
	return fmt.Sprintf("Revoking the refresh key %s ends every session whose last refresh token it made (it makes them since %s UTC): "+
		"those users have to sign in again.", k.ID, dateTime(k.ActiveFrom))
}

// confirm prints the consequence and waits for the user's yes at the terminal. Without a
// terminal it returns an error that names --yes.
func confirm(ctx context.Context, c console, consequence string) error {
	if !c.asks() {
		return errors.New(consequence + " Nothing was changed: run it again with --yes")
	}
	fmt.Fprintf(c.err, "%s\nGo on? [y/N] ", consequence)
	answer := make(chan string, 1)
	go func() { // after ctx ends it reads on until the process ends, as in prompt
		line, _ := bufio.NewReader(c.in).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case text := <-answer:
		if text != "y" && text != "yes" {
			return errors.New("nothing was changed")
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A listedKey is a key as --json prints it.
type listedKey struct {
	ID         string    `json:"id"`
	Use        string    `json:"use"`
	Algorithm  string    `json:"algorithm,omitempty"`
	State      string    `json:"state"`
	ActiveFrom time.Time `json:"activeFrom"`
	KeepUntil  time.Time `json:"keepUntil,omitzero"`
	RevokedAt  time.Time `json:"revokedAt,omitzero"`
}

func listedKeyOf(k keys.Key) listedKey {
	return listedKey{k.ID, k.Use, string(k.Algorithm), keyState(k), k.ActiveFrom, k.KeepUntil, k.RevokedAt}
}

func keyState(k keys.Key) string {
	switch {
	case !k.RevokedAt.IsZero():
		return "revoked"
	case k.InUse:
		return "in use"
	case k.ActiveFrom.After(time.Now()):
		return "published"
	default:
		return "kept"
	}
}

func printKeys(c console, list []keys.Key) error {
	if c.json {
		listed := []listedKey{} // [], not null
		for _, k := range list {
			listed = append(listed, listedKeyOf(k))
		}
		return printJSON(c.out, listed)
	}
	table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tUSE\tALG\tSTATE\tUSED FROM\tKEPT UNTIL")
	for _, k := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Use, k.Algorithm, keyState(k), dateTime(k.ActiveFrom), dateTime(k.KeepUntil))
	}
	return table.Flush()
}

func dateTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateTime)
}
