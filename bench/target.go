package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// A target is a server to measure, with its database.
type target struct {
	kind
	dialect  *dialect
	serve    command
	engine   engine // nil if the server needs no other process
	username string
	password string
}

// A kind describes a target before anything runs.
type kind struct {
	key     string
	name    string
	durable string
	open    func(ctx context.Context, w *workshop, t *target) error
}

// PeerKey is the key of the server that Run compares the others with.
const PeerKey = "go-oauth2"

// kinds returns all kinds in the order of the measurements.
func kinds() []kind {
	return []kind{
		{"sqlite", "tandem, SQLite", "yes", openSQLite},
		{PeerKey, "go-oauth2/oauth2, memory", "no", openPeer},
		{"postgres", "tandem, PostgreSQL", "yes", openPostgres},
		{"redis-everysec", "tandem, Redis, appendfsync everysec", "but for the last second", openRedis("everysec")},
		{"redis-always", "tandem, Redis, appendfsync always", "yes", openRedis("always")},
	}
}

// Keys returns the keys of all servers that Run can measure.
func Keys() []string {
	var keys []string
	for _, k := range kinds() {
		keys = append(keys, k.key)
	}
	return keys
}

func isKey(key string) bool { return slices.Contains(Keys(), key) }

// A workshop holds what is needed to create targets.
type workshop struct {
	folder   string
	programs programs
	username string
	password string
}

// errNoStore is the reason for leaving out a target if tandem serve is too old for it.
var errNoStore = errors.New("this tandem serve has no --store")

// open prepares a target, which can then be started repeatedly.
func (w *workshop) open(ctx context.Context, k kind) (*target, error) {
	t := &target{kind: k, username: w.username, password: w.password}
	if err := k.open(ctx, w, t); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare %s: %w", k.name, err), t.close())
	}
	return t, nil
}

func (t *target) close() error {
	if t.engine == nil {
		return nil
	}
	return t.engine.Close()
}

func openSQLite(ctx context.Context, w *workshop, t *target) error {
	return t.openTandem(ctx, w, "TANDEM_DATA="+filepath.Join(w.folder, "data"))
}

// openTandem adds the user to the store that the settings name.
func (t *target) openTandem(ctx context.Context, w *workshop, settings ...string) error {
	t.dialect = tandemDialect
	t.serve = command{program: w.programs.tandem, args: []string{"serve", "--listen", "127.0.0.1:0", "--issuer", "http://tandem.example"}, env: settings}
	add := command{program: w.programs.tandem, args: []string{"user", "add", w.username}, env: settings, stdin: w.password + "\n"}
	if err := add.run(ctx); err != nil {
		return fmt.Errorf("add a user: %w", err)
	}
	return nil
}

func openPeer(_ context.Context, w *workshop, t *target) error {
	t.name = fmt.Sprintf("go-oauth2/oauth2 %s, memory", w.programs.peerVersion)
	t.dialect = peerDialect
	t.serve = command{program: w.programs.peer, stdin: w.password + "\n"}
	return nil
}

// newFolder creates a folder for all files of a run.
func newFolder() (string, error) {
	folder, err := os.MkdirTemp("", "tandem-bench-")
	if err != nil {
		return "", fmt.Errorf("make a folder: %w", err)
	}
	return folder, nil
}
