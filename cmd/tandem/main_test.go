package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tandem-auth/tandem/internal/admin"
	"github.com/tandem-auth/tandem/internal/testkit/await"
	"github.com/tandem-auth/tandem/internal/testkit/built"
)

func TestMain(m *testing.M) {
	testscript.Main(cleaner{m}, map[string]func(){"tandem": main})
}

// A cleaner runs the tests, and removes the program if they have built it.
type cleaner struct{ *testing.M }

// Run runs the tests.
func (c cleaner) Run() int {
	defer built.Remove()
	return c.M.Run()
}

// TestScripts runs the command itself, as told in testdata/script.
func TestScripts(t *testing.T) { runScripts(t, "testdata/script", nil) }

// runScripts runs those of a folder, with more variables of the environment.
func runScripts(t *testing.T, dir string, variables map[string]string) {
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_CACHE_HOME", env.WorkDir+"/cache")
			release, err := filepath.Abs("testdata/release") // data of an earlier release
			if err != nil {
				return err
			}
			env.Setenv("RELEASE", release)
			for name, value := range variables {
				env.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"freeport":  freePort,
			"await":     awaitURL,
			"post":      post,
			"refresh":   refresh,
			"newest":    newestKey,
			"unknown":   unknown,
			"private":   private,
			"terminate": terminate,
			"target":    target,
			"tlstarget": tlsTarget,
			"impostor":  impostor,
			"zeros":     zeros,
			"hold":      hold,
			"entry":     entry,
			"sessionid": sessionID,
			"wrong":     wrongPasswords,
			"asks":      asks,
			"recipient": recipient,
			"awaitfile": awaitFile,
		},
	})
}

// freePort sets a variable to a loopback address that nobody listens at, and NAME_PORT to
// the port of it: freeport NAME.
func freePort(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Check(l.Close())
	ts.Setenv(args[0], l.Addr().String())
	_, port, err := net.SplitHostPort(l.Addr().String())
	ts.Check(err)
	ts.Setenv(args[0]+"_PORT", port)
}

// awaitURL waits until a URL is answered with 200: await URL.
func awaitURL(ts *testscript.TestScript, _ bool, args []string) { ts.Check(await.OK(args[0])) }

// post posts JSON and writes the status and the body to FILE: post FILE URL JSON.
func post(ts *testscript.TestScript, _ bool, args []string) {
	status, body, err := request(context.Background(), http.MethodPost, args[1], args[2])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), fmt.Appendf(nil, "%d\n%s", status, body), 0o600))
}

// refresh posts the refresh token that FILE has from an answer before, and writes
// the new answer there: refresh FILE URL.
func refresh(ts *testscript.TestScript, _ bool, args []string) {
	_, body, _ := strings.Cut(ts.ReadFile(args[0]), "\n")
	post(ts, false, append(args, body))
}

// newestKey sets a variable to the ID of the key in use: newest NAME USE DATA.
func newestKey(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec("tandem", "keys", "list", "--json", "--data", args[2]))
	var list []listedKey
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &list))
	i := slices.IndexFunc(list, func(k listedKey) bool { return k.Use == args[1] && k.State == "in use" })
	if i < 0 {
		ts.Fatalf("no key is in use for %s", args[1])
	}
	ts.Setenv(args[0], list[i].ID)
}

// sessionID sets a variable to the ID of the newest session: sessionid NAME DATA.
func sessionID(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec("tandem", "session", "list", "--json", "--data", args[1]))
	var list []admin.Session
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &list))
	if len(list) == 0 {
		ts.Fatalf("there is no session")
	}
	ts.Setenv(args[0], list[0].ID)
}

// wrongPasswords signs in with wrong passwords until the limits refuse it: wrong URL USER.
func wrongPasswords(ts *testscript.TestScript, _ bool, args []string) {
	for range 50 {
		status, _, err := request(context.Background(), http.MethodPost, args[0], fmt.Sprintf(`{"username":%q,"password":"wrong"}`, args[1]))
		ts.Check(err)
		if status == http.StatusTooManyRequests {
			return
		}
	}
	ts.Fatalf("wrong passwords are not limited")
}

// asks makes a request with the key in a file, and writes the status and the body to FILE:
// asks KEY URL FILE.
func asks(ts *testscript.TestScript, _ bool, args []string) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, args[1], http.NoBody)
	ts.Check(err)
	req.Header.Set("Authorization", "Bearer "+ts.ReadFile(args[0]))
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), fmt.Appendf(nil, "%d\n%s", resp.StatusCode, text), 0o600))
}

// recipient sets a variable to the recipient in what tandem backup-key has said: recipient
// NAME FILE.
func recipient(ts *testscript.TestScript, _ bool, args []string) {
	_, key, found := strings.Cut(ts.ReadFile(args[1]), "backup-recipient: ")
	if !found {
		ts.Fatalf("there is no recipient in %s", args[1])
	}
	ts.Setenv(args[0], strings.TrimSpace(key))
}

// awaitFile waits for a file whose name fits a pattern, and sets a variable to it: awaitfile
// NAME PATTERN.
func awaitFile(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		found, err := filepath.Glob(ts.MkAbs(args[1]))
		ts.Check(err)
		if len(found) > 0 {
			ts.Setenv(args[0], found[0])
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("there is no file %s", args[1])
		}
	}
}

// unknown waits until the server does not know the refresh token that FILE has from an
// answer before: unknown FILE URL.
func unknown(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(time.Minute); ; {
		refresh(ts, false, args)
		answer := ts.ReadFile(args[0])
		if strings.Contains(answer, `"reason":"unknown"`) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the server still knows the token: %s", answer[:3])
		}
	}
}

// private fails if others may read a file: private FILE...
func private(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if info.Mode().Perm()&0o077 != 0 {
			ts.Fatalf("%s has mode %04o", name, info.Mode().Perm())
		}
	}
}

// terminate sends SIGTERM to what runs in the background: terminate.
func terminate(ts *testscript.TestScript, _ bool, _ []string) {
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	}
}

func request(ctx context.Context, method, url, body string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}
