package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/internal/storage"
	"github.com/tandem-auth/tandem/internal/visible"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

type userCommand struct {
	Add     userAddCommand     `cmd:"" help:"Add a user. The password is asked for, or read from standard input where that is no terminal."`
	Passwd  userPasswdCommand  `cmd:"" help:"Change a user's password and end the user's sessions."`
	SignOut userSignOutCommand `cmd:"" help:"End all sessions of a user, who may sign in again."`
	Remove  userRemoveCommand  `cmd:"" help:"Remove a user and end the user's sessions."`
	List    userListCommand    `cmd:"" help:"List the users."`
}

type userAddCommand struct {
	Name string `arg:"" help:"What the user will type to sign in."`

	storeFlags `embed:""`
}

// Run adds the user.
func (cmd *userAddCommand) Run(ctx context.Context, c console) error {
	password, err := readPassword(ctx, c)
	if err != nil {
		return err
	}
	location, err := cmd.location()
	if err != nil {
		return err
	}
	return withStore(ctx, location, func(_ storage.Store, users *directory.Directory) error {
		if err := users.Add(ctx, cmd.Name, password); err != nil {
			if errors.Is(err, store.ErrExists) {
				return fmt.Errorf("there is a user %q already; tandem user passwd changes the password", cmd.Name)
			}
			return err
		}
		return c.print(userAnswer{Name: cmd.Name}, "Added %s.\n", cmd.Name)
	})
}

type userPasswdCommand struct {
	Name         string `arg:"" help:"The user."`
	KeepSessions bool   `help:"Leave the user's sessions alone."`

	storeFlags `embed:""`
}

// Run changes the password.
func (cmd *userPasswdCommand) Run(ctx context.Context, c console) error {
	password, err := readPassword(ctx, c)
	if err != nil {
		return err
	}
	return cmd.withUsers(ctx, func(sessions storage.Store, users *directory.Directory) error {
		user, err := findUser(ctx, users, cmd.Name)
		if err != nil {
			return err
		}
		if err := users.SetPassword(ctx, cmd.Name, password); err != nil {
			return err
		}
		if cmd.KeepSessions {
			return c.print(userAnswer{Name: cmd.Name}, "Changed the password of %s.\n", cmd.Name)
		}
		ended, err := sessions.EndSubject(context.WithoutCancel(ctx), user.Subject, rotation.Revoked, time.Now())
		if err != nil {
			return fmt.Errorf("the password is changed, but the sessions go on: %w", err)
		}
		return c.print(userAnswer{cmd.Name, ended}, "Changed the password of %s. Sessions ended: %d.\n", cmd.Name, ended)
	})
}

type userSignOutCommand struct {
	Name string `arg:"" help:"The user."`

	storeFlags `embed:""`
}

// Run ends the user's sessions.
func (cmd *userSignOutCommand) Run(ctx context.Context, c console) error {
	return cmd.withUsers(ctx, func(sessions storage.Store, users *directory.Directory) error {
		user, err := findUser(ctx, users, cmd.Name)
		if err != nil {
			return err
		}
		ended, err := sessions.EndSubject(context.WithoutCancel(ctx), user.Subject, rotation.Revoked, time.Now())
		if err != nil {
			return fmt.Errorf("ended %d sessions, but some go on; run it again: %w", ended, err)
		}
		return c.print(userAnswer{cmd.Name, ended}, "Signed %s out. Sessions ended: %d.\n", cmd.Name, ended)
	})
}

type userRemoveCommand struct {
	Name string `arg:"" help:"The user."`

	storeFlags `embed:""`
}

// Run removes the user first, so that no new session can begin, and then ends the sessions.
func (cmd *userRemoveCommand) Run(ctx context.Context, c console) error {
	return cmd.withUsers(ctx, func(sessions storage.Store, users *directory.Directory) error {
		user, err := findUser(ctx, users, cmd.Name)
		if err != nil {
			return err
		}
		if err := users.Remove(ctx, cmd.Name); err != nil {
			return err
		}
		ended, err := sessions.EndSubject(context.WithoutCancel(ctx), user.Subject, rotation.Revoked, time.Now())
		if err != nil {
			return fmt.Errorf("the user is removed, but the sessions go on: %w", err)
		}
		return c.print(userAnswer{cmd.Name, ended}, "Removed %s. Sessions ended: %d.\n", cmd.Name, ended)
	})
}

