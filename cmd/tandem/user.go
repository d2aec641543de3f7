package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tandem-auth/tandem/internal/admin"
	"github.com/tandem-auth/tandem/internal/visible"
	"github.com/tandem-auth/tandem/store"
)

type userCommand struct {
	Add     userAddCommand     `cmd:"" help:"Add a user. The password is asked for, or read from standard input where that is no terminal."`
	List    userListCommand    `cmd:"" help:"List the users."`
	Passwd  userPasswdCommand  `cmd:"" help:"Change a user's password and end the user's sessions."`
	Role    userRoleCommand    `cmd:"" help:"Set a user's roles: the scope of the user's access tokens. The role admin may use the API for administrators."`
	Disable userDisableCommand `cmd:"" help:"Keep a user from signing in, and end the user's sessions."`
	Enable  userEnableCommand  `cmd:"" help:"Let a user who was disabled sign in again."`
	Unlock  userUnlockCommand  `cmd:"" help:"Lift the limits on a user's sign-ins that wrong passwords have caused."`
	Recover userRecoverCommand `cmd:"" help:"Let an administrator in who is locked out, whatever the cause: sets a new password, enables and unlocks the user, and gives the role admin. It may be repeated."`
	SignOut userSignOutCommand `cmd:"" help:"End all sessions of a user, who may sign in again."`
	Remove  userRemoveCommand  `cmd:"" help:"Remove a user and end the user's sessions."`
}

type userAddCommand struct {
	Name string   `arg:"" help:"What the user will type to sign in."`
	Role []string `help:"A role of the user; repeatable."`

	storeFlags `embed:""`
}

// Run adds the user.
func (cmd *userAddCommand) Run(ctx context.Context, c console) error {
	password, err := readPassword(ctx, c)
	if err != nil {
		return err
	}
	return cmd.withNewStore(ctx, func(o admin.Operator) error {
		_, err := o.AddUser(ctx, c.by(), cmd.Name, password, cmd.Role)
		if errors.Is(err, store.ErrExists) {
			return fmt.Errorf("there is a user %q already; tandem user passwd changes the password", cmd.Name)
		}
		if err != nil {
			return err
		}
		return c.print(userAnswer{Name: cmd.Name}, "Added %s.\n", cmd.Name)
	})
}

// A userArg names the user whom a command is about.
type userArg struct {
	Name string `arg:"" help:"The user."`

	storeFlags `embed:""`
}

type userPasswdCommand struct {
	KeepSessions bool `help:"Leave the user's sessions alone."`

	userArg `embed:""`
}

// Run changes the password.
func (cmd *userPasswdCommand) Run(ctx context.Context, c console) error {
	password, err := readPassword(ctx, c)
	if err != nil {
		return err
	}
	return cmd.withOperator(ctx, func(o admin.Operator) error {
		ended, err := o.SetPassword(ctx, c.by(), cmd.Name, password, cmd.KeepSessions)
		if err != nil {
			return err
		}
		if cmd.KeepSessions {
			return c.print(userAnswer{Name: cmd.Name}, "Changed the password of %s.\n", cmd.Name)
		}
		return c.print(userAnswer{cmd.Name, ended}, "Changed the password of %s. Sessions ended: %d.\n", cmd.Name, ended)
	})
}

type userRoleCommand struct {
	userArg `embed:""`

	Roles []string `arg:"" optional:"" help:"All roles that the user shall have."`
	None  bool     `help:"The user shall have no role."`
}

// Run sets the roles or, without any, prints them.
func (cmd *userRoleCommand) Run(ctx context.Context, c console) error {
	return cmd.withOperator(ctx, func(o admin.Operator) error {
		if len(cmd.Roles) > 0 && cmd.None {
			return errors.New("--none and roles contradict each other; give one")
		}
		if len(cmd.Roles) > 0 || cmd.None {
			if err := o.SetRoles(ctx, c.by(), cmd.Name, cmd.Roles); err != nil {
				return err
			}
		}
		user, err := o.FindUser(ctx, cmd.Name)
		if err != nil {
			return err
		}
		roles := strings.Join(user.Roles, " ")
		if roles == "" {
			roles = "none"
		}
		return c.print(user, "The roles of %s: %s.\n", user.Name, roles)
	})
}

type userDisableCommand struct {
	userArg `embed:""`
}

