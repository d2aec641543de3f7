package bench

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	tandemModule = "github.com/tandem-auth/tandem"
	peerModule   = "github.com/go-oauth2/oauth2/v4"
)

// programs are the programs to measure, built from source.
type programs struct {
	tandem, peer string
	peerVersion  string
	hasStore     bool // whether tandem serve takes --store
}

// build builds the programs into a folder. The current folder must be in this module.
func build(ctx context.Context, folder string) (programs, error) {
	p := programs{tandem: filepath.Join(folder, "tandem"), peer: filepath.Join(folder, "peer")}
	root, err := goOutput(ctx, "", "list", "-m", "-f", "{{.Dir}}", tandemModule)
	if err != nil {
		return p, fmt.Errorf("find the module (this runs in its folder bench only): %w", err)
	}
	if p.peerVersion, err = goOutput(ctx, "", "list", "-m", "-f", "{{.Version}}", peerModule); err != nil {
		return p, fmt.Errorf("find the version of the peer: %w", err)
	}
	if _, err := goOutput(ctx, root, "build", "-buildvcs=false", "-trimpath", "-o", p.tandem, "./cmd/tandem"); err != nil {
		return p, fmt.Errorf("build tandem: %w", err)
	}
	if _, err := goOutput(ctx, "", "build", "-buildvcs=false", "-trimpath", "-o", p.peer, tandemModule+"/bench/cmd/peer-go-oauth2"); err != nil {
		return p, fmt.Errorf("build the peer: %w", err)
	}
	help, err := command{program: p.tandem, args: []string{"serve", "--help"}}.cmd(ctx).Output()
	if err != nil {
		return p, fmt.Errorf("ask tandem for its settings: %w", err)
	}
	p.hasStore = strings.Contains(string(help), "--store")
	return p, nil
}

// goOutput runs the go command in a folder and returns its output. It builds without
// cgo, like a release.
func goOutput(ctx context.Context, folder string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = folder
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, said.String())
	}
	return strings.TrimSpace(string(out)), nil
}
