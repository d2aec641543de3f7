package server_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store/sqlitestore"
)

// staff is a directory of a program's own.
type staff struct{}

func (staff) Authenticate(_ context.Context, username, password string) (server.Identity, error) {
	if username != "alice" || password != "wonderland" {
		return server.Identity{}, server.ErrInvalidCredentials
	}
	return server.Identity{Subject: "u-1", Username: "alice", Scope: "read"}, nil
}

// A program that has the authorization server inside, beside handlers of its
// own that only people who are signed in may call.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "tandem-example")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	sessions, err := sqlitestore.Open(ctx, filepath.Join(dir, "tandem.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = sessions.Close() }()

	// In production, store both keys: a server without them signs everybody out.
	signingKey, err := server.GenerateSigningKey(server.ES256)
	if err != nil {
		log.Fatal(err)
	}
	refreshKey, err := server.NewRefreshKey()
	if err != nil {
		log.Fatal(err)
	}

	auth, err := server.New(server.Config{
		Issuer:      "https://example.com",
		Store:       sessions,
		Directory:   staff{},
		SigningKey:  signingKey,
		RefreshKeys: []rotation.Key{refreshKey},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = auth.Close() }()

	mux := http.NewServeMux()
	mux.Handle("/auth/", auth)
	mux.Handle("/.well-known/jwks.json", auth)
	mux.Handle("/hello", auth.RequireSession(http.HandlerFunc(hello)))

	// http.ListenAndServe(":8080", mux)
	tryOut(mux)
	// Output:
	// 401 without a token
	// 200 hello u-1
}

func hello(w http.ResponseWriter, r *http.Request) {
	access, _ := server.FromContext(r.Context())
	_, _ = fmt.Fprintf(w, "hello %s", access.Subject)
}
