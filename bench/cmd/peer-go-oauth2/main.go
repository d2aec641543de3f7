// Command peer-go-oauth2 is a server for comparison: go-oauth2/oauth2 with its token
// store in memory. As is that library's default, a refresh issues new tokens and
// removes the old ones.
//
// The server reads a password from the first line of standard input, and accepts it for
// every user. It listens on a free port of 127.0.0.1, and ends on an interrupt.
package main

import (
	"bufio"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-oauth2/oauth2/v4"
	oautherrors "github.com/go-oauth2/oauth2/v4/errors"
	"github.com/go-oauth2/oauth2/v4/manage"
	"github.com/go-oauth2/oauth2/v4/models"
	"github.com/go-oauth2/oauth2/v4/server"
	"github.com/go-oauth2/oauth2/v4/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "peer-go-oauth2:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		return fmt.Errorf("read the password from standard input: %w", err)
	}
	auth, err := newServer(strings.TrimSuffix(line, "\n"))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		if err := auth.HandleTokenRequest(w, r); err != nil {
			fmt.Fprintln(os.Stderr, "answer a request:", err)
		}
	})
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	fmt.Fprintf(os.Stderr, "listening address=%s\n", listener.Addr())
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// newServer returns a server with one client, which is public, so the server checks no
// client secret.
func newServer(password string) (*server.Server, error) {
	tokens, err := store.NewMemoryTokenStore()
	if err != nil {
		return nil, fmt.Errorf("make the token store: %w", err)
	}
	clients := store.NewClientStore()
	if err := clients.Set("bench", &models.Client{ID: "bench", Public: true}); err != nil {
		return nil, fmt.Errorf("add the client: %w", err)
	}
	manager := manage.NewDefaultManager()
	manager.MapTokenStorage(tokens)
	manager.MapClientStorage(clients)
	manager.SetRefreshTokenCfg(&manage.RefreshingConfig{IsGenerateRefresh: true, IsRemoveAccess: true, IsRemoveRefreshing: true})

	s := server.NewDefaultServer(manager)
	s.Config.AllowedGrantTypes = []oauth2.GrantType{oauth2.PasswordCredentials, oauth2.Refreshing}
	s.SetClientInfoHandler(server.ClientFormHandler)
	s.SetPasswordAuthorizationHandler(func(_ context.Context, _, username, given string) (string, error) {
		if subtle.ConstantTimeCompare([]byte(given), []byte(password)) == 0 {
			return "", oautherrors.ErrInvalidGrant
		}
		return username, nil
	})
	return s, nil
}
