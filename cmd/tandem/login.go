package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/term"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/profile"
)

type loginCommand struct {
	URL      string   `arg:"" optional:"" help:"The server's address, such as https://auth.example.com. Defaults to that of the profile."`
	Username string   `short:"u" env:"-" placeholder:"NAME" help:"Who signs in; asked for if it is not given. The password is asked for, or read from standard input where that is no terminal."`
	Origins  []string `name:"origin" env:"-" placeholder:"ORIGIN" help:"Further origin that is sent the access token, such as https://api.example.com; repeatable."`

	profileFlags `embed:""`
}

// Run signs in, and keeps the session in the profile.
func (cmd *loginCommand) Run(ctx context.Context, c console) error {
	p, err := cmd.prepare()
	if err != nil {
		return err
	}
	username := cmd.Username
	if username == "" {
		if username, err = ask(c, "Username: "); err != nil {
			return err
		}
	}
	password, err := readOnePassword(ctx, c)
	if err != nil {
		return err
	}
	s, err := openProfile(ctx, p)
	if err != nil {
		return err
	}
	if err := s.SignIn(ctx, username, password); err != nil {
		return errors.Join(explainSignIn(err, p.URL), s.Close())
	}
	if err := p.Save(); err != nil {
		return errors.Join(err, s.Close())
	}
	fmt.Fprintf(c.out, "Signed in to %s as %s.\n", p.URL, username)
	return s.Close()
}

// prepare returns the profile with its new settings.
func (cmd *loginCommand) prepare() (*profile.Profile, error) {
	root, err := profile.Root()
	if err != nil {
		return nil, err
	}
	before, err := profile.Load(root, cmd.Profile)
	if err != nil && !errors.Is(err, profile.ErrNone) {
		return nil, err
	}
	url, origins := strings.TrimSuffix(cmd.URL, "/"), cmd.Origins
	switch {
	case url == "" && before == nil:
		return nil, errors.New("where? name the server's address, such as tandem login https://auth.example.com")
	case url == "":
		url = before.URL
	case before != nil && before.URL != url:
		return nil, fmt.Errorf("the profile %q is for %s: choose another with --profile, or run tandem logout --forget first", cmd.Profile, before.URL)
	}
	if before != nil && len(origins) == 0 {
		origins = before.Origins
	}
	return profile.New(root, cmd.Profile, url, origins)
}

func explainSignIn(err error, url string) error {
	if temporary, ok := errors.AsType[*tandem.TemporaryError](err); ok {
		return fmt.Errorf("cannot sign in at %s just now: %w", url, temporary)
	}
	return err
}

// ask asks for a line that may be seen.
func ask(c console, text string) (string, error) {
	if !term.IsTerminal(int(c.in.Fd())) {
		return "", errors.New("there is no terminal to ask for the name: give it with --username")
	}
	fmt.Fprint(c.err, text)
	line, err := bufio.NewReader(c.in).ReadString('\n')
	if line = strings.TrimSpace(line); line == "" {
		return "", errors.Join(errors.New("no name was given"), err)
	}
	return line, nil
}

// device is what the user's list of sessions says of this one.
func device() string {
	host, err := os.Hostname()
	if err != nil {
		return "tandem command on " + runtime.GOOS
	}
	return "tandem command on " + host
}
