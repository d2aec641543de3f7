package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/tandem-auth/tandem/internal/doctor"
	"github.com/tandem-auth/tandem/internal/visible"
)

type doctorCommand struct {
	serveFlags `embed:""`
}

// errUnwell is why tandem doctor fails.
var errUnwell = errors.New("something is wrong; what to do is above")

// Run looks at what a server with these settings needs and has.
func (cmd *doctorCommand) Run(ctx context.Context, c console) error {
	config, err := cmd.daemonConfig()
	if err != nil {
		return err
	}
	examination := doctor.Examination{Config: config, MasterKeyFile: cmd.MasterKeyFile}
	findings := examination.Run(ctx)
	if c.json {
		err = printJSON(c.out, findings)
	} else {
		for _, f := range findings {
			fmt.Fprintf(c.out, "%-4s  %-11s  %s\n", f.Level, f.Part, visible.Text(f.Text))
			if f.Mend != "" {
				fmt.Fprintf(c.out, "%19s%s\n", "-> ", visible.Text(f.Mend))
			}
		}
	}
	for _, f := range findings {
		if f.Level == doctor.Fail {
			return errors.Join(err, errUnwell)
		}
	}
	return err
}