type userListCommand struct {
	storeFlags `embed:""`
}

// Run lists the users.
func (cmd *userListCommand) Run(ctx context.Context, c console) error {
	return cmd.withUsers(ctx, func(_ storage.Store, users *directory.Directory) error {
		list, err := users.List(ctx)
		if err != nil {
			return err
		}
		if c.json {
			return printJSON(c.out, listed(list))
		}
		table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "NAME\tSUBJECT\tSINCE")
		for _, u := range list {
			fmt.Fprintf(table, "%s\t%s\t%s\n", visible.Text(u.Name), visible.Text(u.Subject), u.CreatedAt.Format(time.DateOnly))
		}
		return table.Flush()
	})
}

// A userAnswer is the result that --json prints of a change to a user.
type userAnswer struct {
	Name          string `json:"name"`
	SessionsEnded int    `json:"sessionsEnded"`
}

// A listedUser is a user as --json prints it in a list.
type listedUser struct {
	Name      string    `json:"name"`
	Subject   string    `json:"subject"`
	CreatedAt time.Time `json:"createdAt"`
}

func listed(users []store.User) []listedUser {
	list := []listedUser{} // [], not null
	for _, u := range users {
		list = append(list, listedUser{u.Name, u.Subject, u.CreatedAt})
	}
	return list
}

func findUser(ctx context.Context, users *directory.Directory, name string) (store.User, error) {
	user, err := users.Find(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return store.User{}, fmt.Errorf("there is no user %q", name)
	}
	return user, err
}

// withUsers calls do with the store and the users in it. Servers may use the store at the
// same time.
func (f *storeFlags) withUsers(ctx context.Context, do func(storage.Store, *directory.Directory) error) error {
	location, err := f.location()
	if err != nil {
		return err
	}
	if !location.Exists() {
		return fmt.Errorf("there is no database %s; is --data or --store right? tandem user add makes one", location.Path())
	}
	return withStore(ctx, location, do)
}

func withStore(ctx context.Context, location storage.Location, do func(storage.Store, *directory.Directory) error) (err error) {
	s, err := location.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return do(s, directory.New(s, directory.Config{}))
}

// readPassword asks for a new password twice at a terminal; without a terminal it reads
// the first line of standard input.
func readPassword(ctx context.Context, c console) (string, error) {
	if !c.asks() {
		return readLine(c)
	}
	first, err := prompt(ctx, c, "Password: ")
	if err != nil {
		return "", err
	}
	again, err := prompt(ctx, c, "Again: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", errors.New("the two passwords differ; nothing was changed")
	}
	return first, nil
}

// readOnePassword is readPassword for an existing password: it asks once.
func readOnePassword(ctx context.Context, c console) (string, error) {
	if !c.asks() {
		return readLine(c)
	}
	return prompt(ctx, c, "Password: ")
}

func readLine(c console) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(c.in, 64<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password from standard input: %w", err)
	}
	line = strings.TrimPrefix(strings.TrimRight(line, "\r\n"), byteOrderMark)
	if line == "" {
		return "", errors.New("no password on standard input")
	}
	return line, nil
}

// prompt asks for a line without echo. When ctx ends, prompt restores the terminal and
// returns; its goroutine reads on until the process ends.
func prompt(ctx context.Context, c console, text string) (string, error) {
	fd := int(c.in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	fmt.Fprint(c.err, text)
	type line struct {
		text []byte
		err  error
	}
	typed := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		typed <- line{text, err}
	}()
	defer fmt.Fprintln(c.err)
	select {
	case l := <-typed:
		if l.err != nil {
			return "", fmt.Errorf("read the password: %w", l.err)
		}
		return string(l.text), nil
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), term.Restore(fd, before))
	}
}
