package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/rueidis"
)

// errClosed is the error of calls after Close.
var errClosed = errors.New("the store is closed")

// isAnswer reports whether the server itself returned the error.
func isAnswer(err error) bool {
	var failure *rueidis.RedisError
	return errors.As(err, &failure)
}

// isLost reports whether the server did not answer: the client could not connect, or
// lost the connection.
func isLost(err error) bool {
	var damage *damagedError
	switch {
	case isAnswer(err), errors.As(err, &damage), rueidis.IsParseErr(err):
		return false
	case errors.Is(err, errNotOnDisk), errors.Is(err, errEndsLost):
		return false
	}
	return true
}

// isElsewhere reports whether the server did not execute the command, but this or
// another server will in a moment: a Cluster or Sentinel is moving keys or failing
// over.
func isElsewhere(err error) bool {
	return isAnswer(err) && slices.Contains([]string{
		"MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "READONLY", "LOADING",
	}, code(err.Error()))
}

// isReplica reports whether the server answered as a replica: after a failover, the
// connection leads to the former primary.
func isReplica(err error) bool {
	return isAnswer(err) && (slices.Contains([]string{"READONLY", "MASTERDOWN"}, code(err.Error())) || isDemoted(err))
}

// isDemoted reports whether the server became a replica after a write and before the
// write was on the disk, so that the write may be lost.
func isDemoted(err error) bool {
	return isAnswer(err) && (code(err.Error()) == "UNBLOCKED" || strings.Contains(err.Error(), "cannot be used with replica instances"))
}

// code returns the first word of a server's error, which tells the kind of the error.
func code(text string) string {
	if i := strings.LastIndex(text, ": -"); i >= 0 { // Redis before 7 wraps the error of a script so
		text = text[i+len(": -"):]
	}
	code, _, _ := strings.Cut(text, " ")
	return code
}

// explain adds to an error which server the store was using, what for, and what the
// operator can do. It returns nil for nil, and leaves [rueidis.Nil] (no such key) to
// the caller.
func (s *Store) explain(ctx context.Context, doing string, err error) error {
	switch {
	case err == nil, rueidis.IsRedisNil(err):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %s: %w", doing, s.name, ctx.Err())
	case s.closed.Load():
		return fmt.Errorf("%s: %s: %w", doing, s.name, errClosed)
	}
	if advice := s.advise(err); advice != "" {
		return fmt.Errorf("%s: %s: %w: %s", doing, s.name, err, advice)
	}
	return fmt.Errorf("%s: %s: %w", doing, s.name, err)
}

// advise returns what an operator can do about an error.
func (s *Store) advise(err error) string {
	switch {
	case isLost(err):
		return "is it running, and is that its address?"
	case isAnswer(err):
		return s.adviseOn(err.Error())
	}
	return ""
}

// adviseOn returns what an operator can do about an error that the server returned.
func (s *Store) adviseOn(text string) string {
	code := code(text)
	if strings.Contains(text, "user executing the script can't") {
		code = "NOPERM"
	}
	switch code {
	case "WRONGPASS", "NOAUTH":
		return "check user and password in the URL"
	case "NOPERM":
		return fmt.Sprintf("let the user work on these keys: ACL SETUSER … ~%s* +@read +@write +@scripting +@connection +info +config|get (and +cluster|slots +cluster|shards on a Cluster)", s.prefix)
	case "READONLY", "MASTERDOWN":
		return "it is a replica: name the primary in the URL, or Sentinel with master_set"
	case "OOM":
		return "its memory is full: raise maxmemory, and Tandem continues by itself"
	case "MISCONF":
		return "it cannot save to its disk: see its log, free some space, and Tandem continues by itself"
	case "NOREPLICAS":
		return "too few replicas follow it (min-replicas-to-write): start them, and Tandem continues by itself"
	case "WRONGTYPE":
		return "another program has put something else under this prefix: name another one in the URL"
	case "LOADING":
		return "it is starting, and Tandem continues by itself"
	case "CLUSTERDOWN":
		return "the Cluster is not whole: see CLUSTER INFO on any of its nodes"
	case "BUSY":
		return "a script of another program keeps it busy: see SCRIPT KILL"
	}
	switch {
	case strings.Contains(text, "max number of clients"):
		return "raise its maxclients, or find who holds so many connections (CLIENT LIST)"
	case strings.Contains(text, "DB index is out of range"):
		return "name a lower database number in the URL, or raise its setting databases"
	}
	return ""
}

// errNotOnDisk reports a change that the server made, but that a crash may undo.
var errNotOnDisk = fmt.Errorf("the change was made, but is not on the disk after %v: is its disk slow or full?", waitTimeout)

// errNoAnswer reports an answer that none of our scripts gives.
var errNoAnswer = damaged(errors.New("unexpected answer of a script"))

// A damagedError reports a value that the store cannot have written.
type damagedError struct{ cause error }

func (e *damagedError) Error() string {
	return fmt.Sprintf("the stored value is damaged (%v); put a backup in its place, or remove the key", e.cause)
}

func (e *damagedError) Unwrap() error { return e.cause }

func damaged(cause error) error { return &damagedError{cause} }
