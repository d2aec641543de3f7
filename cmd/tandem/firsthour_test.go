//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tandem-auth/tandem/internal/testkit/await"
)

// An operator is somebody with a binary, an empty folder and docs/operate.md.
type operator struct {
	*testing.T
	program
	dir, config string
	serving     *exec.Cmd
	log         *logged
}

// tandem runs a command that must succeed, and returns what it says.
func (o *operator) tandem(stdin string, args ...string) string {
	o.Helper()
	cmd := exec.CommandContext(o.Context(), o.binary, args...)
	cmd.Dir, cmd.Stdin = o.dir, strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		o.Fatalf("tandem %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (o *operator) start() {
	o.Helper()
	o.log = &logged{}
	o.serving = exec.CommandContext(context.Background(), o.binary, "serve", "--config", o.config)
	o.serving.Dir, o.serving.Stderr = o.dir, o.log
	if err := o.serving.Start(); err != nil {
		o.Fatal(err)
	}
	o.log.await(o.T, "msg=listening", 1)
	if err := await.OK("http://" + o.address + "/readyz"); err != nil {
		o.Fatal(err)
	}
}

func (o *operator) stop() {
	o.Helper()
	if o.serving == nil {
		return
	}
	_ = o.serving.Process.Signal(syscall.SIGTERM)
	if err := o.serving.Wait(); err != nil {
		o.Errorf("the server ended with %v:\n%s", err, o.log)
	}
	o.serving = nil
}

// signIn returns the refresh token.
func (o *operator) signIn(at, name string) string {
	o.Helper()
	status, body, err := request(o.Context(), http.MethodPost, at+"/auth/login", fmt.Sprintf(`{"username":%q,"password":"correct horse"}`, name))
	if err != nil || status != http.StatusOK {
		o.Fatalf("%s signs in: %d, %v: %s", name, status, err, body)
	}
	return refreshTokenOf(o.T, body)
}

func (o *operator) refresh(at, token string) string {
	o.Helper()
	status, body, err := request(o.Context(), http.MethodPost, at+"/auth/refresh-token", fmt.Sprintf(`{"refreshToken":%q}`, token))
	if err != nil || status != http.StatusOK {
		o.Fatalf("a refresh: %d, %v: %s", status, err, body)
	}
	return refreshTokenOf(o.T, body)
}

func refreshTokenOf(t *testing.T, body string) string {
	t.Helper()
	var answer struct {
		RefreshToken string `json:"refreshToken"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	return answer.RefreshToken
}

// The first hour, as docs/operate.md tells it: settings, an administrator, a user, a proxy, the
// doctor, a backup that is tried and restored, and an upgrade from the release before. A user
// who has signed in at the beginning stays signed in through all of it.
func TestTheFirstHour(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real processes")
	}
	o := &operator{T: t, program: newProgram(t), dir: t.TempDir(), config: "tandem.yaml"}
	defer o.stop()

	// A proxy in front, as the page says: it replaces X-Forwarded-For.
	target, err := url.Parse("http://" + o.address)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header.Set("X-Forwarded-For", "192.0.2.7")
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	})
	defer proxy.Close()

	// 1. Settings.
	key := o.tandem("", "backup-key", "backup.key")
	_, recipient, _ := strings.Cut(key, "backup-recipient: ")
	settings := fmt.Sprintf(`data: data
listen: %s
issuer: %s
trust-proxy: [127.0.0.1]
metrics: localhost:0
backup-dir: backups
backup-recipient: [%s]
`, o.address, proxy.URL, strings.TrimSpace(recipient))
	if err := os.WriteFile(filepath.Join(o.dir, o.config), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	o.tandem("", "config", "check", "--config", o.config)

	// 2 to 5. Start, the first administrator, the first user, and does it all fit?
	o.tandem("correct horse", "user", "recover", "root", "--data", "data")
	o.start()
	o.tandem("correct horse", "user", "add", "ann", "--role", "orders:read", "--data", "data")
	token := o.signIn(proxy.URL, "ann")
	o.signIn(proxy.URL, "root")
	if found := o.tandem("", "doctor", "--config", o.config); !strings.Contains(found, "the server sees this machine as 192.0.2.7") {
		t.Errorf("the doctor does not see the proxy:\n%s", found)
	}
	if story := o.tandem("", "session", "list", "--user", "ann", "--data", "data"); !strings.Contains(story, "192.0.2.7") {
		t.Errorf("the session is not from the client's address:\n%s", story)
	}

	// 6. The backup that the schedule has made is tried.
	backups, err := filepath.Glob(filepath.Join(o.dir, "backups", "tandem-*.tar.age"))
	if err != nil || len(backups) != 1 {
		t.Fatalf("backups %q, %v", backups, err)
	}
	o.tandem("", "restore", "--check", backups[0], "--identity", "backup.key")
	made := filepath.Join(o.dir, "now.age")
	o.tandem("", "backup", made, "--recipient", strings.TrimSpace(recipient), "--data", "data")

	// The disk is lost. The backup brings the users and the sessions back.
	o.stop()
	if err := os.RemoveAll(filepath.Join(o.dir, "data")); err != nil {
		t.Fatal(err)
	}
	o.tandem("", "restore", made, "--identity", "backup.key", "--data", "data")
	o.start()
	token = o.refresh(proxy.URL, token)

	// 7. A restart with a new binary: sessions go on. (The data of the release before is in
	// testdata/script/upgrade.txtar.)
	o.stop()
	if err := os.Rename(o.binary, o.binary+".next"); err != nil {
		t.Fatal(err)
	}
	o.binary += ".next"
	o.start()
	o.refresh(proxy.URL, token)

	// All of it is on record.
	trail := o.tandem("", "audit", "--since", "1h", "--user", "ann", "--data", "data")
	for _, want := range []string{"user_add", "sign_in"} {
		if !strings.Contains(trail, want) {
			t.Errorf("%s is not on record:\n%s", want, trail)
		}
	}
}
