package browser_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem/internal/testkit/need"
)

// A snippet is a block of code in a page of the documentation.
type snippet struct {
	line     int
	language string
	// file is the name in a comment on the block's first line, such as src/auth.ts.
	file string
	code string
}

var (
	fenced   = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")
	fileName = regexp.MustCompile(`^(?://|<!--) ([\w./-]+\.\w+)(?: -->)?\n`)
)

func snippets(t *testing.T, page string) []snippet {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var all []snippet
	for _, at := range fenced.FindAllSubmatchIndex(text, -1) {
		s := snippet{
			line:     strings.Count(string(text[:at[0]]), "\n") + 1,
			language: string(text[at[2]:at[3]]),
			code:     string(text[at[4]:at[5]]),
		}
		if name := fileName.FindStringSubmatch(s.code); name != nil {
			s.file = name[1]
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		t.Fatalf("%s has no code", page)
	}
	return all
}

// docs returns the pages about the SDK, in English.
func docs(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob("../docs/browser*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages = append(pages, "README.md")
	var english []string
	for _, page := range pages {
		if !strings.HasSuffix(page, ".zh-CN.md") {
			english = append(english, page)
		}
	}
	return english
}

func chinese(page string) string { return strings.TrimSuffix(page, ".md") + ".zh-CN.md" }

// scriptOfVue matches the script of a single-file component. Its template is not checked.
var scriptOfVue = regexp.MustCompile(`(?s)<script[^>]*>\n(.*?)</script>`)

// The TypeScript in the pages compiles, strictly. The blocks that name a file see each
// other; the others are files in src. Of JavaScript, the syntax is checked.
func TestTheCodeInTheDocsCompiles(t *testing.T) {
	if _, err := os.Stat("node_modules/typescript"); err != nil {
		need.Missing(t, "typescript")
	}
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	if err := os.Symlink(filepath.Join(root, "node_modules"), filepath.Join(out, "node_modules")); err != nil {
		t.Fatal(err)
	}
	for _, page := range docs(t) {
		for _, page := range []string{page, chinese(page)} {
			folder := filepath.Join(out, filepath.Base(page))
			for _, s := range snippets(t, page) {
				writeSnippet(t, folder, s)
			}
		}
	}
	config, err := json.Marshal(map[string]any{
		"compilerOptions": map[string]any{
			"target": "es2022", "lib": []string{"es2022", "dom", "dom.iterable"}, "module": "esnext", "moduleResolution": "bundler",
			"moduleDetection": "force", "verbatimModuleSyntax": true, "strict": true,
			"noEmit": true, "allowJs": true, "jsx": "react-jsx", "types": []string{}, "skipLibCheck": true,
			"paths": map[string][]string{
				"@tandem-auth/browser":   {filepath.Join(root, "src/index.ts")},
				"@tandem-auth/browser/*": {filepath.Join(root, "src/*.ts")},
			},
		},
		"include": []string{out, filepath.Join(root, "testdata/docs")},
	})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(out, "tsconfig.json"), string(config))
	tsc := exec.CommandContext(t.Context(), filepath.Join(root, "node_modules/.bin/tsc"), "--project", out)
	tsc.Dir = out // the names of the files in its messages tell page and line
	if text, err := tsc.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

// writeSnippet writes a block into a file whose lines have the numbers that they have in
// the page.
func writeSnippet(t *testing.T, folder string, s snippet) {
	t.Helper()
	code := s.code
	extension := s.language
	switch s.language {
	case "ts", "tsx", "js", "jsx":
	case "vue":
		script := scriptOfVue.FindStringSubmatchIndex(code)
		if script == nil {
			t.Fatalf("line %d of %s has no script", s.line, folder)
		}
		s.line += strings.Count(code[:script[2]], "\n")
		code = code[script[2]:script[3]]
		extension = "vue.ts"
	default:
		return
	}
	name := filepath.Join(folder, strings.TrimSuffix(s.file, "."+s.language)+"."+extension)
	if _, err := os.Stat(name); err == nil || s.file == "" {
		name = filepath.Join(folder, "src", fmt.Sprintf("line-%d.%s", s.line, extension))
	}
	write(t, name, strings.Repeat("\n", s.line)+code)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// words are what differs between languages: comments, and what a user reads.
var words = regexp.MustCompile(`(?m)(^| +)//.*$|/\*.*?\*/|<!--.*?-->|"[^"\n]*"|` + "`[^`\n]*`" + `|>[^<>{}=]+<|(^| +)#.*$`)

// The Chinese pages have the same code.
func TestTheCodeInBothLanguagesIsTheSame(t *testing.T) {
	for _, page := range docs(t) {
		english, chinese := snippets(t, page), snippets(t, chinese(page))
		if len(english) != len(chinese) {
			t.Errorf("%s has %d blocks of code, and %d in Chinese", page, len(english), len(chinese))
			continue
		}
		for i := range english {
			e, c := english[i], chinese[i]
			if e.file != c.file || e.language != c.language || words.ReplaceAllString(e.code, "") != words.ReplaceAllString(c.code, "") {
				t.Errorf("%s differs at line %d, in Chinese at %d:\n%s\n%s", page, e.line, c.line, e.code, c.code)
			}
		}
	}
}

// The page on the SDK says how large it is, to half a kilobyte. The command in
// browser/sizes writes the table.
func TestTheSizeInTheDocs(t *testing.T) {
	size := float64(zipped(t, scripts(t)["index.js"])) / 1000
	row := regexp.MustCompile("(?m)^\\| `@tandem-auth/browser` .* ([0-9.]+) kB \\|$")
	for _, page := range []string{guide, chinese(guide)} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		match := row.FindSubmatch(text)
		if match == nil {
			t.Fatalf("%s does not have the SDK's size", page)
		}
		said, err := strconv.ParseFloat(string(match[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(said-size) > 0.5 {
			t.Errorf("%s says %.1f kB, and it is %.1f kB: run go run . -update in browser/sizes", page, said, size)
		}
	}
}
