package main

import (
	"context"
	"fmt"
	"time"
)

type tokenCommand struct {
	Format string `enum:"raw,header,json,exec-credential" default:"raw" env:"-" help:"raw; header: a whole Authorization header for curl -H @-; json; or exec-credential, which kubectl understands (default ${default})."`

	profileFlags `embed:""`
}

// Run prints an access token that is good now. It is a secret.
func (cmd *tokenCommand) Run(ctx context.Context, c console) error {
	return cmd.with(ctx, func(s *signedIn) error {
		token, err := s.Token(ctx)
		if err != nil {
			return err
		}
		until := s.Status().ExpiresAt.UTC().Truncate(time.Second)
		switch cmd.Format {
		case "header":
			fmt.Fprintf(c.out, "Authorization: Bearer %s\n", token)
		case "json":
			return printJSON(c.out, tokenAnswer{AccessToken: token, TokenType: "Bearer", ExpiresAt: until})
		case "exec-credential":
			return printJSON(c.out, execCredential{
				APIVersion: "client.authentication.k8s.io/v1",
				Kind:       "ExecCredential",
				Status:     execStatus{Token: token, ExpirationTimestamp: until},
			})
		default:
			fmt.Fprintln(c.out, token)
		}
		return nil
	})
}

type tokenAnswer struct {
	AccessToken string    `json:"accessToken"`
	TokenType   string    `json:"tokenType"`
	ExpiresAt   time.Time `json:"expiresAt"`
}

// An execCredential is what a credential plugin of Kubernetes prints
// (client.authentication.k8s.io/v1).
type execCredential struct {
	APIVersion string     `json:"apiVersion"`
	Kind       string     `json:"kind"`
	Status     execStatus `json:"status"`
}

type execStatus struct {
	Token               string    `json:"token"`
	ExpirationTimestamp time.Time `json:"expirationTimestamp"`
}
