package bundle

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// relative is an import of another declaration file.
var relative = regexp.MustCompile(`from "\./([\w-]+)\.js"`)

// Types has the TypeScript compiler check the sources, and returns the declarations that
// the entries need, by their names in dist: index.d.ts for modules, index.d.cts for
// CommonJS. It needs the package's development dependencies.
func Types(ctx context.Context, dir string) (map[string][]byte, error) {
	out, err := os.MkdirTemp("", "tandem-types-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(out)
	tsc := exec.CommandContext(ctx, filepath.Join(dir, "node_modules", ".bin", "tsc"), "--project", ".", "--outDir", out)
	tsc.Dir = dir
	if text, err := tsc.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(tsc.Args, " "), err, text)
	}
	todo, err := entries(dir)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		if files[name+".d.ts"] != nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join(out, name+".d.ts"))
		if err != nil {
			return nil, err
		}
		text = bytes.TrimSpace(text)
		files[name+".d.ts"] = append(text, '\n')
		files[name+".d.cts"] = append(relative.ReplaceAll(text, []byte(`from "./$1.cjs"`)), '\n')
		for _, match := range relative.FindAllSubmatch(text, -1) {
			todo = append(todo, string(match[1]))
		}
	}
	return files, nil
}
