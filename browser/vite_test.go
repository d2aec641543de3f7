package browser_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/tandem-auth/tandem/internal/testkit/chrome"
	"github.com/tandem-auth/tandem/internal/testkit/need"
)

// A viteServer is Vite itself, which serves a folder.
type viteServer struct {
	folder string
	url    string
}

// startVite serves the guide's files, with one of its vite.config.ts, that forwards to a
// server. The package is the one that npm would publish.
func startVite(t *testing.T, config, target string) *viteServer {
	t.Helper()
	folder := appFolder(t)
	s := &viteServer{folder: folder}
	const address = `"http://localhost:8080"`
	if !strings.Contains(config, address) {
		t.Fatalf("the guide's vite.config.ts does not forward to %s:\n%s", address, config)
	}
	for _, snippet := range snippets(t, guide) {
		if snippet.file == "index.html" || snippet.file == "src/main.ts" {
			write(t, filepath.Join(folder, snippet.file), snippet.code)
		}
	}
	write(t, filepath.Join(folder, "vite.config.ts"), strings.ReplaceAll(config, address, `"`+target+`"`))
	write(t, filepath.Join(folder, "package.json"), `{"type":"module"}`)

	cmd := vite(t, folder, "--port", "0", "--clearScreen", "false")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var rest sync.WaitGroup // of what it prints
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		rest.Wait()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for s.url == "" && lines.Scan() {
		s.url = viteURL.FindString(lines.Text())
	}
	if s.url == "" {
		t.Fatal("Vite does not say where it listens")
	}
	rest.Go(func() {
		for lines.Scan() {
		}
	})
	return s
}

// appFolder returns an empty folder with the node_modules of an app: those of the tests, and
// the package as npm would publish it.
func appFolder(t *testing.T) string {
	t.Helper()
	// Vite knows files by the paths that links lead to.
	folder, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("node_modules")
	if err != nil {
		t.Fatal(err)
	}
	packages, err := os.ReadDir(root)
	if err != nil {
		need.Missing(t, "vite")
	}
	installed := filepath.Join(folder, "node_modules")
	// A copy and no link: it finds the app's vue and axios, and not others of its own.
	if err := os.CopyFS(filepath.Join(installed, "@tandem-auth/browser"), os.DirFS(published(t))); err != nil {
		t.Fatal(err)
	}
	for _, p := range packages {
		if err := os.Symlink(filepath.Join(root, p.Name()), filepath.Join(installed, p.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// vite returns a command of Vite's in the folder of an app.
func vite(t *testing.T, folder string, args ...string) *exec.Cmd {
	t.Helper()
	node := need.Program(t, "node")
	script := filepath.Join(folder, "node_modules/vite/bin/vite.js")
	if _, err := os.Stat(script); err != nil {
		need.Missing(t, "vite")
	}
	cmd := exec.CommandContext(t.Context(), node, append([]string{script}, args...)...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	return cmd
}

// viteURL matches the address that Vite prints.
var viteURL = regexp.MustCompile(`http://localhost:\d+`)

// The guide's app does what it says in Vite's dev server too, in both modes, and behind a
// prefix that Vite takes off.
func TestTheFourMinutesWithVite(t *testing.T) {
	needPackages(t)
	var configs, versions []string
	for _, s := range snippets(t, guide) {
		switch s.file {
		case "vite.config.ts":
			configs = append(configs, s.code)
		case "src/auth.ts":
			versions = append(versions, s.code)
		}
	}
	if len(configs) != 2 || len(versions) != 3 {
		t.Fatalf("the guide has %d versions of vite.config.ts and %d of src/auth.ts, want 2 and 3", len(configs), len(versions))
	}
	server := startAuthServer(t)
	tab := chrome.Open(t)
	bearer, cookie := versions[0], versions[2]
	prefixed := strings.NewReplacer(`api = ""`, `api = "/prod-api"`, `mode: "cookie"`, `mode: "cookie", url: api`).Replace(cookie)
	for _, c := range []struct{ name, config, auth string }{
		{"bearer", configs[0], bearer},
		{"cookies", configs[0], cookie},
		{"cookies behind a prefix", configs[1], prefixed},
	} {
		t.Run(c.name, func(t *testing.T) {
			dev := startVite(t, c.config, server.url)
			write(t, filepath.Join(dev.folder, "src/auth.ts"), c.auth)
			fourMinutes(t, tab.NewTabFor(t), dev.url, server, 0)
		})
	}
}
