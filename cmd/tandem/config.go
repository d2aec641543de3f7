package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/tandem-auth/tandem/internal/configfile"
	"github.com/tandem-auth/tandem/internal/daemon"
)

type configCommand struct {
	Check configCheckCommand `cmd:"" help:"Check the settings of a server, without starting it."`
	Print configPrintCommand `cmd:"" help:"Print the settings of a server, and where each is from."`
}

type configCheckCommand struct {
	serveFlags `embed:""`
}

// Run checks what tandem serve checks before it opens the store and listens.
func (cmd *configCheckCommand) Run(c console) error {
	config, err := cmd.daemonConfig()
	if err == nil {
		err = daemon.Check(config)
	}
	if err != nil {
		return nameFlag(err)
	}
	for _, text := range strangeVariables() {
		c.warn("unknown_variable", "warning: %s", text)
	}
	return c.print(checkedAnswer{OK: true}, "The settings are good. tandem doctor looks at what they name: the store, the files, the address.\n")
}

// A checkedAnswer is the result that --json prints.
type checkedAnswer struct {
	OK bool `json:"ok"`
}

type configPrintCommand struct {
	serveFlags `embed:""`
}

// Run prints the settings as a configuration file.
func (cmd *configPrintCommand) Run(kctx *kong.Context, c console) error {
	file := cmd.configFile()
	var settings []printedSetting
	for _, flag := range kctx.Selected().Flags {
		if flag.Name == "config" {
			continue
		}
		settings = append(settings, printedSetting{Name: flag.Name, Value: cmd.shown(flag), From: cmd.source(kctx, file, flag)})
	}
	if c.json {
		return printJSON(c.out, settings)
	}
	for _, s := range settings {
		var value strings.Builder // JSON is YAML
		encoder := json.NewEncoder(&value)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(s.Value); err != nil {
			return err
		}
		line := s.Name + ": " + strings.TrimSpace(value.String())
		if s.From == fromDefault {
			line = "# " + line
		}
		fmt.Fprintf(c.out, "%-50s # %s\n", line, s.From)
	}
	return nil
}

// A printedSetting is a setting as --json prints it.
type printedSetting struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
	From  string `json:"from"`
}

const fromDefault = "default"

// shown returns the value of a flag, without the secrets of a store's URL.
func (cmd *serveFlags) shown(flag *kong.Flag) any {
	if flag.Name == "store" && cmd.Store != "" {
		location, err := cmd.location()
		if err != nil {
			return "(not valid)"
		}
		return location.String()
	}
	switch value := flag.Target.Interface().(type) {
	case bool, int:
		return value
	case []string:
		return append([]string{}, value...)
	case []network:
		texts := []string{}
		for _, n := range value {
			texts = append(texts, n.String())
		}
		return texts
	case time.Duration:
		return short(value)
	case retryWindow:
		return value.String()
	case fmt.Stringer:
		return value.String()
	default:
		return fmt.Sprint(value)
	}
}

// short formats a duration without the zeros at its end: 2h and not 2h0m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// configFile reads the configuration file once more, for its lines. It returns nil if there
// is none, or if it is no regular file: a pipe can be read only once.
func (cmd *serveFlags) configFile() *configfile.File {
	if cmd.Config == "" {
		return nil
	}
	path := kong.ExpandPath(string(cmd.Config))
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	file, err := configfile.Read(f, string(cmd.Config))
	if err != nil {
		return nil
	}
	return file
}

// source says where the value of a flag is from.
func (cmd *serveFlags) source(kctx *kong.Context, file *configfile.File, flag *kong.Flag) string {
	inFile := false
	for _, path := range kctx.Path {
		if path.Flag == flag {
			if !path.Resolved {
				return "command line"
			}
			inFile = true
		}
	}
	if name, isSet := variableOf(flag); isSet {
		return name
	}
	if !inFile {
		return fromDefault
	}
	if file != nil {
		if setting, isSet := file.Settings[flag.Name]; isSet {
			return fmt.Sprintf("%s, line %d", cmd.Config, setting.Line)
		}
	}
	return string(cmd.Config)
}

// settings reads the settings of a server again, from the command line of this process, the
// environment and the file as it is now.
func (c console) settings() (*serveFlags, error) {
	var line commands
	parser, err := newParser(&line, c)
	if err != nil {
		return nil, err
	}
	if _, err := parser.Parse(c.args); err != nil {
		return nil, err
	}
	return &line.Serve.serveFlags, nil
}

// foreignVariables match variables that other programs set and that look like Tandem's: those
// that Kubernetes makes for a service named tandem, and TANDEM_VERSION in images.
var foreignVariables = regexp.MustCompile(`^TANDEM(_[A-Z0-9_]+)?_(PORT|SERVICE_HOST|SERVICE_PORT)(_[A-Z0-9_]+)?$|^TANDEM_(PORT|SERVICE)(_[A-Z0-9_]*)?$|^TANDEM_VERSION$`)

// strangeVariables describes the variables of the environment that are named like settings,
// but set none.
func strangeVariables() []string {
	parser, err := newParser(&commands{}, console{})
	if err != nil {
		return nil
	}
	known := map[string]bool{masterKeyVariable: true}
	for _, command := range parser.Model.Leaves(false) {
		for _, group := range command.AllFlags(false) {
			for _, flag := range group {
				for _, name := range flag.Envs {
					known[name] = true
				}
			}
		}
	}
	var found []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "TANDEM_") || known[name] || foreignVariables.MatchString(name) {
			continue
		}
		text := fmt.Sprintf("the variable %s of the environment sets nothing", name)
		if best := configfile.Closest(name, slices.Sorted(maps.Keys(known))); best != "" {
			text += fmt.Sprintf("; did you mean %s?", best)
		}
		found = append(found, text)
	}
	slices.Sort(found)
	return found
}

// unsetEmptyVariables lets an empty variable mean that it is not set, as in
// TANDEM_ISSUER=${ISSUER:-} of a compose file.
func unsetEmptyVariables() {
	for _, entry := range os.Environ() {
		if name, value, _ := strings.Cut(entry, "="); value == "" && strings.HasPrefix(name, "TANDEM_") {
			_ = os.Unsetenv(name)
		}
	}
}

func warnOfVariables(ctx context.Context, logger *slog.Logger) {
	for _, text := range strangeVariables() {
		logger.WarnContext(ctx, "a setting has no effect", "why", text)
	}
}
