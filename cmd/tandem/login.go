package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/profile"
)

type loginCommand struct {
	URL       string   `arg:"" optional:"" help:"The server's address, such as https://auth.example.com. Defaults to that of the profile."`
	Username  string   `short:"u" env:"-" placeholder:"NAME" help:"Who signs in; asked for if it is not given. The password is asked for, or read from standard input where that is no terminal."`
	Origins   []string `name:"origin" env:"-" placeholder:"ORIGIN" help:"Further origin that is sent the access token, such as https://api.example.com; repeatable."`
	Keyring   *bool    `negatable:"" env:"-" help:"Keep the session in the operating system's keyring instead of a file for its owner alone; or not there any more. Defaults to where the profile keeps it, and for a new one to a file."`
	MovedFrom string   `env:"-" placeholder:"URL" help:"The address that the server had before it moved to the new one: the profile and its session go on there, and nobody signs in."`

	profileFlags `embed:""`
}

// Validate refuses flags of a sign-in next to --moved-from, with which nobody signs in.
func (cmd *loginCommand) Validate() error {
	if cmd.MovedFrom != "" && (cmd.URL == "" || cmd.Username != "" || cmd.Keyring != nil) {
		return errors.New("--moved-from is for a session that goes on at another address: give the new one, as in tandem login NEW --moved-from OLD, and neither --username nor --keyring")
	}
	return nil
}

// Run signs in, and keeps the session in the profile.
func (cmd *loginCommand) Run(ctx context.Context, c console) error {
	before, p, err := cmd.prepare()
	if err != nil {
		return err
	}
	warnOfClearText(c, append([]string{p.URL}, p.Origins...)...)
	if cmd.MovedFrom != "" {
		return cmd.move(ctx, c, before, p)
	}
	// A store that cannot be used fails the command before the user types a password.
	s, err := cmd.openAnew(ctx, c, p)
	if err != nil {
		return err
	}
	defer s.close()
	old, err := s.store.Load(ctx)
	if err != nil {
		return err
	}
	elsewhere, _ := errors.AsType[*tandem.OtherServerError](s.othersSession(ctx))
	if err := cmd.signIn(ctx, c, s); err != nil {
		return err
	}
	if err := p.Save(); err != nil {
		return err
	}
	err = signOutPair(ctx, p, old)
	if before != nil && before.Keyring != p.Keyring {
		err = errors.Join(err, signOutOf(ctx, c, before))
	}
	if temporary, ok := errors.AsType[*tandem.TemporaryError](err); ok && temporary.Err != nil {
		err = temporary.Err
	}
	if err != nil {
		c.warn("not_signed_out", "the session before this one is not signed out, and goes on at the server until it expires: %v", err)
	}
	if elsewhere != nil {
		c.warn("not_signed_out", "the session before this one belongs to %s, which was not told: it goes on there until it expires", elsewhere.Have)
	}
	answer := s.answer()
	return c.print(answer, "Signed in to %s as %s.\n", answer.URL, answer.Username)
}

// openAnew opens the session of a profile for a new sign-in. It removes a kept session that
// cannot be used, unless a newer version of the command wrote it and may be using it.
func (cmd *loginCommand) openAnew(ctx context.Context, c console, p *profile.Profile) (*signedIn, error) {
	s, err := openProfile(ctx, c, p, nil)
	if profile.Unusable(err) && !profile.Newer(err) {
		c.warn("session_removed", "removing the session that was kept here, which cannot be used: %v", err)
		if err := p.ForgetSession(); err != nil {
			return nil, err
		}
		s, err = openProfile(ctx, c, p, nil)
	}
	switch {
	case isKeyringTrouble(err):
		err = fmt.Errorf("%w: run tandem login with --no-keyring", err)
	case profile.Newer(err):
		err = fmt.Errorf("%w; or remove it with tandem logout --forget -p %s", err, p.Name)
	}
	return s, err
}

