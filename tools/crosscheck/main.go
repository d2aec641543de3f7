// Command crosscheck type-checks packages and their tests for other systems than this one:
// crosscheck windows/amd64,darwin/arm64 ./... It reads everything from source, so that
// nothing has to be compiled for those systems first; of the dependencies it leaves out
// the bodies of functions. What only a compiler and a linker find, `make cross` does.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"

	"golang.org/x/tools/go/packages"
)

const mode = packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
	packages.NeedDeps | packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: crosscheck system/architecture,... package...")
		os.Exit(2)
	}
	failed := false
	for target := range strings.SplitSeq(os.Args[1], ",") {
		fmt.Println("checking for", target)
		problems, err := check(target, os.Args[2:])
		if err != nil {
			problems = append(problems, err.Error())
		}
		for _, problem := range problems {
			fmt.Println(problem)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}

// check returns what is wrong with the packages on a target.
func check(target string, patterns []string) ([]string, error) {
	system, architecture, ok := strings.Cut(target, "/")
	if !ok {
		return nil, fmt.Errorf("%q is not of the form system/architecture", target)
	}
	here, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	checked, err := packages.Load(&packages.Config{
		Mode:  mode,
		Tests: true,
		Env:   append(os.Environ(), "GOOS="+system, "GOARCH="+architecture, "CGO_ENABLED=0"),
		ParseFile: func(set *token.FileSet, name string, source []byte) (*ast.File, error) {
			file, err := parser.ParseFile(set, name, source, parser.SkipObjectResolution)
			if file != nil && !strings.HasPrefix(name, here+string(os.PathSeparator)) {
				leaveOutBodies(file)
			}
			return file, err
		},
	}, patterns...)
	if err != nil {
		return nil, err
	}
	var problems []string
	for _, p := range checked {
		if strings.HasSuffix(p.ID, ".test") {
			continue // the main package that go test writes
		}
		for _, problem := range p.Errors {
			problems = append(problems, problem.Error())
		}
	}
	return problems, nil
}

func leaveOutBodies(file *ast.File) {
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok {
			f.Body = nil
		}
	}
}
