package browser_test

import (
	"bytes"
	"compress/gzip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evanw/esbuild/pkg/api"

	"github.com/tandem-auth/tandem/browser"
	"github.com/tandem-auth/tandem/browser/internal/bundle"
	"github.com/tandem-auth/tandem/internal/testkit/need"
)

// The binary serves what the sources say.
func TestTheScriptIsBuiltFromTheSources(t *testing.T) {
	for name, want := range scripts(t) {
		var have []byte
		switch name {
		case "tandem.js":
			have = browser.Script
		case "tandem.js.map":
			have = browser.SourceMap
		default:
			continue
		}
		if !bytes.Equal(have, want) {
			t.Errorf("dist/%s is not what src builds to: run npm run build in browser", name)
		}
	}
}

func scripts(t *testing.T) map[string][]byte {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	files, err := bundle.Scripts(dir)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// limits has the sizes in bytes that files may have, compressed as a server would.
var limits = map[string]int{
	"index.js":  8100,
	"tandem.js": 8700,
	"axios.js":  1024,
	"react.js":  512,
	"upload.js": 1024,
	"vue.js":    1024,
}

func TestTheSDKIsSmall(t *testing.T) {
	files := scripts(t)
	for name, limit := range limits {
		if size := zipped(t, files[name]); size > limit {
			t.Errorf("%s has %d bytes, compressed, and may have %d", name, size, limit)
		} else {
			t.Logf("%s: %d bytes, compressed", name, size)
		}
	}
}

func zipped(t *testing.T, text []byte) int {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Len()
}

// The tests in test/*.test.ts run in Node.js.
func TestInNode(t *testing.T) {
	files, err := filepath.Glob("test/*.test.ts")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests: %v", err)
	}
	runInNode(t, files)
}

// runInNode bundles test files, and runs them.
func runInNode(t *testing.T, files []string, env ...string) {
	t.Helper()
	node := need.Program(t, "node")
	args := []string{"--enable-source-maps", "--test", "--test-reporter=spec"}
	for _, file := range files {
		args = append(args, buildTest(t, file))
	}
	vectors, err := filepath.Abs("../testdata/vectors")
	if err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), node, args...)
	run.Env = append(os.Environ(), "VECTORS="+vectors)
	run.Env = append(run.Env, env...)
	text, err := run.CombinedOutput()
	t.Logf("%s", text)
	if err != nil {
		t.Error(err)
	}
}

// buildTest bundles a test for Node.js and returns the path of the result.
func buildTest(t *testing.T, file string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), strings.TrimSuffix(filepath.Base(file), ".ts")+".mjs")
	build(t, api.BuildOptions{
		EntryPoints: []string{file},
		Outfile:     out,
		Platform:    api.PlatformNode,
		Format:      api.FormatESModule,
		Write:       true,
	})
	return out
}

// build bundles a script as the package's own are, and returns it.
func build(t *testing.T, options api.BuildOptions) string {
	t.Helper()
	options.Bundle = true
	options.MangleProps = bundle.Mangled
	options.Sourcemap = api.SourceMapInline
	result := api.Build(options)
	if len(result.Errors) > 0 {
		t.Fatalf("bundle %q: %+v", options.EntryPoints, result.Errors)
	}
	return string(result.OutputFiles[0].Contents)
}

// published returns a folder with what npm would publish.
func published(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat("node_modules/typescript"); err != nil {
		need.Missing(t, "typescript")
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	types, err := bundle.Types(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	if err := os.CopyFS(filepath.Join(out, "src"), os.DirFS("src")); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for name, text := range scripts(t) {
		files["dist/"+name] = text
	}
	for name, text := range types {
		files["dist/"+name] = text
	}
	for _, name := range []string{"package.json", "README.md", "README.zh-CN.md"} {
		if files[name], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		path := filepath.Join(out, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// tsc finds nothing in the sources, strictly; publint and attw find nothing in the
// package that npm would publish.
func TestThePackageIsRight(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	out := published(t)
	for _, tool := range [][]string{{"publint", "run", out, "--strict"}, {"attw", "--pack", out}} {
		program, err := filepath.Abs(filepath.Join("node_modules", ".bin", tool[0]))
		if err != nil {
			t.Fatal(err)
		}
		text, err := exec.CommandContext(t.Context(), program, tool[1:]...).CombinedOutput()
		if err != nil || strings.Contains(string(text), "Suggestions:") {
			t.Errorf("%s: %v\n%s", tool[0], err, text)
		}
	}
	// An app for old browsers can use it: esbuild fails if it cannot express something in
	// ES2015. (That it works there is what the stories show, whose script is ES2015, too.)
	build(t, api.BuildOptions{
		Stdin: &api.StdinOptions{
			Contents:   `import { createAuth } from "@tandem-auth/browser"; window.auth = createAuth()`,
			ResolveDir: out,
		},
		Target: api.ES2015,
	})
}
