package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tandem-auth/tandem/internal/tryit"
)

type tryCommand struct {
	Listen string `default:"localhost:8080" placeholder:"ADDR" help:"Address to listen on (default ${default})."`
	Data   string `placeholder:"DIR" help:"Folder for the database and the keys. Defaults to one of its own in the user's cache folder."`

	logFlags `embed:""`
}

// Run serves the page until the context ends.
func (cmd *tryCommand) Run(ctx context.Context, c console) error {
	if cmd.Data == "" {
		cmd.Data = tryFolder()
	}
	cmd.LogLevel++ // above info: the page shows events, the terminal only problems
	d, err := tryit.Open(ctx, tryit.Config{DataDir: cmd.Data, Listen: cmd.Listen, Logger: cmd.logger(c)})
	if err != nil {
		return err
	}
	answer := tryAnswer{URL: d.URL(), Username: tryit.Username, Password: tryit.Password, Data: cmd.Data}
	err = c.print(answer, `Tandem is running. Open

    %s

and sign in as %s with the password %s. Access tokens last %s: fire some
requests, wait until the token has run out, fire again, and watch nothing happen.

Data is in %s. Press Ctrl-C to stop.
`, d.URL(), tryit.Username, tryit.Password, tryit.AccessTTL, cmd.Data)
	if err := errors.Join(err, d.Serve(ctx)); err != nil {
		return err
	}
	if !c.json {
		fmt.Fprintln(c.out, "\nStopped.")
	}
	return nil
}

// A tryAnswer is the result that --json prints.
type tryAnswer struct {
	URL      string `json:"url"`
	Username string `json:"username"`
	Password string `json:"password"` // of the demo user, no secret
	Data     string `json:"data"`
}

func tryFolder() string {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	return filepath.Join(base, "tandem", "try")
}
