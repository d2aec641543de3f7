// Package deploy_test checks the files in this folder with the programs that read them.
package deploy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/internal/daemon"
	"github.com/tandem-auth/tandem/internal/storage"
	"github.com/tandem-auth/tandem/internal/testkit/await"
	"github.com/tandem-auth/tandem/internal/testkit/built"
	"github.com/tandem-auth/tandem/internal/testkit/certtest"
	"github.com/tandem-auth/tandem/internal/testkit/daemontest"
	"github.com/tandem-auth/tandem/internal/testkit/need"
)

func TestMain(m *testing.M) {
	code := m.Run()
	built.Remove()
	os.Exit(code)
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, name string, text []byte) string {
	t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// run runs a program and returns its output.
func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Every alert fires when it should, and not in a normal hour.
func TestAlertRules(t *testing.T) {
	promtool := need.Program(t, "promtool")
	run(t, nil, promtool, "check", "rules", "prometheus/rules.yaml")
	run(t, nil, promtool, "test", "rules", "prometheus/rules_test.yaml")
	tests := read(t, "prometheus/rules_test.yaml")
	for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(read(t, "prometheus/rules.yaml"), -1) {
		for _, what := range []string{" fires\n", " does not fire\n"} {
			if !strings.Contains(tests, "- name: "+m[1]+what) {
				t.Errorf("no test says that %s%s", m[1], what)
			}
		}
	}
}

// Prometheus understands every query of the dashboard, and the dashboard is one that Grafana
// shows as it is meant.
func TestDashboard(t *testing.T) {
	promtool := need.Program(t, "promtool")
	var dashboard struct {
		UID           string
		SchemaVersion int
		Panels        []struct {
			ID         int
			Type       string
			Title      string
			Datasource struct{ Type, UID string }
			GridPos    struct{ X, Y, W, H int }
			Targets    []struct{ Expr, RefID string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "grafana/tandem.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	if dashboard.UID == "" || dashboard.SchemaVersion < 30 || len(dashboard.Panels) == 0 {
		t.Errorf("uid %q, schema version %d, %d panels", dashboard.UID, dashboard.SchemaVersion, len(dashboard.Panels))
	}
	rules := "groups:\n  - name: dashboard\n    rules:\n"
	ids, places := map[int]bool{}, map[[2]int]string{}
	for _, p := range dashboard.Panels {
		if ids[p.ID] {
			t.Errorf("%s: the ID %d is another panel's", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.Datasource.UID != "${datasource}" {
			t.Errorf("%s: the data source is %q, not that of the variable", p.Title, p.Datasource.UID)
		}
		if p.GridPos.W <= 0 || p.GridPos.H <= 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%s: is at %+v, outside of the 24 columns", p.Title, p.GridPos)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := places[[2]int{x, y}]; other != "" {
					t.Fatalf("%s covers %s", p.Title, other)
				}
				places[[2]int{x, y}] = p.Title
			}
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			if target.RefID == "" || refs[target.RefID] {
				t.Errorf("%s: the name %q of a query is empty, or another's", p.Title, target.RefID)
			}
			refs[target.RefID] = true
			expr := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".+").Replace(target.Expr)
			rules += fmt.Sprintf("      - {record: \"panel:%d_%s\", expr: %q}\n", p.ID, target.RefID, expr)
		}
	}
	run(t, nil, promtool, "check", "rules", "--lint=none", write(t, filepath.Join(t.TempDir(), "rules.yaml"), []byte(rules)))
}

// Every metric in the dashboard and in the rules is one that the server has, and every one of
// Tandem's is in the dashboard.
func TestMetricsAreThoseOfTheServer(t *testing.T) {
	dir := t.TempDir()
	cert, key := certtest.Make(t, "localhost")
	c := daemon.Config{
		Store: storage.Folder(dir), Listen: "localhost:0", Metrics: "localhost:0", Users: directory.Config{Memory: 64, Iterations: 1},
		TLSCert: write(t, filepath.Join(dir, "tls.crt"), cert), TLSKey: write(t, filepath.Join(dir, "tls.key"), key),
	}
	c.Backup.Dir = t.TempDir()
	d, err := daemon.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	daemontest.Serve(t, d)
	if err := await.OK("http://" + d.MetricsAddress() + "/readyz"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second shows the requests to the port of the metrics
		_ = get(t, "http://"+d.MetricsAddress()+"/readyz")
	}
	has := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\w+)`).FindAllStringSubmatch(get(t, "http://"+d.MetricsAddress()+"/metrics"), -1) {
		has[m[1]] = true
	}
	dashboard := read(t, "grafana/tandem.json")
	if !json.Valid([]byte(dashboard)) {
		t.Error("the dashboard is not JSON")
	}
	name := regexp.MustCompile(`\b(tandem|process|go)_[a-z_]+\b`)
	for _, m := range name.FindAllString(dashboard+read(t, "prometheus/rules.yaml"), -1) {
		base := strings.TrimSuffix(strings.TrimSuffix(m, "_bucket"), "_count")
		if !has[m] && !has[base] {
			t.Errorf("the server has no metric %s", m)
		}
	}
	for m := range has {
		if strings.HasPrefix(m, "tandem_") && m != "tandem_build_info" && !strings.Contains(dashboard, m) {
			t.Errorf("the dashboard does not show %s", m)
		}
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url) //nolint:gosec // the test's own server
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// systemd reads the units, and finds little that the server could do but serve.
func TestUnits(t *testing.T) {
	analyze := need.Program(t, "systemd-analyze")
	dir := t.TempDir()
	service := strings.ReplaceAll(read(t, "systemd/tandem.service"), "/usr/local/bin/tandem", "/bin/true")
	for name, text := range map[string]string{"tandem.service": service, "tandem.socket": read(t, "systemd/tandem.socket")} {
		write(t, filepath.Join(dir, name), []byte(text))
	}
	if out := run(t, []string{"SYSTEMD_UNIT_PATH=" + dir + ":"}, analyze, "verify", filepath.Join(dir, "tandem.service"), filepath.Join(dir, "tandem.socket")); strings.Contains(out, dir) {
		t.Errorf("systemd does not like the units:\n%s", out)
	}
	run(t, nil, analyze, "security", "--offline=true", "--threshold=15", filepath.Join(dir, "tandem.service")) // 1.5 of 10
}

// The example has every setting that it names at its default, and no other.
func TestTheExampleOfSettings(t *testing.T) {
	binary := built.Tandem(t)
	text := read(t, "tandem.yaml")
	var settings, defaults []string
	line := regexp.MustCompile(`(?m)^(# )?([a-z][a-z-]+): (.*?)(?: +#.*)?$`)
	for _, m := range line.FindAllStringSubmatch(text, -1) {
		settings = append(settings, m[2]+": "+m[3])
		defaults = append(defaults, m[2])
	}
	if len(settings) < 25 {
		t.Fatalf("only %d settings were found", len(settings))
	}
	file := filepath.Join(t.TempDir(), "tandem.yaml")
	write(t, file, []byte(text))
	run(t, nil, binary, "config", "check", "--config", file)
	printed := run(t, nil, binary, "config", "print", "--config", file)
	for _, name := range defaults {
		if !regexp.MustCompile(`(?m)^(# )?` + name + `: `).MatchString(printed) {
			t.Errorf("there is no setting %s", name)
		}
	}
	for _, s := range settings {
		name, value, _ := strings.Cut(s, ": ")
		if slices.Contains([]string{"access-ttl", "refresh-ttl", "session-ttl", "max-sessions", "backup-every", "backup-keep", "drain-delay", "drain-timeout", "log-format", "cookie-samesite", "listen"}, name) &&
			!strings.Contains(strings.ReplaceAll(printed, `"`, ""), "# "+name+": "+value+" ") {
			t.Errorf("%s is not the default:\n%s", s, printed)
		}
	}
}

// Every variable of the environment that a file sets is a setting of the server.
func TestVariablesAreSettings(t *testing.T) {
	printed := run(t, nil, built.Tandem(t), "serve", "--help")
	// Those of other programs, and the master key itself, which no flag takes.
	others := []string{"TANDEM_HOST", "TANDEM_CONFIG", "TANDEM_MASTER_KEY"}
	found := 0
	for _, name := range []string{
		"Dockerfile", "compose/compose.yaml", "compose/compose.postgres.yaml", "systemd/tandem.service",
		"kubernetes/postgres.yaml", "kubernetes/sqlite.yaml", "helm/tandem/templates/_helpers.tpl",
	} {
		for _, v := range regexp.MustCompile(`\bTANDEM_[A-Z_]+\b`).FindAllString(read(t, name), -1) {
			flag := "--" + strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(v, "TANDEM_"), "_", "-"))
			if !slices.Contains(others, v) && !regexp.MustCompile(regexp.QuoteMeta(flag)+`[ =]`).MatchString(printed) {
				t.Errorf("%s: there is no setting %s", name, v)
			}
			found++
		}
	}
	if found < 15 {
		t.Errorf("only %d variables were found", found)
	}
}

