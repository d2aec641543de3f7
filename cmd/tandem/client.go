package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tandem-auth/tandem/clients"
	"github.com/tandem-auth/tandem/internal/admin"
	"github.com/tandem-auth/tandem/internal/storage"
	"github.com/tandem-auth/tandem/internal/visible"
)

type clientCommand struct {
	Add    clientAddCommand    `cmd:"" help:"Add an OAuth 2 client: a back end or an API with a secret of its own, or a public one."`
	Remove clientRemoveCommand `cmd:"" help:"Remove a client: its secret is wrong from now on."`
	List   clientListCommand   `cmd:"" help:"List the clients."`
}

type clientAddCommand struct {
	ID         string   `arg:"" help:"The client_id: letters, digits, dots, hyphens and underscores."`
	SecretFile string   `placeholder:"FILE" help:"The file to write the client's secret to; it must not be there yet. Nothing else has the secret."`
	Public     bool     `help:"The client has no secret, such as an app on people's devices."`
	Audience   []string `placeholder:"URL" help:"An API that the client may ask for access tokens for. May be given several times."`
	Introspect bool     `help:"The client is an API: it may ask about tokens."`

	storeFlags `embed:""`
}

// Run adds the client.
func (cmd *clientAddCommand) Run(ctx context.Context, c console) error {
	client := clients.Client{ID: cmd.ID, Public: cmd.Public, Audiences: cmd.Audience, MayIntrospect: cmd.Introspect}
	switch {
	case cmd.Public && cmd.SecretFile != "":
		return errors.New("--public: a public client has no secret; leave --secret-file out")
	case !cmd.Public && cmd.SecretFile == "":
		return errors.New("--secret-file FILE: say where to write the client's secret, or that it has none (--public)")
	case cmd.Public:
		return cmd.withOperator(ctx, func(o admin.Operator) error {
			if _, err := o.AddClient(ctx, c.by(), client); err != nil {
				return err
			}
			return c.print(clientAnswer{ID: cmd.ID}, "Added the public client %s.\n", cmd.ID)
		})
	}
	return cmd.withOperator(ctx, func(o admin.Operator) error {
		err := withSecretFile(cmd.SecretFile,
			func() (string, error) { return o.AddClient(ctx, c.by(), client) },
			func() error { return o.RemoveClient(context.WithoutCancel(ctx), c.by(), cmd.ID) })
		if err != nil {
			return err
		}
		return c.print(clientAnswer{ID: cmd.ID, SecretFile: cmd.SecretFile},
			"Added the client %s. Its secret is in %s, and nowhere else.\n", cmd.ID, cmd.SecretFile)
	})
}

// withSecretFile makes the file of --secret-file, has add make the secret, and writes it there.
// The file comes first: what has a secret that nobody has is of no use. If the secret cannot be
// written, undo removes what it is for. A file that is not complete is removed.
func withSecretFile(name string, add func() (secret string, err error), undo func() error) (err error) {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("--secret-file: %s is there already; choose another name", name)
	}
	if err != nil {
		return fmt.Errorf("--secret-file: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(name))
		}
	}()
	secret, err := add()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	_, err = file.WriteString(secret) // without a line break, which curl would send along
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(fmt.Errorf("write the secret: %w", err), undo())
	}
	return nil
}

type apiCommand struct {
	Add apiAddCommand `cmd:"" help:"Add an API: a client that follows the feed of ended sessions and may ask about tokens."`
}

type apiAddCommand struct {
	Name       string   `arg:"" help:"The API's client_id: letters, digits, dots, hyphens and underscores."`
	SecretFile string   `required:"" placeholder:"FILE" help:"The file to write the API's secret to; it must not be there yet. Nothing else has the secret."`
	Audience   []string `placeholder:"URL" help:"What the access tokens are for that the API may ask about. May be given several times."`

	storeFlags `embed:""`
}

// Run adds the API. tandem client lists and removes it.
func (cmd *apiAddCommand) Run(ctx context.Context, c console) error {
	add := clientAddCommand{ID: cmd.Name, SecretFile: cmd.SecretFile, Audience: cmd.Audience, Introspect: true, storeFlags: cmd.storeFlags}
	return add.Run(ctx, c)
}

type clientRemoveCommand struct {
	ID string `arg:"" help:"The client."`

	storeFlags `embed:""`
}

// Run removes the client.
func (cmd *clientRemoveCommand) Run(ctx context.Context, c console) error {
	return cmd.withOperator(ctx, func(o admin.Operator) error {
		if err := o.RemoveClient(ctx, c.by(), cmd.ID); err != nil {
			return fmt.Errorf("%s: %w", cmd.ID, err)
		}
		return c.print(clientAnswer{ID: cmd.ID}, "Removed the client %s.\n", cmd.ID)
	})
}

type clientListCommand struct {
	storeFlags `embed:""`
}

// Run lists the clients.
func (cmd *clientListCommand) Run(ctx context.Context, c console) error {
	return cmd.withStore(ctx, func(s storage.Store) error {
		all, err := clients.New(s).List(ctx)
		if err != nil {
			return err
		}
		if c.json {
			return printJSON(c.out, append([]clients.Client{}, all...)) // [], not null
		}
		table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tKIND\tAUDIENCES\tSINCE")
		for _, client := range all {
			kind := "confidential"
			switch {
			case client.Public:
				kind = "public"
			case client.MayIntrospect:
				kind = "API"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", client.ID, kind, visible.Text(strings.Join(client.Audiences, " ")), client.CreatedAt.Format(time.DateOnly))
		}
		return table.Flush()
	})
}

// A clientAnswer is the result that --json prints of a change to a client.
type clientAnswer struct {
	ID         string `json:"id"`
	SecretFile string `json:"secretFile,omitempty"`
}
