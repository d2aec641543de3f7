package main

import (
	"bytes"
	"go/ast"
	"regexp"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// uncheckedByHabit are calls whose errors nobody looks at, as golangci-lint's preset
// std-error-handling has them.
var uncheckedByHabit = regexp.MustCompile(`(Close|Flush|os\.Remove(All)?|[pP]rint(f|ln)?|os\.(Un)?[sS]etenv)\(`)

// filtered returns the analyzer without what it reports in generated files, on lines
// with a nolint comment for it, and, unless inTests is set, in tests.
func filtered(a *analysis.Analyzer, inTests bool) *analysis.Analyzer {
	wrapped := *a
	wrapped.Run = func(pass *analysis.Pass) (any, error) {
		report := pass.Report
		pass.Report = func(d analysis.Diagnostic) {
			if !skipped(pass, d, a.Name, inTests) {
				report(d)
			}
		}
		return a.Run(pass)
	}
	return &wrapped
}

func skipped(pass *analysis.Pass, d analysis.Diagnostic, name string, inTests bool) bool {
	at := pass.Fset.Position(d.Pos)
	if strings.HasSuffix(at.Filename, "_test.go") && !inTests {
		return true
	}
	// The answers there are in memory: there is no connection to let go.
	if name == "bodyclose" && strings.Contains(at.Filename, "/internal/proof/simulation/") {
		return true
	}
	for _, file := range pass.Files {
		if file.FileStart > d.Pos || d.Pos >= file.FileEnd {
			continue
		}
		if ast.IsGenerated(file) || hasNolint(pass, file, at.Line, name) {
			return true
		}
	}
	if name != "errcheck" {
		return false
	}
	text, err := pass.ReadFile(at.Filename)
	if err != nil {
		return false
	}
	lines := bytes.Split(text, []byte("\n"))
	return at.Line <= len(lines) && uncheckedByHabit.Match(lines[at.Line-1])
}

// hasNolint looks for a comment nolint:name on the line, or on the one above. That of
// staticcheck goes for each of its checks.
func hasNolint(pass *analysis.Pass, file *ast.File, line int, name string) bool {
	for _, group := range file.Comments {
		for _, comment := range group.List {
			list, ok := strings.CutPrefix(comment.Text, "//nolint:")
			if at := pass.Fset.Position(comment.Pos()).Line; !ok || at != line && at != line-1 {
				continue
			}
			list, _, _ = strings.Cut(list, " ")
			for one := range strings.SplitSeq(list, ",") {
				if one == name || one == "staticcheck" && strings.HasPrefix(name, "S") || one == "govet" {
					return true
				}
			}
		}
	}
	return false
}
