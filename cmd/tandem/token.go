package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tandem-auth/tandem"
)

type tokenCommand struct {
	Format string        `enum:"raw,header,json,exec-credential" default:"raw" env:"-" help:"raw; header: a whole Authorization header for curl -H @-; json; or exec-credential, which kubectl understands (default ${default})."`
	MinTTL time.Duration `name:"min-ttl" default:"10s" env:"-" help:"How long the token should be good for: with less left, the next one is fetched, if it is to be had (default ${default})."`

	profileFlags `embed:""`
}

// Run prints an access token that is good now, and nothing else. The output is a secret.
func (cmd *tokenCommand) Run(ctx context.Context, c console) error {
	version, err := execVersion(os.Getenv(execVariable))
	if err != nil && cmd.Format == "exec-credential" {
		return err
	}
	return cmd.with(ctx, c, func(s *signedIn) error {
		token, until, err := cmd.token(ctx, s)
		if err != nil {
			return err
		}
		switch {
		case cmd.Format == "exec-credential":
			return printJSON(c.out, execCredential{
				APIVersion: version,
				Kind:       "ExecCredential",
				Status:     execStatus{Token: token, ExpirationTimestamp: until},
			})
		case cmd.Format == "json", c.json:
			return printJSON(c.out, tokenAnswer{AccessToken: token, TokenType: "Bearer", ExpiresAt: until})
		case cmd.Format == "header":
			_, err = fmt.Fprintf(c.out, "Authorization: Bearer %s\n", token)
		default:
			_, err = fmt.Fprintln(c.out, token)
		}
		return err
	})
}

// token returns an access token and when it expires. If that is less than MinTTL away,
// token refreshes first; while the server is away it returns the old access token until
// that expires.
func (cmd *tokenCommand) token(ctx context.Context, s *signedIn) (string, time.Time, error) {
	token, until, err := s.TokenUntil(ctx)
	if err != nil {
		return "", time.Time{}, err
	}
	if time.Until(until) < cmd.MinTTL {
		s.Invalidate(token)
		next, nextUntil, err := s.TokenUntil(ctx)
		_, temporary := errors.AsType[*tandem.TemporaryError](err)
		switch {
		case err == nil:
			token, until = next, nextUntil
		case !temporary || time.Until(until) <= 0:
			return "", time.Time{}, err
		}
	}
	return token, until.UTC().Truncate(time.Second), nil
}

type tokenAnswer struct {
	AccessToken string    `json:"accessToken"`
	TokenType   string    `json:"tokenType"`
	ExpiresAt   time.Time `json:"expiresAt"`
}

// execVariable is the environment variable in which kubectl passes an ExecCredential to a
// credential plugin.
const execVariable = "KUBERNETES_EXEC_INFO"

// execVersions are the supported versions of ExecCredential, all with the fields of
// execStatus. The first is the default.
var execVersions = []string{"client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"}

// execVersion returns the version of ExecCredential that info asks for: kubectl accepts no
// other. It returns an error for a version that is not in execVersions.
func execVersion(info string) (string, error) {
	if info == "" {
		return execVersions[0], nil
	}
	var asked struct {
		APIVersion string `json:"apiVersion"`
	}
	if err := json.Unmarshal([]byte(info), &asked); err != nil {
		return "", fmt.Errorf("%s: %w", execVariable, err)
	}
	if !slices.Contains(execVersions, asked.APIVersion) {
		return "", fmt.Errorf("%s asks for the version %q; tandem token knows %s", execVariable, asked.APIVersion, strings.Join(execVersions, " and "))
	}
	return asked.APIVersion, nil
}

// An execCredential is the output of a credential plugin of Kubernetes
// (client.authentication.k8s.io).
type execCredential struct {
	APIVersion string     `json:"apiVersion"`
	Kind       string     `json:"kind"`
	Status     execStatus `json:"status"`
}

type execStatus struct {
	Token               string    `json:"token"`
	ExpirationTimestamp time.Time `json:"expirationTimestamp"`
}
