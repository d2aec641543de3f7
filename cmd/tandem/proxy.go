package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/tandem-auth/tandem/internal/sidecar"
)

type proxyCommand struct {
	Listen    string `default:"127.0.0.1:8099" placeholder:"ADDR" help:"Address to listen on (default ${default}); port 0 takes a free one."`
	AnyListen bool   `name:"insecure-listen-anywhere" env:"-" help:"Allow an address that other machines can reach. There is no TLS."`
	Target    string `env:"-" placeholder:"URL" help:"Where requests go: the profile's server, or one of its origins, with a path if need be. Defaults to the server."`

	profileFlags `embed:""`
	logFlags     `embed:""`
}

// secretVariable may have the secret, which is drawn at random otherwise.
const secretVariable = "TANDEM_PROXY_SECRET"

// minSecret is the shortest secret that is taken from the environment.
const minSecret = 16

// Run serves until the context ends.
func (cmd *proxyCommand) Run(ctx context.Context, c console) error {
	return cmd.with(ctx, func(s *signedIn) error {
		target, err := cmd.target(s)
		if err != nil {
			return err
		}
		secret, err := cmd.secret()
		if err != nil {
			return err
		}
		listener, err := cmd.listen(ctx)
		if err != nil {
			return err
		}
		server := &http.Server{
			Handler:           sidecar.New(sidecar.Config{Session: s.Session, Target: target, Secret: secret, Logger: cmd.logger(c)}),
			ReadHeaderTimeout: 10 * time.Second,
			IdleTimeout:       2 * time.Minute,
		}
		fmt.Fprintf(c.out, "http://%s/%s/\n", listener.Addr(), secret)
		fmt.Fprintf(c.err, "Requests to that address go to %s in the name of %s. Whoever knows it can make\nthem, so keep it to yourself. Press Ctrl-C to stop.\n",
			target, s.Status().Username)
		return serveUntil(ctx, server, listener)
	})
}

func serveUntil(ctx context.Context, server *http.Server, listener net.Listener) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	draining, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := server.Shutdown(draining)
	if errors.Is(err, context.DeadlineExceeded) { // streams may go on for ever
		err = server.Close()
	}
	if failure := <-failed; !errors.Is(failure, http.ErrServerClosed) {
		err = errors.Join(err, failure)
	}
	return err
}

func (cmd *proxyCommand) target(s *signedIn) (*url.URL, error) {
	text := cmd.Target
	if text == "" {
		text = s.profile.URL
	}
	target, err := url.Parse(text)
	if err != nil || target.Host == "" {
		return nil, fmt.Errorf("--target: %q is not a URL such as https://api.example.com", text)
	}
	if err := s.mayGo(target); err != nil {
		return nil, fmt.Errorf("--target: %w", err)
	}
	return target, nil
}

func (cmd *proxyCommand) secret() (string, error) {
	secret := os.Getenv(secretVariable)
	switch {
	case secret == "":
		return sidecar.NewSecret()
	case len(secret) < minSecret || strings.ContainsAny(secret, "/?#% "):
		return "", fmt.Errorf("%s: want at least %d characters, none of / ? # %% and space", secretVariable, minSecret)
	}
	return secret, nil
}

func (cmd *proxyCommand) listen(ctx context.Context) (net.Listener, error) {
	host, _, err := net.SplitHostPort(cmd.Listen)
	if err != nil {
		return nil, fmt.Errorf("--listen: %q is not HOST:PORT", cmd.Listen)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) && !cmd.AnyListen {
		return nil, fmt.Errorf("--listen: other machines can reach %s, and there is no TLS: take 127.0.0.1, or say --insecure-listen-anywhere", cmd.Listen)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", cmd.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", cmd.Listen, err)
	}
	return listener, nil
}
