package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/visible"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	// exitNotSignedIn: there is no session, or it has ended. Sign in.
	exitNotSignedIn = 3
	// exitTemporary: the server could not be reached, or was busy. The session lives;
	// try again.
	exitTemporary = 4
	// exitStatus: the server answered tandem fetch with a status of 400 or above, or with a
	// redirect that tandem fetch did not follow.
	exitStatus = 5
	// exitInterrupted is the code that shells expect from a command that SIGINT ended.
	exitInterrupted = 130
)

// exitCodes is part of the help.
const exitCodes = "Exit codes: 0; 1 failed; 2 wrong arguments; 3 not signed in, or the session has ended; " +
	"4 the server is away or busy, try again; 5 tandem fetch was answered with 400 or above, or with a redirect that it could not follow; 130 interrupted."

// A failure says how a command failed, as --json prints it.
type failure struct {
	// Code is the kind of failure, for scripts.
	Code    string `json:"error"`
	Message string `json:"message"`
	Exit    int    `json:"exit"`
	// Reason is why the session ended.
	Reason string `json:"reason,omitempty"`
	// RetryAt is the earliest time for another try, if the client knows it.
	RetryAt *time.Time `json:"retryAt,omitempty"`
	// Status is the HTTP status of the server's answer.
	Status int `json:"status,omitempty"`
}

// A wordedError replaces the text of an error, and unwraps to it.
type wordedError struct {
	text string
	err  error
}

func (e *wordedError) Error() string { return e.text }
func (e *wordedError) Unwrap() error { return e.err }

// A wrongServerError reports that a server answers at the address, but not the Tandem
// server that the user means.
type wrongServerError struct {
	url string
	err error
}

func (e *wrongServerError) Error() string {
	if isCertificateTrouble(e.err) {
		return fmt.Sprintf("what answers at %s is not proven to be that server: %v", e.url, e.err)
	}
	return fmt.Sprintf("what answers at %s is no Tandem server; is the address right? %v", e.url, e.err)
}

func (e *wrongServerError) Unwrap() error { return e.err }

// isCertificateTrouble reports whether the server's certificate is not valid, or the server
// does not speak TLS.
func isCertificateTrouble(err error) bool {
	var (
		certificate *tls.CertificateVerificationError
		plain       tls.RecordHeaderError
	)
	return errors.As(err, &certificate) || errors.As(err, &plain)
}

// isAway reports whether the error of a call to the server is temporary: the client got no
// complete answer, or an answer whose status allows another try.
func isAway(err error) bool {
	var (
		said   *tandem.ServerError
		status statusError
		call   *url.Error
		wire   net.Error
	)
	switch {
	case isCertificateTrouble(err):
		return false
	case errors.As(err, &said):
		return mayPass(said.Status)
	case errors.As(err, &status):
		return mayPass(status.status)
	}
	return errors.As(err, &call) || errors.As(err, &wire) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded)
}

func mayPass(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= http.StatusInternalServerError
}

// newFailure classifies an error for scripts: code, exit code and details.
func newFailure(err error) failure {
	var (
		ended     *tandem.EndedError
		other     *tandem.OtherServerError
		temporary *tandem.TemporaryError
		once      *tandem.BodyNotReplayableError
		status    statusError
		redirect  redirectError
		wrong     *wrongServerError
		network   *net.OpError
	)
	f := failure{Message: err.Error()}
	switch {
	case errors.Is(err, errSignIn):
		f.Code, f.Exit = "not_signed_in", exitNotSignedIn
	case errors.Is(err, tandem.ErrNotSignedIn):
		f.Code, f.Exit, f.Message = "not_signed_in", exitNotSignedIn, errSignIn.Error()
	case errors.Is(err, tandem.ErrInvalidCredentials):
		f.Code, f.Exit = "invalid_credentials", exitNotSignedIn
	case errors.As(err, &ended):
		f.Code, f.Exit, f.Reason = "session_ended", exitNotSignedIn, string(ended.Reason)
	case errors.As(err, &other):
		f.Code, f.Exit = "other_server", exitNotSignedIn
	case errors.As(err, &wrong) || isCertificateTrouble(err): // another try would not help
		f.Code, f.Exit = "wrong_server", exitFailed
	case isKeyringTrouble(err): // may wrap a *net.OpError, but the server is not its cause
		f.Code, f.Exit = "failed", exitFailed
	case errors.As(err, &temporary):
		f.Code, f.Exit = "temporary", exitTemporary
		if at := temporary.RetryAt.UTC().Truncate(time.Second); at.After(time.Now()) {
			f.RetryAt = &at
		}
	case errors.As(err, &once):
		f.Code, f.Exit = "body_not_replayable", exitTemporary
		f.Message = "the access token was refused, and the body could be read only once; there is a fresh token now: run the command again"
	case errors.As(err, &status):
		f.Code, f.Exit, f.Status = "status", exitStatus, status.status
	case errors.As(err, &redirect):
		f.Code, f.Exit, f.Status = "redirect", exitStatus, redirect.status
	case errors.As(err, &network) && network.Op == "dial": // the client has sent nothing
		f.Code, f.Exit = "unreachable", exitTemporary
	default:
		f.Code, f.Exit = "failed", exitFailed
	}
	return f
}

// fail prints why a command failed, and returns its exit code.
func (c console) fail(ctx context.Context, err error) int {
	f := newFailure(err)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		f = failure{Code: "interrupted", Message: "interrupted: " + err.Error(), Exit: exitInterrupted}
	}
	return c.report(f)
}

// failUsage is fail for a wrong command line.
func (c console) failUsage(err error) int {
	code := c.report(failure{Code: "usage", Message: err.Error(), Exit: exitUsage})
	if !c.json {
		fmt.Fprintln(c.err, "Run tandem --help to see what there is.")
	}
	return code
}

func (c console) report(f failure) int {
	if c.json {
		_ = printJSON(c.err, f)
	} else {
		fmt.Fprintln(c.err, "tandem:", visible.Lines(f.Message))
	}
	return f.Exit
}