// Secrets that the commands in the compose file make are for neither the repository nor the
// image.
func TestSecretsStayOut(t *testing.T) {
	for name, line := range map[string]string{"../.gitignore": "/deploy/compose/secrets/", "../.dockerignore": "deploy/compose/secrets"} {
		if !slices.Contains(strings.Split(read(t, name), "\n"), line) {
			t.Errorf("%s does not have %s", name, line)
		}
	}
}

// The image has the binary, the root certificates and two folders. In such a root, read-only,
// as a user without a name, without a home, without /tmp and /proc, the server starts, and its
// commands work.
func TestInARootLikeThatOfTheImage(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binary, and starts a real process")
	}
	unshare, chroot := need.Program(t, "unshare"), need.Program(t, "chroot")
	if os.Geteuid() != 0 {
		need.Missing(t, "the right to mount (root)")
	}
	dir := t.TempDir()
	root, data := filepath.Join(dir, "root"), filepath.Join(dir, "data")
	for _, folder := range []string{root, filepath.Join(root, "data"), data} {
		if err := os.Mkdir(folder, 0o755); err != nil { //nolint:gosec // the process is another user's
			t.Fatal(err)
		}
	}
	for d := dir; d != "/"; d = filepath.Dir(d) { // let another user in
		if info, err := os.Stat(d); err == nil && strings.HasPrefix(d, os.TempDir()+"/") {
			_ = os.Chmod(d, info.Mode().Perm()|0o111)
		}
	}
	if err := os.Chown(data, 65532, 65532); err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(built.Tandem(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "tandem"), binary, 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	// command returns a command in the root. The shell becomes the command.
	command := func(stdin string, args ...string) *exec.Cmd {
		const script = `mount --bind "$1" "$1" && mount --bind "$2" "$1/data" && mount -o remount,bind,ro "$1" && root=$1 && shift 2 && exec ` + "\"$0\"" + ` --userspec=65532:65532 "$root" /tandem "$@"`
		cmd := exec.CommandContext(context.Background(), unshare, append([]string{"--mount", "--propagation", "private", "/bin/sh", "-c", script, chroot, root, data}, args...)...)
		cmd.Stdin, cmd.Env = strings.NewReader(stdin), []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
		return cmd
	}
	must := func(stdin string, args ...string) string {
		t.Helper()
		out, err := command(stdin, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("tandem %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	must("correct horse", "user", "recover", "root", "--data", "/data")
	address := freeAddress(t)
	var log bytes.Buffer
	serve := command("", "serve", "--data", "/data", "--listen", address, "--issuer", "http://"+address)
	serve.Stderr = &log
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = serve.Process.Signal(os.Interrupt)
		if err := serve.Wait(); err != nil {
			t.Errorf("the server ended with %v:\n%s", err, log.String())
		}
	}()
	if err := await.OK("http://" + address + "/readyz"); err != nil {
		t.Fatal(err)
	}
	must("", "health", "--url", "http://"+address+"/readyz")
	must("", "doctor", "--data", "/data", "--issuer", "http://"+address)
	must("", "backup", "/data/backup.tar", "--data", "/data")
	must("", "restore", "--check", "/data/backup.tar")
	if out := must("", "audit", "--data", "/data"); !strings.Contains(out, "command:") {
		t.Errorf("the audit log does not say who: %s", out)
	}
	if out, err := command("", "user", "list", "--data", "/elsewhere").CombinedOutput(); err == nil {
		t.Errorf("another folder: %s", out)
	}
	text := fmt.Sprintf(`{"username":"root","password":%q}`, "correct horse")
	response, err := http.Post("http://"+address+"/auth/login", "application/json", strings.NewReader(text)) //nolint:noctx // a test
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("sign-in: %v, %v", response, err)
	}
	_ = response.Body.Close()
}
