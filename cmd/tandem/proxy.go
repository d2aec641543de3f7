package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/loopback"
	"github.com/tandem-auth/tandem/internal/origin"
	"github.com/tandem-auth/tandem/internal/sidecar"
	"github.com/tandem-auth/tandem/internal/visible"
)

type proxyCommand struct {
	Listen    string   `default:"127.0.0.1:8099" env:"TANDEM_PROXY_LISTEN" placeholder:"ADDR" help:"Address to listen on (default ${default}); port 0 takes a free one. unix:PATH is a socket that only you can connect to, and needs no secret."`
	AnyListen bool     `name:"insecure-listen-anywhere" env:"-" help:"Allow an address that other machines can reach, and answer to any host name. There is no TLS."`
	Target    string   `env:"-" placeholder:"URL" help:"Where requests go: the profile's server, or one of its origins, with a path if need be. Defaults to the server."`
	Origins   []string `name:"allow-origin" env:"-" placeholder:"ORIGIN" help:"Origin whose pages may make requests, such as http://localhost:5173; repeatable."`

	profileFlags `embed:""`
	logFlags     `embed:""`
}

// secretVariable is the environment variable with the secret. Without it, the proxy draws
// a random secret.
const secretVariable = "TANDEM_PROXY_SECRET"

// minSecret is how many characters a secret from the environment must have at least.
const minSecret = 16

// Run serves until the context ends.
func (cmd *proxyCommand) Run(ctx context.Context, c console) error {
	origins, err := origin.CanonicalAll(cmd.Origins)
	if err != nil {
		return fmt.Errorf("--allow-origin: %w", err)
	}
	logger := cmd.logger(c)
	s, err := cmd.open(ctx, c, logger)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.othersSession(ctx); err != nil {
		return err
	}
	target, err := cmd.target(s)
	if err != nil {
		return err
	}
	socket, private := strings.CutPrefix(cmd.Listen, "unix:")
	answer := proxyAnswer{Target: target.String(), Username: s.Status().Username}
	if !private {
		if answer.Secret, err = cmd.secret(); err != nil {
			return err
		}
	}
	listener, err := cmd.listen(ctx, socket, private)
	if err != nil {
		return err
	}
	proxy := sidecar.New(sidecar.Config{
		Session: s.Session, Reload: s.reload, Target: target, Secret: answer.Secret, Private: private,
		Origins: origins, AnyHost: cmd.AnyListen, Logger: logger,
	})
	var where, who string
	if private {
		answer.URL, answer.Address = "http://localhost/", cmd.Listen
		where, who = answer.Address, "Only you can connect to it."
	} else {
		answer.Address = listener.Addr().String()
		answer.URL = fmt.Sprintf("http://%s/%s/", answer.Address, answer.Secret)
		where, who = answer.URL, "Whoever knows it can make them:\nkeep it to yourself."
	}
	if err := c.print(answer, "%s\n", where); err != nil {
		return errors.Join(err, listener.Close())
	}
	if !c.json {
		name := "in the name of " + answer.Username
		if answer.Username == "" {
			name = "once somebody has signed in"
		}
		fmt.Fprintf(c.err, "Requests to that address go to %s\n%s. %s Press Ctrl-C to stop.\n", target, visible.Text(name), who)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true) // gRPC clients need it
	return serveUntil(ctx, &http.Server{
		Handler:           proxy,
		Protocols:         protocols,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
	}, listener)
}

// reload brings the session up to date with what other commands have done to it. It reads
// the profile, too: a sign-in at another server may leave the session's store untouched,
// because each server has its own entry in the keyring.
func (s *signedIn) reload(ctx context.Context) error {
	now, err := s.profile.Reread()
	switch {
	case err != nil: // the profile was removed or is damaged: the store decides
		err = nil
	case now.URL != s.profile.URL:
		return &tandem.OtherServerError{Want: s.profile.URL, Have: now.URL}
	case now.Keyring != s.profile.Keyring:
		err = errMovedAway
	}
	return cmp.Or(s.Reload(ctx), err)
}

// errMovedAway reports that another command moved the session to another store.
var errMovedAway = errors.New("the profile's session has moved between file and keyring: restart tandem proxy")

// A proxyAnswer is the result that --json prints when the proxy listens.
type proxyAnswer struct {
	// URL has the secret in its path; that of a Unix socket has no secret.
	URL string `json:"url"`
	// Address is HOST:PORT or unix:PATH.
	Address string `json:"address"`
	// Secret is for clients that send the header Tandem-Proxy-Secret instead of the path.
	Secret   string `json:"secret,omitempty"`
	Target   string `json:"target"`
	Username string `json:"username"`
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
	if errors.Is(err, context.DeadlineExceeded) { // a stream may never end by itself
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

func (cmd *proxyCommand) listen(ctx context.Context, socket string, private bool) (net.Listener, error) {
	if private {
		listener, err := sidecar.ListenPrivate(ctx, socket)
		if err != nil {
			return nil, fmt.Errorf("--listen: %w", err)
		}
		return listener, nil
	}
	host, _, err := net.SplitHostPort(cmd.Listen)
	if err != nil {
		return nil, fmt.Errorf("--listen: %q is neither HOST:PORT nor unix:PATH", cmd.Listen)
	}
	if !loopback.IsHost(host) && !cmd.AnyListen {
		return nil, fmt.Errorf("--listen: other machines can reach %s, and there is no TLS: take 127.0.0.1, or say --insecure-listen-anywhere", cmd.Listen)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", cmd.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w: choose another address with --listen", cmd.Listen, err)
	}
	return listener, nil
}
