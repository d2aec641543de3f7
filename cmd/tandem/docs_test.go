package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/admin"
	"github.com/tandem-auth/tandem/internal/backup"
)

// The page on the command, in both languages, has every command, every key of what
// --json prints, and every exit code with what it stands for.
func TestThePageOnTheCommand(t *testing.T) {
	parser, err := kong.New(&commands{}, kong.Vars{"version": ""})
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, leaf := range parser.Model.Leaves(true) {
		words = append(words, leaf.Name)
	}
	for _, answer := range []any{
		sessionAnswer{},
		listedProfile{},
		tokenAnswer{},
		fetchAnswer{},
		proxyAnswer{},
		logoutAnswer{},
		userAnswer{},
		admin.User{},
		backupAnswer{},
		restoreAnswer{},
		backupKeyAnswer{},
		backup.Report{},
		masterKeyAnswer{},
		listedKey{},
		checkedAnswer{},
		printedSetting{},
		tryAnswer{},
		failure{},
		warning{},
	} {
		for field := range reflect.TypeOf(answer).Fields() {
			if key, _, _ := strings.Cut(field.Tag.Get("json"), ","); key != "" {
				words = append(words, key)
			}
		}
	}
	for _, err := range []error{
		errSignIn, tandem.ErrNotSignedIn, tandem.ErrInvalidCredentials, &tandem.EndedError{}, &tandem.TemporaryError{Err: errors.New("busy")},
		&tandem.OtherServerError{},
		&tandem.BodyNotReplayableError{},
		statusError{404},
		redirectError{},
		&wrongServerError{err: errors.New("no JSON")},
		&net.OpError{Op: "dial", Err: errors.New("refused")}, errors.New("another"),
	} {
		f := newFailure(fmt.Errorf("doing something: %w", err))
		words = append(words, fmt.Sprintf("| %d |", f.Exit), "`"+f.Code+"`")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	interrupted := console{err: t.Output()}.fail(ctx, ctx.Err())
	words = append(words, fmt.Sprintf("| %d | `interrupted`", interrupted), fmt.Sprintf("| %d | `usage`", exitUsage))

	for _, name := range []string{"command.md", "command.zh-CN.md"} {
		text, err := os.ReadFile("../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range words {
			if !strings.Contains(string(text), word) {
				t.Errorf("%s does not have %q", name, word)
			}
		}
	}
}
