// Command build writes the folder dist of the npm package @tandem-auth/browser. Run it in
// the package's folder. The type declarations need the packages that npm ci installs;
// without them it writes the scripts alone.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"github.com/tandem-auth/tandem/browser/internal/bundle"
)

func main() {
	if err := build(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func build(ctx context.Context) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	files, err := bundle.Scripts(dir)
	if err != nil {
		return err
	}
	types, err := bundle.Types(ctx, dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fmt.Fprintln(os.Stderr, "no type declarations: run npm ci first")
	case err != nil:
		return err
	}
	maps.Copy(files, types)
	dist := filepath.Join(dir, "dist")
	if err := os.MkdirAll(dist, 0o755); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dist, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
