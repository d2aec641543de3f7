package main

import (
	"fmt"
	"path/filepath"

	"github.com/alecthomas/kong"

	"github.com/tandem-auth/tandem/internal/completion"
	"github.com/tandem-auth/tandem/internal/profile"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish. In ~/.bashrc, for one: source <(tandem completion bash)"`
}

// Run prints the script with which a shell completes tandem's arguments.
func (cmd *completionCommand) Run(c console) error {
	script, err := completion.Script(cmd.Shell, "tandem")
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(c.out, script)
	return err
}

// A completeCommand is the hidden command that the completion scripts call.
type completeCommand struct {
	Words []string `arg:"" optional:""`
}

// Run prints the candidates for the last word.
func (cmd *completeCommand) Run(kctx *kong.Context, c console) error {
	sources := map[string]completion.Source{"profile": profileNames, "@file": filesBehindAt}
	for _, candidate := range completion.Complete(kctx.Model, cmd.Words, sources) {
		if _, err := fmt.Fprintf(c.out, "%s\t%s\n", candidate.Text, candidate.Help); err != nil {
			return err
		}
	}
	return nil
}

func profileNames(string) []string {
	root, err := profile.Root()
	if err != nil {
		return nil
	}
	names, err := profile.List(root)
	if err != nil {
		return nil
	}
	return names
}

// filesBehindAt returns the candidates for an argument @FILE.
func filesBehindAt(prefix string) []string {
	if prefix == "" || prefix[0] != '@' {
		return nil
	}
	names, err := filepath.Glob(prefix[1:] + "*")
	if err != nil {
		return nil
	}
	for i := range names {
		names[i] = "@" + names[i]
	}
	return names
}
