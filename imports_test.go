package tandem_test

import (
	"os/exec"
	"strings"
	"testing"
)

// Most programs import these packages alone. They pull in nothing but the
// standard library, what is named here, and each other.
func TestTheLightPackagesStayLight(t *testing.T) {
	const module = "github.com/tandem-auth/tandem"
	for pkg, allowed := range map[string][]string{
		module:                  {module + "/rotation", module + "/renewal", module + "/internal/liveconn", module + "/internal/retryafter", module + "/internal/repeat"},
		module + "/rotation":    {},
		module + "/renewal":     {},
		module + "/accesstoken": {module + "/rotation", "github.com/golang-jwt/"},
		module + "/resource":    {module + "/accesstoken", module + "/rotation", "github.com/golang-jwt/"},
	} {
		list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", pkg)
		out, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
	deps:
		for dep := range strings.FieldsSeq(string(out)) {
			for _, ok := range append(allowed, pkg, "golang.org/x/") {
				if dep == ok || strings.HasSuffix(ok, "/") && strings.HasPrefix(dep, ok) {
					continue deps
				}
			}
			t.Errorf("%s imports %s", pkg, dep)
		}
	}
}
