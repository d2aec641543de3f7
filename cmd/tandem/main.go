// Command tandem runs and manages a Tandem server, and signs in to one: see tandem --help.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set by the build (-ldflags -X); without it, versionText reads the build info.
var version string

type commands struct {
	Login    loginCommand    `cmd:"" group:"Being signed in:" help:"Sign in to a server, and keep the session for the commands below."`
	Status   statusCommand   `cmd:"" group:"Being signed in:" help:"Say who is signed in."`
	Profiles profilesCommand `cmd:"" group:"Being signed in:" help:"List the servers that there is a profile of, and who is signed in there."`
	Token    tokenCommand    `cmd:"" group:"Being signed in:" help:"Print an access token that is good now."`
	Fetch    fetchCommand    `cmd:"" group:"Being signed in:" help:"Make a request in the name of who is signed in."`
	Proxy    proxyCommand    `cmd:"" group:"Being signed in:" help:"Make requests for programs in any language: a local address that adds the access token."`
	Logout   logoutCommand   `cmd:"" group:"Being signed in:" help:"Sign out."`

	Serve  serveCommand  `cmd:"" group:"Running a server:" help:"Run a server that signs people in and keeps them signed in."`
	Config configCommand `cmd:"" group:"Running a server:" help:"Check and print the settings of a server."`
	Doctor doctorCommand `cmd:"" group:"Running a server:" help:"Look at what a server with these settings needs and has, and say what is wrong and how to mend it."`
	Health healthCommand `cmd:"" group:"Running a server:" help:"Ask a server whether it is ready, for the health check of a container."`
	Try    tryCommand    `cmd:"" group:"Running a server:" help:"Try it in the browser: a server with a demo user and 20-second tokens."`
	Demo   demoCommand   `cmd:"" group:"Running a server:" help:"Try it in the terminal: 64 workers, a bad network, and nobody signed out."`
	User   userCommand   `cmd:"" group:"Running a server:" help:"Add, list and remove users; change passwords and roles; disable, enable, unlock and recover."`

	Session  sessionCommand  `cmd:"" group:"Running a server:" help:"List, show and end sessions."`
	Audit    auditCommand    `cmd:"" group:"Running a server:" help:"Print who did what: sign-ins, ends of sessions, what administrators did, keys."`
	AdminKey adminKeyCommand `cmd:"" group:"Running a server:" help:"Add, list and remove keys of the HTTP API for administrators."`

	Client clientCommand `cmd:"" group:"Running a server:" help:"Add, list and remove OAuth 2 clients."`
	API    apiCommand    `cmd:"" name:"api" group:"Running a server:" help:"Add an API that follows the ends of sessions, and asks about tokens."`

	Backup    backupCommand    `cmd:"" group:"Running a server:" help:"Back up a server's data folder to a file, while the server runs; --backup-dir of tandem serve does so on a schedule."`
	BackupKey backupKeyCommand `cmd:"" group:"Running a server:" help:"Make the key that opens sealed backups."`
	Restore   restoreCommand   `cmd:"" group:"Running a server:" help:"Make a data folder from a backup, or try whether that would work."`

	Keys      keysCommand      `cmd:"" group:"Running a server:" help:"List, rotate and revoke the keys of a server."`
	MasterKey masterKeyCommand `cmd:"" group:"Running a server:" help:"Make a master key for servers that share a store."`

	Completion completionCommand `cmd:"" group:"More:" help:"Print what bash, zsh or fish needs to complete tandem's arguments."`
	Complete   completeCommand   `cmd:"" name:"__complete" hidden:""`

	JSON bool `name:"json" env:"-" help:"Print JSON: the result on standard output, an error on standard error, and what is logged."`

	// Container images often set TANDEM_VERSION, to a version and not to true or false.
	Version kong.VersionFlag `env:"-" help:"Print the version."`
}

func main() {
	unsetEmptyVariables()
	os.Exit(run(os.Args[1:], console{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// run executes a command line and returns the exit code: see exitCodes.
func run(args []string, c console) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// After the first signal stop restores the default: a second signal ends the process.
	context.AfterFunc(ctx, stop)

	var line commands
	exit := -1
	parser, err := newParser(&line, c,
		kong.Exit(func(code int) { exit = code }),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		return c.fail(ctx, err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	c.args = args
	command, err := parser.Parse(args)
	if exit >= 0 { // kong has printed --help or --version
		return exit
	}
	if err != nil {
		c.json = slices.Contains(args, "--json")
		return c.failUsage(err)
	}
	c.json = line.JSON
	c.log = &logOutput{}
	defer c.log.close()
	if err := command.Run(c); err != nil {
		if c.log.lines != nil {
			c.err = c.log.lines // drops the line, instead of blocking, if nobody reads the log
		}
		return c.fail(ctx, err)
	}
	return exitOK
}

// newParser returns the parser of a command line.
func newParser(line *commands, c console, more ...kong.Option) (*kong.Kong, error) {
	return kong.New(line, append([]kong.Option{
		kong.Name("tandem"),
		kong.Description("Tandem keeps people signed in.\n\n" + exitCodes),
		kong.Vars{"version": versionText()},
		kong.Writers(c.out, c.err),
		kong.DefaultEnvars("TANDEM"),
		kong.Configuration(loadConfigFile),
	}, more...)...)
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
