// Package storage opens a server's store of sessions, users and keys by its name: a
// SQLite file, a PostgreSQL database or a Redis server.
package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/tandem-auth/tandem/audit"
	"github.com/tandem-auth/tandem/clients"
	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/internal/sqlitefile"
	"github.com/tandem-auth/tandem/keys"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store/pgstore"
	"github.com/tandem-auth/tandem/store/redisstore"
	"github.com/tandem-auth/tandem/store/sqlitestore"
)

// A Store keeps a server's sessions, users and keys.
type Store interface {
	server.Store
	server.OnceStore
	directory.Users
	keys.Store
	clients.Store
	audit.Store
	Close() error
}

// A Location names a store. It prints without a password.
type Location struct {
	scheme string
	// rest is a path for sqlite, and the whole URL for the others.
	rest string
}

const (
	sqlite   = "sqlite"
	postgres = "postgres"
	redis    = "redis"
)

// Parse reads sqlite:PATH, postgres://…, redis://… or valkey://…. The error contains no
// part of the text but its scheme.
func Parse(text string) (Location, error) {
	scheme, rest, _ := strings.Cut(text, ":")
	switch scheme {
	case sqlite:
		if path := strings.TrimPrefix(rest, "//"); path != "" {
			return Location{sqlite, path}, nil
		}
		return Location{}, errors.New("sqlite: needs the path of a file, such as sqlite:/var/lib/tandem/tandem.db")
	case postgres, "postgresql":
		return Location{postgres, text}, nil
	case redis, "rediss", "valkey", "valkeys":
		return Location{redis, strings.Replace(text, "valkey", "redis", 1)}, nil
	}
	return Location{}, errors.New("a store is named sqlite:PATH, postgres://USER@HOST/DATABASE or redis://HOST:PORT/NUMBER")
}

// Folder returns the location of the SQLite file tandem.db in a folder.
func Folder(path string) Location { return Location{sqlite, filepath.Join(path, "tandem.db")} }

// Path returns the path of the SQLite file, or "" for another store.
func (l Location) Path() string {
	if l.scheme == sqlite {
		return l.rest
	}
	return ""
}

// HasPassword reports whether the URL contains a password, or cannot be parsed.
func (l Location) HasPassword() bool {
	if l.scheme == sqlite {
		return false
	}
	u, err := url.Parse(l.rest)
	if err != nil {
		return true // it may contain one
	}
	_, has := u.User.Password()
	return has || u.Query().Has("password")
}

// String returns the location without user, password and parameters, which may be secret.
func (l Location) String() string {
	if l.scheme == sqlite {
		return sqlite + ":" + l.rest
	}
	if u, err := url.Parse(l.rest); err == nil {
		return fmt.Sprintf("%s://%s%s", l.scheme, u.Host, u.Path)
	}
	return l.scheme
}

// Exists reports whether the SQLite file exists. For a database server it returns true
// without asking the server.
func (l Location) Exists() bool {
	if l.scheme != sqlite {
		return true
	}
	_, err := os.Stat(l.rest)
	return !errors.Is(err, fs.ErrNotExist)
}

// Schema returns the version of the schema of the store, and the one that this program knows.
// It changes nothing, and needs no lock: a server may be running on the store. A store that
// has no schema yet has version 0.
func (l Location) Schema(ctx context.Context) (is, known int64, err error) {
	switch l.scheme {
	case sqlite:
		return sqlitestore.Schema(ctx, l.rest)
	case postgres:
		return pgstore.Schema(ctx, l.rest)
	case redis:
		return redisstore.Schema(ctx, l.rest)
	}
	return 0, 0, errors.New("no store was named")
}

// Open opens the store. It creates a store that does not exist, and migrates one of an
// older version. A server may be running on the store.
func (l Location) Open(ctx context.Context) (Store, error) {
	switch l.scheme {
	case sqlite:
		if err := sqlitefile.MakeFolder(l.rest); err != nil {
			return nil, err
		}
		return typed(sqlitestore.Open(ctx, l.rest))
	case postgres:
		return typed(pgstore.Open(ctx, l.rest))
	case redis:
		return typed(redisstore.Open(ctx, l.rest))
	}
	return nil, errors.New("no store was named")
}

// typed prevents a nil pointer from becoming a non-nil interface value.
func typed[S Store](s S, err error) (Store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// A Place is a store that a server has opened, with its master keys and, for a SQLite
// file, the lock.
type Place struct {
	Store      Store
	MasterKeys []keys.MasterKey
	lock       *sqlitefile.Lock
}

// ErrNoMasterKey is returned by OpenForServer if the caller gives no master keys for a
// store that is not a SQLite file.
var ErrNoMasterKey = errors.New("a master key is needed, the same on all servers that share the store: make one with " +
	"tandem master-key FILE, and name it with --master-key-file or put it into TANDEM_MASTER_KEY")

// OpenForServer opens the store for a server, and locks a SQLite file against a second
// server. If masters is empty, it reads the master keys from the file beside the SQLite
// file, and creates that file if the store has no keys yet.
func (l Location) OpenForServer(ctx context.Context, masters []keys.MasterKey) (_ *Place, err error) {
	p := &Place{MasterKeys: masters}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if l.scheme != sqlite && len(masters) == 0 {
		return nil, ErrNoMasterKey
	}
	if l.scheme == sqlite {
		if p.lock, err = sqlitefile.NewLock(l.rest); err != nil {
			return nil, err
		}
	}
	if p.Store, err = l.Open(ctx); err != nil {
		return nil, err
	}
	if len(masters) > 0 {
		return p, nil
	}
	_, version, err := p.Store.LoadKeys(ctx)
	if err != nil {
		return nil, err
	}
	p.MasterKeys, err = p.lock.MasterKeys(version == 0)
	return p, err
}

// Warning returns what an operator should know about the store's settings, or "".
func (p *Place) Warning() string {
	if s, ok := p.Store.(interface{ Warning() string }); ok {
		return s.Warning()
	}
	return ""
}

// Close closes the store and releases the lock. It may be called twice.
func (p *Place) Close() error {
	var errs []error
	if p.Store != nil {
		errs = append(errs, p.Store.Close())
	}
	if p.lock != nil {
		errs = append(errs, p.lock.Close())
	}
	return errors.Join(errs...)
}
