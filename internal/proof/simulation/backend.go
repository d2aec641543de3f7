package simulation

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store/sqlitestore"
)

// A backend is a server that can be stopped and started.
type backend interface {
	// serve answers a request, or reports that the server is down.
	serve(w http.ResponseWriter, r *http.Request) bool
	// start starts the server, with its clock that far behind.
	start(behind time.Duration) error
	stop() error
	// backUp copies the server's store; fallBack restores the copy. The server must be
	// down for both.
	backUp() error
	fallBack() error
}

// A genuine backend is the real server over its real store.
type genuine struct {
	folder string
	config server.Config
	store  *sqlitestore.Store
	up     atomic.Pointer[server.Server]
}

func newGenuine(folder string, onEvent func(server.Event)) (*genuine, error) {
	signing, err := server.GenerateSigningKey(server.EdDSA)
	if err != nil {
		return nil, err
	}
	refresh, err := server.NewRefreshKey()
	if err != nil {
		return nil, err
	}
	return &genuine{folder: folder, config: server.Config{
		Issuer:      baseURL,
		Directory:   everybody{},
		SigningKey:  signing,
		RefreshKeys: []rotation.Key{refresh},
		AccessTTL:   accessTTL,
		OnEvent:     onEvent,
	}}, nil
}

// everybody is a directory that accepts every user whose password is the user name.
type everybody struct{}

func (everybody) Authenticate(_ context.Context, name, password string) (server.Identity, error) {
	if name != password {
		return server.Identity{}, server.ErrInvalidCredentials
	}
	return server.Identity{Subject: "user-" + name, Username: name}, nil
}

func (b *genuine) serve(w http.ResponseWriter, r *http.Request) bool {
	s := b.up.Load()
	if s != nil {
		s.ServeHTTP(w, r)
	}
	return s != nil
}

func (b *genuine) start(behind time.Duration) (err error) {
	b.config.Now = func() time.Time { return time.Now().Add(-behind) }
	if b.store, err = sqlitestore.Open(context.Background(), filepath.Join(b.folder, "tandem.db")); err != nil {
		return err
	}
	b.config.Store = b.store
	s, err := server.New(b.config)
	if err != nil {
		return err
	}
	b.up.Store(s)
	return nil
}

func (b *genuine) stop() error {
	s := b.up.Swap(nil)
	if s == nil {
		return nil
	}
	return errors.Join(s.Close(), b.store.Close())
}

func (b *genuine) backUp() error {
	return copyFile(filepath.Join(b.folder, "tandem.db"), filepath.Join(b.folder, "backup"))
}

func (b *genuine) fallBack() error {
	return copyFile(filepath.Join(b.folder, "backup"), filepath.Join(b.folder, "tandem.db"))
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no backup was made
	}
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o600) //nolint:gosec // both names are ours
}
