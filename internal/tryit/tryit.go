// Package tryit is a server for trying Tandem out: one demo user, access tokens that
// expire within seconds, and a page that shows what happens.
package tryit

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/internal/daemon"
	"github.com/tandem-auth/tandem/internal/storage"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/web"
)

// The demo user's name and password, and how long an access token lasts.
const (
	Username  = "demo"
	Password  = "demo"
	AccessTTL = 20 * time.Second
)

// Config sets where the server keeps its data and where it listens.
type Config struct {
	// DataDir is the folder of the database. Open creates it if it does not exist.
	DataDir, Listen string
	// AccessTTL defaults to the constant of the same name.
	AccessTTL time.Duration
	Logger    *slog.Logger
	OnEvent   func(server.Event)
	// Now is the server's clock. Defaults to [time.Now].
	Now func() time.Time
}

// Open returns a server that listens and has the demo user.
func Open(ctx context.Context, config Config) (*daemon.Daemon, error) {
	if config.AccessTTL == 0 {
		config.AccessTTL = AccessTTL
	}
	d, err := daemon.Open(ctx, daemon.Config{
		Store:     storage.Folder(config.DataDir),
		Listen:    config.Listen,
		AccessTTL: config.AccessTTL,
		Users:     directory.Config{MinPassword: len(Password), AllowCommon: true},
		Logger:    config.Logger,
		OnEvent:   config.OnEvent,
		Now:       config.Now,
		Site:      site,
	})
	if err != nil {
		return nil, err
	}
	if err := addDemoUser(ctx, d); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// addDemoUser adds the demo user. It refuses a folder that has other users, because
// everybody knows the demo user's password.
func addDemoUser(ctx context.Context, d *daemon.Daemon) error {
	users, err := d.Directory().List(ctx)
	if err != nil {
		return err
	}
	switch {
	case len(users) == 0:
		return d.Directory().Add(ctx, Username, Password)
	case len(users) == 1 && users[0].Name == Username:
		return nil
	}
	return errors.New("the data folder has users of its own; choose another folder to try things out in")
}

// site serves the page and the API that the page calls.
func site(s *server.Server) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", web.TryIt())
	mux.Handle("GET /api/hello", s.RequireSession(http.HandlerFunc(hello)))
	return mux
}

// hello greets the signed-in user, and returns the number of the request.
func hello(w http.ResponseWriter, r *http.Request) {
	access, _ := server.FromContext(r.Context())
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"n": n, "subject": access.Subject, "sessionId": access.SessionID,
	})
}
