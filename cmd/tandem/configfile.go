package main

import (
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/tandem-auth/tandem/internal/configfile"
)

// byteOrderMark is what some Windows programs write before UTF-8 text.
const byteOrderMark = "\ufeff"

// A configResolver gives kong the settings of a configuration file, whose keys are the names
// of flags. The command line overrides the environment, and the environment the file.
type configResolver struct{ file *configfile.File }

func loadConfigFile(r io.Reader) (kong.Resolver, error) {
	name := "the configuration file"
	if file, ok := r.(*os.File); ok {
		name = file.Name()
	}
	file, err := configfile.Read(r, name)
	if err != nil {
		return nil, err
	}
	return configResolver{file}, nil
}

// settingNames returns what a configuration file may set: the flags of tandem serve.
func settingNames(app *kong.Application) []string {
	var names []string
	for _, command := range app.Leaves(true) {
		if command.Name != "serve" {
			continue
		}
		for _, group := range command.AllFlags(true) {
			for _, flag := range group {
				names = append(names, flag.Name)
			}
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains([]string{"config", "help", "json", "version"}, name) })
	slices.Sort(names)
	return names
}

// Validate refuses keys that are not the name of a flag, which kong would ignore.
func (c configResolver) Validate(app *kong.Application) error {
	return c.file.Check(settingNames(app))
}

// Resolve returns the file's value for a flag, or nil if the environment sets the flag.
func (c configResolver) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if _, inEnvironment := variableOf(flag); inEnvironment {
		return nil, nil
	}
	var isDuration bool
	switch flag.Target.Interface().(type) {
	case time.Duration, retryWindow:
		isDuration = true
	}
	values, err := c.file.Values(flag.Name, isDuration)
	if err != nil || values == nil {
		return nil, err
	}
	if flag.IsSlice() {
		return kong.JoinEscaped(values, flag.Tag.Sep), nil
	}
	return strings.Join(values, ","), nil
}

// variableOf returns the variable of the environment that sets a flag.
func variableOf(flag *kong.Flag) (name string, isSet bool) {
	for _, name := range flag.Envs {
		if _, isSet := os.LookupEnv(name); isSet {
			return name, true
		}
	}
	return "", false
}
