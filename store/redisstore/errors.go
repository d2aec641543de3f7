package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/rueidis"
)

// errClosed is for calls after Close.
var errClosed = errors.New("the store is closed")

// isAnswer reports whether an error is an answer of the server.
func isAnswer(err error) bool {
	var failure *rueidis.RedisError
	return errors.As(err, &failure)
}

// isLost reports whether there was no answer: the connection could not be made, or
// was lost.
func isLost(err error) bool {
	var damage *damagedError
	return !isAnswer(err) && !errors.As(err, &damage) && !errors.Is(err, errNotOnDisk) && !rueidis.IsParseErr(err)
}

// isElsewhere reports whether the server has not carried out what it was asked, and
// it or another one will in a moment: a Cluster or Sentinel at work.
func isElsewhere(err error) bool {
	return isAnswer(err) && slices.Contains([]string{
		"MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "READONLY", "LOADING",
	}, code(err.Error()))
}

// isReplica reports whether the server has answered as a replica does: there was a
// failover, and the connection leads to where the primary was.
func isReplica(err error) bool {
	return isAnswer(err) && (slices.Contains([]string{"READONLY", "MASTERDOWN"}, code(err.Error())) || isDemoted(err))
}

// isDemoted reports whether the server has become a replica between a write and the
// wait for the disk: the write may be undone.
func isDemoted(err error) bool {
	return isAnswer(err) && (code(err.Error()) == "UNBLOCKED" || strings.Contains(err.Error(), "cannot be used with replica instances"))
}

// code returns the first word of what the server answered, which says what kind of
// an error it is.
func code(text string) string {
	if i := strings.LastIndex(text, ": -"); i >= 0 { // within a script, before Redis 7
		text = text[i+len(": -"):]
	}
	code, _, _ := strings.Cut(text, " ")
	return code
}

// explain says what was being done on which server, and what may help. It returns
// nil for nil, and leaves that there is no such key to the caller.
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

// advise says what to do about an error.
func (s *Store) advise(err error) string {
	switch {
	case isLost(err):
		return "is it running, and is that its address?"
	case isAnswer(err):
		return s.adviseOn(err.Error())
	}
	return ""
}

// adviseOn says what to do about what the server answered.
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
		return "its memory is full: raise maxmemory, and the server goes on by itself"
	case "MISCONF":
		return "it cannot save to its disk: see its log, free some space, and the server goes on by itself"
	case "NOREPLICAS":
		return "too few replicas follow it (min-replicas-to-write): start them, and the server goes on by itself"
	case "WRONGTYPE":
		return "another program has put something else under this prefix: name another one in the URL"
	case "LOADING":
		return "it is starting, and the server goes on by itself"
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

// errNotOnDisk is for what was done, but may be undone by a crash.
var errNotOnDisk = fmt.Errorf("it was done, but is not on the disk after %v: is its disk slow or full?", waitTimeout)

// errNoAnswer is for an answer that no script of ours gives.
var errNoAnswer = damaged(errors.New("unexpected answer of a script"))

// A damagedError is for what is not as the store writes it.
type damagedError struct{ cause error }

func (e *damagedError) Error() string {
	return fmt.Sprintf("what is kept there is damaged (%v); put a backup in its place, or remove the key", e.cause)
}

func (e *damagedError) Unwrap() error { return e.cause }

func damaged(cause error) error { return &damagedError{cause} }
