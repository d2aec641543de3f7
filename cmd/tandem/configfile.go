package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/alecthomas/kong"
)

// A configFile holds the settings of a JSON file: an object whose keys are the names of
// flags. The command line overrides the environment, and the environment the file.
type configFile map[string]any

func loadConfigFile(r io.Reader) (kong.Resolver, error) {
	text := bufio.NewReader(r)
	if start, err := text.Peek(len(byteOrderMark)); err == nil && string(start) == byteOrderMark {
		_, _ = text.Discard(len(byteOrderMark))
	}
	decoder := json.NewDecoder(text)
	var values configFile
	if err := decoder.Decode(&values); err != nil {
		return nil, fmt.Errorf("the configuration file must be a JSON object such as {\"listen\": \":8080\"}: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the configuration file has something behind its JSON object")
	}
	return values, nil
}

// Validate refuses keys that are not the name of a flag, which kong would ignore.
func (f configFile) Validate(app *kong.Application) error {
	known := map[string]bool{}
	for _, command := range app.Leaves(true) {
		for _, group := range command.AllFlags(true) {
			for _, flag := range group {
				known[flag.Name] = true
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(f)) {
		if _, bare := f[key].(float64); bare {
			// kong would take a duration without a unit for nanoseconds.
			return fmt.Errorf("the configuration file has the number %v for %q; durations are written like \"10s\" or \"2h\", in quotes", f[key], key)
		}
		if !known[key] {
			return fmt.Errorf("the configuration file has the setting %q, which there is none of; its keys are the names of flags, such as \"access-ttl\"", key)
		}
	}
	return nil
}

// Resolve returns the file's value for a flag, or nil if the environment sets the flag.
func (f configFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	return f[flag.Name], nil
}
