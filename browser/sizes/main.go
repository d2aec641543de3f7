// Command sizes measures what the SDK and comparable packages add to a page, and prints
// the rows of the table in docs/browser.md. Each package is bundled by itself, as an app
// that imports its main function would, for current browsers. Run it in this folder,
// after npm ci; with -update it writes the rows into docs.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"

	"github.com/tandem-auth/tandem/browser/internal/bundle"
)

// own is the name of the SDK's package.
const own = "@tandem-auth/browser"

// subjects are what an app imports.
var subjects = []struct {
	pkg, imported string
	from          string // the entry of the package, if it is not the main one
	alone         bool   // without axios, which the app has
}{
	{pkg: own, imported: "createAuth"},
	{pkg: own, from: "/axios", imported: "attach", alone: true},
	{pkg: "axios-auth-refresh", imported: "createAuthRefresh", alone: true},
	{pkg: "better-auth", imported: "createAuthClient", from: "/client"},
	{pkg: "@auth0/auth0-spa-js", imported: "createAuth0Client"},
	{pkg: "oidc-client-ts", imported: "UserManager"},
	{pkg: "@supabase/auth-js", imported: "AuthClient"},
}

// pages are the files that have the table.
var pages = []string{"../../docs/browser.md", "../../docs/browser.zh-CN.md"}

// marker is in a line of its own before the table.
const marker = "<!-- The rows are those of: cd browser/sizes && npm ci && go run . -->"

func main() {
	update := flag.Bool("update", false, "write the table into docs")
	flag.Parse()
	if err := run(*update); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(update bool) error {
	sdk, err := filepath.Abs("..")
	if err != nil {
		return err
	}
	files, err := bundle.Scripts(sdk)
	if err != nil {
		return err
	}
	var rows strings.Builder
	for _, s := range subjects {
		code := fmt.Sprintf("export { %s } from %q", s.imported, s.pkg+s.from)
		text, err := minified(code, files, s.alone)
		if err != nil {
			return fmt.Errorf("%s: %w", s.pkg, err)
		}
		zipped, err := zippedSize(text)
		if err != nil {
			return err
		}
		version, err := version(s.pkg)
		if err != nil {
			return err
		}
		fmt.Fprintf(&rows, "| `%s` %s | `%s` | %s | %s |\n", s.pkg+s.from, version, s.imported, kB(len(text)), kB(zipped))
	}
	fmt.Print(rows.String())
	if !update {
		return nil
	}
	for _, page := range pages {
		if err := replaceRows(page, rows.String()); err != nil {
			return err
		}
	}
	return nil
}

// minified bundles code. The SDK's own files are those that its build makes.
func minified(code string, sdk map[string][]byte, alone bool) ([]byte, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	options := api.BuildOptions{
		Stdin:         &api.StdinOptions{Contents: code, ResolveDir: dir},
		AbsWorkingDir: dir,
		Bundle:        true,
		Format:        api.FormatESModule,
		Platform:      api.PlatformBrowser,
		Target:        api.ES2022,
		Define:        map[string]string{"process.env.NODE_ENV": `"production"`},
		LegalComments: api.LegalCommentsNone,

		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		Plugins: []api.Plugin{{Name: "sdk", Setup: func(build api.PluginBuild) {
			build.OnResolve(api.OnResolveOptions{Filter: "^" + own + "(/|$)"}, func(args api.OnResolveArgs) (api.OnResolveResult, error) {
				return api.OnResolveResult{Path: args.Path, Namespace: "sdk"}, nil
			})
			build.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: "sdk"}, func(args api.OnLoadArgs) (api.OnLoadResult, error) {
				entry := "index"
				if args.Path != own {
					entry = strings.TrimPrefix(args.Path, own+"/")
				}
				text := string(sdk[entry+".js"])
				return api.OnLoadResult{Contents: &text}, nil
			})
		}}},
	}
	if alone {
		options.External = []string{"axios"}
	}
	result := api.Build(options)
	if len(result.Errors) > 0 {
		return nil, errors.New(strings.Join(api.FormatMessages(result.Errors, api.FormatMessagesOptions{}), "\n"))
	}
	return result.OutputFiles[0].Contents, nil
}

// zippedSize returns the size that gzip makes of text.
func zippedSize(text []byte) (int, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return 0, err
	}
	if _, err := w.Write(text); err != nil {
		return 0, err
	}
	if err := w.Close(); err != nil {
		return 0, err
	}
	return out.Len(), nil
}

// version returns the version of an installed package.
func version(pkg string) (string, error) {
	folder := filepath.Join("node_modules", pkg)
	if pkg == own {
		folder = ".."
	}
	text, err := os.ReadFile(filepath.Join(folder, "package.json"))
	if err != nil {
		return "", err
	}
	var manifest struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		return "", fmt.Errorf("package.json of %s: %w", pkg, err)
	}
	return manifest.Version, nil
}

func kB(bytes int) string { return fmt.Sprintf("%.1f kB", float64(bytes)/1000) }

// replaceRows replaces the rows of the table after the marker. Its head, which is in the
// page's language, stays.
func replaceRows(page, rows string) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), marker+"\n\n")
	lines := strings.SplitAfterN(rest, "\n", 3)
	if !ok || len(lines) != 3 {
		return fmt.Errorf("%s has no table after %q", page, marker)
	}
	_, after, ok := strings.Cut(lines[2], "\n\n")
	if !ok {
		return fmt.Errorf("%s: nothing follows the table", page)
	}
	return os.WriteFile(page, []byte(before+marker+"\n\n"+lines[0]+lines[1]+rows+"\n"+after), 0o644)
}
