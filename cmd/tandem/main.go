// Command tandem runs and tends a Tandem server: see tandem --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/tandem-auth/tandem"
)

// version is set by the build.
var version string

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	// exitNotSignedIn: there is no session, or it has ended. Sign in.
	exitNotSignedIn = 3
	// exitTemporary: the server could not be reached, or was busy. The session lives;
	// try again.
	exitTemporary = 4
	// exitStatus: tandem fetch was answered with 400 or above.
	exitStatus = 5
	// exitInterrupted is what shells expect of a command that SIGINT has ended.
	exitInterrupted = 130
)

type commands struct {
	Login  loginCommand  `cmd:"" group:"Being signed in:" help:"Sign in to a server, and keep the session for the commands below."`
	Status statusCommand `cmd:"" group:"Being signed in:" help:"Say who is signed in."`
	Token  tokenCommand  `cmd:"" group:"Being signed in:" help:"Print an access token that is good now."`
	Fetch  fetchCommand  `cmd:"" group:"Being signed in:" help:"Make a request in the name of who is signed in."`
	Proxy  proxyCommand  `cmd:"" group:"Being signed in:" help:"Make requests for programs in any language: a local address that adds the access token."`
	Logout logoutCommand `cmd:"" group:"Being signed in:" help:"Sign out."`

	Serve serveCommand `cmd:"" group:"Running a server:" help:"Run a server that signs people in and keeps them signed in."`
	Try   tryCommand   `cmd:"" group:"Running a server:" help:"Try it in the browser: a server with a demo user and 20-second tokens."`
	Demo  demoCommand  `cmd:"" group:"Running a server:" help:"Try it in the terminal: 64 workers, a bad network, and nobody signed out."`
	User  userCommand  `cmd:"" group:"Running a server:" help:"Add, list and remove users, change passwords."`

	Backup  backupCommand  `cmd:"" group:"Running a server:" help:"Back up a server's data folder to a file, while the server runs."`
	Restore restoreCommand `cmd:"" group:"Running a server:" help:"Make a data folder from a backup."`

	MasterKey masterKeyCommand `cmd:"" group:"Running a server:" help:"Make a master key for servers that share a store."`

	// TANDEM_VERSION is a usual name in container images, and means something else.
	Version kong.VersionFlag `env:"-" help:"Print the version."`
}

// A console is what a command reads from and writes to.
type console struct {
	in       *os.File
	out, err io.Writer
}

func main() {
	os.Exit(run(os.Args[1:], console{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// exitCodes is part of the help.
const exitCodes = "Exit codes: 0; 1 failed; 2 wrong arguments; 3 not signed in, or the session has ended; " +
	"4 the server is away or busy, try again; 5 tandem fetch was answered with 400 or above; 130 interrupted."

// exitFor returns the exit code for an error.
func exitFor(err error) int {
	var (
		ended     *tandem.EndedError
		temporary *tandem.TemporaryError
		status    statusError
	)
	switch {
	case errors.Is(err, errSignIn), errors.Is(err, tandem.ErrNotSignedIn), errors.Is(err, tandem.ErrInvalidCredentials), errors.As(err, &ended):
		return exitNotSignedIn
	case errors.As(err, &temporary):
		return exitTemporary
	case errors.As(err, &status):
		return exitStatus
	}
	return exitFailed
}

// run carries out a command line and returns the exit code: see exitCodes.
func run(args []string, c console) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)

	exit := -1
	parser, err := kong.New(&commands{},
		kong.Name("tandem"),
		kong.Description("Tandem keeps people signed in.\n\n"+exitCodes),
		kong.Vars{"version": versionText()},
		kong.Writers(c.out, c.err),
		kong.Exit(func(code int) { exit = code }),
		kong.DefaultEnvars("TANDEM"),
		kong.Configuration(loadConfigFile),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(c),
	)
	if err != nil {
		fmt.Fprintln(c.err, "tandem:", err)
		return exitFailed
	}
	command, err := parser.Parse(args)
	if exit >= 0 { // --help and --version have done their work
		return exit
	}
	if err != nil {
		fmt.Fprintln(c.err, "tandem:", err)
		fmt.Fprintln(c.err, "Run tandem --help to see what there is.")
		return exitUsage
	}
	err = command.Run()
	switch {
	case err == nil:
		return exitOK
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(c.err, "tandem: interrupted:", err)
		return exitInterrupted
	}
	if errors.Is(err, tandem.ErrNotSignedIn) {
		err = errSignIn
	}
	fmt.Fprintln(c.err, "tandem:", err)
	return exitFor(err)
}

func versionText() string {
	if version != "" {
		return "tandem " + version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return "tandem " + info.Main.Version
	}
	return "tandem (unknown version)"
}
