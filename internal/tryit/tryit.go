// Package tryit is a server for trying Tandem out: demo users, access tokens that expire
// within seconds, a page that shows what happens, and faults for those who ask for them.
package tryit

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/internal/daemon"
	"github.com/tandem-auth/tandem/internal/storage"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/web"
)

// The demo user's name, the password of all users, and how long an access token lasts.
const (
	Username  = "demo"
	Password  = "demo"
	AccessTTL = 20 * time.Second
)

// others are the users whom the page signs in when it shows several.
var others = []string{"ann", "bob"}

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

// Open returns a server that listens and has the demo users.
func Open(ctx context.Context, config Config) (*daemon.Daemon, error) {
	if config.AccessTTL == 0 {
		config.AccessTTL = AccessTTL
	}
	d, err := daemon.Open(ctx, daemon.Config{
		Store:     storage.Folder(config.DataDir),
		Listen:    config.Listen,
		AccessTTL: config.AccessTTL,
		// Everybody knows the password: the cost of its hash protects nothing.
		Users:   directory.Config{MinPassword: len(Password), AllowCommon: true, Memory: 64, Iterations: 1},
		Logger:  config.Logger,
		OnEvent: config.OnEvent,
		Now:     config.Now,
		Site:    site,
		Wrap:    playFaults,
	})
	if err != nil {
		return nil, err
	}
	if err := addUsers(ctx, d.Directory()); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// addUsers adds the demo users who are missing. It refuses a folder that has other users,
// because everybody knows the demo users' password.
func addUsers(ctx context.Context, users *directory.Directory) error {
	listed, err := users.List(ctx)
	if err != nil {
		return err
	}
	missing := append([]string{Username}, others...)
	for _, user := range listed {
		n := len(missing)
		missing = slices.DeleteFunc(missing, func(name string) bool { return name == user.Name })
		if len(missing) == n {
			return errNotForTrying
		}
	}
	if len(listed) > 0 && slices.Contains(missing, Username) {
		return errNotForTrying
	}
	for _, name := range missing {
		if err := users.Add(ctx, name, Password); err != nil {
			return err
		}
	}
	return nil
}

var errNotForTrying = errors.New("the data folder has users of its own; choose another folder to try things out in")

// site serves the page and the API that the page calls.
func site(s *server.Server) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", web.TryIt())
	mux.Handle("GET /api/hello", s.RequireSessionOrTicket(http.HandlerFunc(hello)))
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
