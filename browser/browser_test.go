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
	"index.js":  8000,
	"tandem.js": 8500,
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

// tsc checks the sources, strictly.
func TestTheTypesAreRight(t *testing.T) {
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
	if types["index.d.ts"] == nil || types["index.d.cts"] == nil {
		t.Errorf("declarations of %d files", len(types))
	}
}
