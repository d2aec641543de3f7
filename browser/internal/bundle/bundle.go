// Package bundle makes the files of the npm package @tandem-auth/browser out of its
// TypeScript sources. It needs no Node.js, except for the type declarations.
package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// name is the package's name, under which its other entries import the core.
const name = "@tandem-auth/browser"

// Scripts bundles each entry of the package's exports map: "./axios" is src/axios.ts. It
// returns the files of dist by their names: for each entry a module (.js) and a CommonJS
// module (.cjs), and tandem.js, a classic script that sets the global tandem, each with
// its source map.
func Scripts(dir string) (map[string][]byte, error) {
	entries, err := entries(dir)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, entry := range entries {
		for extension, format := range map[string]api.Format{".js": api.FormatESModule, ".cjs": api.FormatCommonJS} {
			made, err := run(dir, entry, entry+extension, func(o *api.BuildOptions) {
				o.Format = format
				o.Target = api.ES2018
			})
			if err != nil {
				return nil, err
			}
			maps.Copy(files, made)
		}
	}
	classic, err := run(dir, "index", "tandem.js", func(o *api.BuildOptions) {
		o.Format = api.FormatIIFE
		o.GlobalName = "tandem"
		o.Target = api.ES2015
	})
	if err != nil {
		return nil, err
	}
	maps.Copy(files, classic)
	return files, nil
}

// Mangled matches the names of properties that no other file than the bundle's own sees.
// They are shortened.
const Mangled = `[a-z]_$`

func run(dir, entry, output string, change func(o *api.BuildOptions)) (map[string][]byte, error) {
	dist := filepath.Join(dir, "dist")
	options := api.BuildOptions{
		AbsWorkingDir:     dir,
		EntryPoints:       []string{filepath.Join("src", entry+".ts")},
		Outfile:           filepath.Join(dist, output),
		Bundle:            true,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		MangleProps:       Mangled,
		Sourcemap:         api.SourceMapLinked,
		Platform:          api.PlatformBrowser,
		Charset:           api.CharsetUTF8,
		LegalComments:     api.LegalCommentsNone,
		External:          peers(dir),
	}
	if entry != "index" {
		options.Plugins = []api.Plugin{core}
	}
	change(&options)
	result := api.Build(options)
	if len(result.Errors) > 0 {
		return nil, errors.New(strings.Join(api.FormatMessages(result.Errors, api.FormatMessagesOptions{}), "\n"))
	}
	files := map[string][]byte{}
	for _, file := range result.OutputFiles {
		files[filepath.Base(file.Path)] = file.Contents
	}
	return files, nil
}

// core has the other entries import the core from the package instead of repeating it.
var core = api.Plugin{Name: "core", Setup: func(build api.PluginBuild) {
	build.OnResolve(api.OnResolveOptions{Filter: `^\./index\.js$`}, func(api.OnResolveArgs) (api.OnResolveResult, error) {
		return api.OnResolveResult{Path: name, External: true}, nil
	})
}}

// manifest is what the build reads of package.json.
type manifest struct {
	Exports          map[string]any    `json:"exports"`
	PeerDependencies map[string]string `json:"peerDependencies"`
}

func readManifest(dir string) (manifest, error) {
	var m manifest
	text, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("package.json: %w", err)
	}
	return m, nil
}

func entries(dir string) ([]string, error) {
	m, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	var all []string
	for path := range m.Exports {
		switch path {
		case ".":
			all = append(all, "index")
		case "./package.json":
		default:
			all = append(all, strings.TrimPrefix(path, "./"))
		}
	}
	slices.Sort(all)
	return all, nil
}

// peers are the packages that an entry is for, such as vue: the app has them.
func peers(dir string) []string {
	m, err := readManifest(dir)
	if err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(m.PeerDependencies))
}
