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
)

// version is set by the build.
var version string

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	// exitInterrupted is what shells expect of a command that SIGINT has ended.
	exitInterrupted = 130
)

type commands struct {
	Serve serveCommand `cmd:"" help:"Run a server that signs people in and keeps them signed in."`
	Try   tryCommand   `cmd:"" help:"Try it in the browser: a server with a demo user and 20-second tokens."`
	Demo  demoCommand  `cmd:"" help:"Try it in the terminal: 64 workers, a bad network, and nobody signed out."`
	User  userCommand  `cmd:"" help:"Add, list and remove users, change passwords."`

	Backup  backupCommand  `cmd:"" help:"Back up a server's data folder to a file, while the server runs."`
	Restore restoreCommand `cmd:"" help:"Make a data folder from a backup."`

	MasterKey masterKeyCommand `cmd:"" help:"Make a master key for servers that share a store."`

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

// run carries out a command line and returns the exit code: 0, 1 if the command
// failed, 2 if the command line makes no sense, 130 if it was interrupted.
func run(args []string, c console) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)

	exit := -1
	parser, err := kong.New(&commands{},
		kong.Name("tandem"),
		kong.Description("Tandem keeps people signed in."),
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
	fmt.Fprintln(c.err, "tandem:", err)
	return exitFailed
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