// prepare returns the profile before the command, nil if it does not exist yet, and the
// profile p with the command's settings, which it does not save.
func (cmd *loginCommand) prepare() (before, p *profile.Profile, err error) {
	root, err := profile.Root()
	if err != nil {
		return nil, nil, err
	}
	before, err = profile.Load(root, cmd.name())
	if err != nil && !errors.Is(err, profile.ErrNone) {
		return nil, nil, err
	}
	url := strings.TrimSuffix(cmd.URL, "/")
	switch {
	case url == "" && before == nil:
		return nil, nil, errors.New("where? name the server's address, such as tandem login https://auth.example.com")
	case url == "":
		url = before.URL
	case !strings.HasPrefix(url, "https://") && !strings.HasPrefix(url, "http://"):
		return nil, nil, fmt.Errorf("%q is no address: write https:// before it, or http:// for a server on this machine", url)
	case cmd.MovedFrom != "":
		if before == nil || before.URL != strings.TrimSuffix(cmd.MovedFrom, "/") {
			return nil, nil, fmt.Errorf("--moved-from: the profile %q is not for %s; tandem profiles lists what there is", cmd.name(), cmd.MovedFrom)
		}
	case before != nil && before.URL != url:
		return nil, nil, fmt.Errorf("the profile %q is for %s: choose another with --profile; or, if that server has moved, add --moved-from %[2]s; or remove this profile first with tandem logout --forget -p %[1]s", cmd.name(), before.URL)
	}
	if p, err = profile.New(root, cmd.name(), url); err != nil {
		return nil, nil, err
	}
	if before != nil {
		p.Origins, p.Keyring, p.MovedFrom = before.Origins, before.Keyring, before.MovedFrom
	}
	if len(cmd.Origins) > 0 {
		p.Origins = cmd.Origins
	}
	if cmd.Keyring != nil {
		p.Keyring = *cmd.Keyring
	}
	return before, p, nil
}

// maxPasswords is how many passwords a user at a terminal may try.
const maxPasswords = 3

// signIn asks for the password, and for the user name if the command line has none, and
// signs in.
func (cmd *loginCommand) signIn(ctx context.Context, c console, s *signedIn) (err error) {
	username := cmd.Username
	if username == "" {
		if username, err = ask(c, "Username: "); err != nil {
			return err
		}
	}
	for attempt := 1; ; attempt++ {
		password, err := readOnePassword(ctx, c)
		if err != nil {
			return err
		}
		err = s.SignIn(ctx, username, password)
		if !errors.Is(err, tandem.ErrInvalidCredentials) || !c.asks() || attempt == maxPasswords {
			return explainSignIn(err, s.profile.URL)
		}
		fmt.Fprintln(c.err, "Wrong user name or password. Once more:")
	}
}

// signOutPair ends, at the server of the profile, the session of a pair that the profile's
// store has replaced. It does nothing for the zero pair, nor for a session of another
// server: the tokens of that session are not for this server.
func signOutPair(ctx context.Context, p *profile.Profile, pair tandem.Pair) error {
	store := tandem.NewMemoryStore()
	if _, err := store.CompareAndSwap(ctx, tandem.Pair{}, pair); err != nil {
		return err
	}
	s, err := tandem.Open(ctx, store, tandem.Config{URL: p.URL, FormerIssuers: p.MovedFrom})
	if err != nil {
		return err
	}
	return errors.Join(s.SignOut(ctx), s.Close())
}

// signOutOf ends the session in a profile's store.
func signOutOf(ctx context.Context, c console, p *profile.Profile) error {
	s, err := openProfile(ctx, c, p, nil)
	if err != nil {
		return err
	}
	return errors.Join(s.SignOut(ctx), s.Close())
}

func explainSignIn(err error, url string) error {
	temporary, ok := errors.AsType[*tandem.TemporaryError](err)
	switch {
	case !ok:
		return err
	case !isAway(temporary.Err):
		return &wrongServerError{url: url, err: temporary.Err}
	}
	return &wordedError{text: fmt.Sprintf("cannot sign in at %s just now; is that the address of a Tandem server? %v", url, temporary.Err), err: err}
}

// ask asks for a line and lets the terminal echo it.
func ask(c console, text string) (string, error) {
	if !c.asks() {
		return "", errors.New("there is no terminal to ask for the name: give it with --username")
	}
	fmt.Fprint(c.err, text)
	line, err := bufio.NewReader(c.in).ReadString('\n')
	if line = strings.TrimSpace(line); line == "" {
		return "", errors.Join(errors.New("no name was given"), err)
	}
	return line, nil
}

// device is the name under which this session appears in the user's list of sessions.
func device() string {
	host, err := os.Hostname()
	if err != nil {
		return "tandem command on " + runtime.GOOS
	}
	return "tandem command on " + host
}