// Run disables the user.
func (cmd *userDisableCommand) Run(ctx context.Context, c console) error {
	return cmd.withOperator(ctx, func(o admin.Operator) error {
		ended, err := o.Disable(ctx, c.by(), cmd.Name)
		if err != nil {
			return err
		}
		return c.print(userAnswer{cmd.Name, ended}, "Disabled %s. Sessions ended: %d.\n", cmd.Name, ended)
	})
}

type userEnableCommand struct {
	userArg `embed:""`
}

// Run enables the user.
func (cmd *userEnableCommand) Run(ctx context.Context, c console) error {
	return cmd.withOperator(ctx, func(o admin.Operator) error {
		if err := o.Enable(ctx, c.by(), cmd.Name); err != nil {
			return err
		}
		return c.print(userAnswer{Name: cmd.Name}, "Enabled %s.\n", cmd.Name)
	})
}

type userUnlockCommand struct {
	userArg `embed:""`
}

// Run lifts the limits on the user's sign-ins.
func (cmd *userUnlockCommand) Run(ctx context.Context, c console) error {
	return cmd.withOperator(ctx, func(o admin.Operator) error {
		if err := o.Unlock(ctx, c.by(), cmd.Name); err != nil {
			return err
		}
		return c.print(userAnswer{Name: cmd.Name}, "Unlocked %s, on all servers that are running: the next sign-in is not limited for those that failed.\n", cmd.Name)
	})
}

type userRecoverCommand struct {
	userArg `embed:""`
}

// Run lets the administrator in.
func (cmd *userRecoverCommand) Run(ctx context.Context, c console) error {
	password, err := readPassword(ctx, c)
	if err != nil {
		return err
	}
	return cmd.withNewStore(ctx, func(o admin.Operator) error {
		added, ended, err := o.Recover(ctx, c.by(), cmd.Name, password)
		if err != nil {
			return err
		}
		if added {
			return c.print(userAnswer{Name: cmd.Name}, "Added %s with the role admin, who can sign in now.\n", cmd.Name)
		}
		return c.print(userAnswer{cmd.Name, ended}, "%s can sign in now with the new password, and has the role admin. Sessions ended: %d.\n", cmd.Name, ended)
	})
}

type userSignOutCommand struct {
	userArg `embed:""`
}

// Run ends the user's sessions.
func (cmd *userSignOutCommand) Run(ctx context.Context, c console) error {
	return cmd.withOperator(ctx, func(o admin.Operator) error {
		ended, err := o.EndSessions(ctx, c.by(), cmd.Name)
		if err != nil {
			return err
		}
		return c.print(userAnswer{cmd.Name, ended}, "Signed %s out. Sessions ended: %d.\n", cmd.Name, ended)
	})
}

type userRemoveCommand struct {
	userArg `embed:""`
}

// Run removes the user.
func (cmd *userRemoveCommand) Run(ctx context.Context, c console) error {
	return cmd.withOperator(ctx, func(o admin.Operator) error {
		ended, err := o.RemoveUser(ctx, c.by(), cmd.Name)
		if err != nil {
			return err
		}
		return c.print(userAnswer{cmd.Name, ended}, "Removed %s. Sessions ended: %d.\n", cmd.Name, ended)
	})
}

type userListCommand struct {
	storeFlags `embed:""`
}

// allUsers is more users than there can be.
const allUsers = 1 << 30

// Run lists the users.
func (cmd *userListCommand) Run(ctx context.Context, c console) error {
	return cmd.withOperator(ctx, func(o admin.Operator) error {
		list, err := o.ListUsers(ctx, "", allUsers)
		if err != nil {
			return err
		}
		if c.json {
			return printJSON(c.out, list)
		}
		table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "NAME\tSUBJECT\tSINCE\tROLES\tSTATE")
		for _, u := range list {
			state := "active"
			if !u.DisabledAt.IsZero() {
				state = "disabled " + u.DisabledAt.Format(time.DateOnly)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", visible.Text(u.Name), visible.Text(u.Subject), u.CreatedAt.Format(time.DateOnly),
				visible.Text(strings.Join(u.Roles, " ")), state)
		}
		return table.Flush()
	})
}

// A userAnswer is the result that --json prints of a change to a user.
type userAnswer struct {
	Name          string `json:"name"`
	SessionsEnded int    `json:"sessionsEnded"`
}
