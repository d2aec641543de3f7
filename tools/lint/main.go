// Command lint is the linter that make lint runs: a go vet with more checks, all of
// them from elsewhere. Start it with go vet -vettool.
//
// It is a program of its own because golangci-lint, which has the rest of the
// checks (make lint-all), takes minutes to build where nothing is cached.
package main

import (
	"encoding/json"
	"log"
	"os"
	"slices"
	"strings"

	"codeberg.org/polyfloyd/go-errorlint/errorlint"
	"github.com/charithe/durationcheck"
	"github.com/curioswitch/go-reassign"
	"github.com/gordonklaus/ineffassign/pkg/ineffassign"
	"github.com/gostaticanalysis/nilerr"
	"github.com/kisielk/errcheck/errcheck"
	sqlclosecheck "github.com/ryanrolds/sqlclosecheck/pkg/analyzer"
	"github.com/sanposhiho/wastedassign/v2"
	"github.com/sonatard/noctx"
	"github.com/timakin/bodyclose/passes/bodyclose"
	fatcontext "go.augendre.info/fatcontext/pkg/analyzer"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/appends"
	"golang.org/x/tools/go/analysis/passes/assign"
	"golang.org/x/tools/go/analysis/passes/atomic"
	"golang.org/x/tools/go/analysis/passes/atomicalign"
	"golang.org/x/tools/go/analysis/passes/bools"
	"golang.org/x/tools/go/analysis/passes/buildtag"
	"golang.org/x/tools/go/analysis/passes/composite"
	"golang.org/x/tools/go/analysis/passes/copylock"
	"golang.org/x/tools/go/analysis/passes/deepequalerrors"
	"golang.org/x/tools/go/analysis/passes/defers"
	"golang.org/x/tools/go/analysis/passes/directive"
	"golang.org/x/tools/go/analysis/passes/errorsas"
	"golang.org/x/tools/go/analysis/passes/hostport"
	"golang.org/x/tools/go/analysis/passes/httpmux"
	"golang.org/x/tools/go/analysis/passes/httpresponse"
	"golang.org/x/tools/go/analysis/passes/ifaceassert"
	"golang.org/x/tools/go/analysis/passes/loopclosure"
	"golang.org/x/tools/go/analysis/passes/lostcancel"
	"golang.org/x/tools/go/analysis/passes/modernize"
	"golang.org/x/tools/go/analysis/passes/nilfunc"
	"golang.org/x/tools/go/analysis/passes/nilness"
	"golang.org/x/tools/go/analysis/passes/printf"
	"golang.org/x/tools/go/analysis/passes/reflectvaluecompare"
	"golang.org/x/tools/go/analysis/passes/shift"
	"golang.org/x/tools/go/analysis/passes/sigchanyzer"
	"golang.org/x/tools/go/analysis/passes/slog"
	"golang.org/x/tools/go/analysis/passes/sortslice"
	"golang.org/x/tools/go/analysis/passes/stdmethods"
	"golang.org/x/tools/go/analysis/passes/stdversion"
	"golang.org/x/tools/go/analysis/passes/stringintconv"
	"golang.org/x/tools/go/analysis/passes/structtag"
	"golang.org/x/tools/go/analysis/passes/testinggoroutine"
	"golang.org/x/tools/go/analysis/passes/tests"
	"golang.org/x/tools/go/analysis/passes/timeformat"
	"golang.org/x/tools/go/analysis/passes/unmarshal"
	"golang.org/x/tools/go/analysis/passes/unreachable"
	"golang.org/x/tools/go/analysis/passes/unsafeptr"
	"golang.org/x/tools/go/analysis/passes/unusedresult"
	"golang.org/x/tools/go/analysis/passes/unusedwrite"
	"golang.org/x/tools/go/analysis/passes/waitgroup"
	"golang.org/x/tools/go/analysis/unitchecker"
	"honnef.co/go/tools/simple"
	"honnef.co/go/tools/staticcheck"
)

const module = "github.com/tandem-auth/tandem"

// vet is go vet with the checks that it leaves out.
var vet = []*analysis.Analyzer{
	appends.Analyzer, assign.Analyzer, atomic.Analyzer, atomicalign.Analyzer, bools.Analyzer,
	buildtag.Analyzer, composite.Analyzer, copylock.Analyzer, deepequalerrors.Analyzer, defers.Analyzer,
	directive.Analyzer, errorsas.Analyzer, hostport.Analyzer, httpmux.Analyzer, httpresponse.Analyzer,
	ifaceassert.Analyzer, loopclosure.Analyzer, lostcancel.Analyzer, nilfunc.Analyzer, nilness.Analyzer,
	printf.Analyzer, reflectvaluecompare.Analyzer, shift.Analyzer, sigchanyzer.Analyzer, slog.Analyzer,
	sortslice.Analyzer, stdmethods.Analyzer, stdversion.Analyzer, stringintconv.Analyzer, structtag.Analyzer,
	testinggoroutine.Analyzer, tests.Analyzer, timeformat.Analyzer, unmarshal.Analyzer, unreachable.Analyzer,
	unsafeptr.Analyzer, unusedresult.Analyzer, unusedwrite.Analyzer, waitgroup.Analyzer,
}

// others are what finds mistakes that go unseen.
var others = []*analysis.Analyzer{
	durationcheck.Analyzer, errorlint.NewAnalyzer(), fatcontext.NewAnalyzer(), ineffassign.Analyzer,
	nilerr.Analyzer, reassign.NewAnalyzer(), sqlclosecheck.NewDeferOnlyAnalyzer(), wastedassign.Analyzer,
}

// notInTests are left out in tests, which talk to servers of their own, on loopback,
// for as long as they run.
var notInTests = []*analysis.Analyzer{bodyclose.Analyzer, errcheck.Analyzer, noctx.Analyzer}

// leftOut are checks of staticcheck that this project does not keep to.
var leftOut = []string{
	"SA9003", // empty branches: a comment may be all that there is to say
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("lint: ")
	if isDependency(os.Args[len(os.Args)-1]) {
		unitchecker.Main(assign.Analyzer) // has no facts: go vet gets the types alone
	}
	unitchecker.Main(analyzers()...)
}

func analyzers() []*analysis.Analyzer {
	var all []*analysis.Analyzer
	for _, a := range slices.Concat(vet, others, modernize.Suite) {
		all = append(all, filtered(a, true))
	}
	for _, a := range notInTests {
		all = append(all, filtered(a, false))
	}
	for _, a := range slices.Concat(staticcheck.Analyzers, simple.Analyzers) {
		if !slices.Contains(leftOut, a.Analyzer.Name) {
			all = append(all, filtered(a.Analyzer, true))
		}
	}
	return all
}

// isDependency reports whether go vet asks for what is known about a package that is
// not ours. Our checks do without: to analyze what the stores depend on takes minutes.
func isDependency(configFile string) bool {
	if !strings.HasSuffix(configFile, ".cfg") {
		return false
	}
	text, err := os.ReadFile(configFile)
	if err != nil {
		log.Fatal(err)
	}
	var config struct {
		ImportPath string
		VetxOnly   bool
	}
	if err := json.Unmarshal(text, &config); err != nil {
		log.Fatalf("%s: %v", configFile, err)
	}
	return config.VetxOnly && config.ImportPath != module && !strings.HasPrefix(config.ImportPath, module+"/")
}
