package redisstore

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

const (
	// keep is how long the store keeps a session after it has ended or expired. During
	// that time the server can tell a client why it refuses the session's tokens.
	keep = 30 * 24 * time.Hour
	// creation is how long the creation of a session may take: for that long, the ID of
	// a session that does not exist yet stays in the subject's list.
	creation = time.Minute
	// atOnce is how many sessions of a subject are read or ended at the same time.
	atOnce = 256
)

// sessionKey returns the key of a session's hash, which holds the whole session. The
// hash tag spreads sessions over the slots of a Cluster.
func (s *Store) sessionKey(id string) string { return s.key("session:{" + id + "}") }

// listKey returns the key of a subject's list: the IDs of its sessions, scored by the
// times when they were created. The list contains every session that has not ended, and
// may contain others.
func (s *Store) listKey(subject string) string {
	sum := sha256.Sum256([]byte(subject))
	return s.key("subject:{" + base64.RawURLEncoding.EncodeToString(sum[:]) + "}")
}

// Create adds a session, or returns [store.ErrExists].
func (s *Store) Create(ctx context.Context, session store.Session) error {
	const doing = "create a session"
	id, goes := session.ID.String(), session.ExpiresAt
	if !session.EndedAt.IsZero() && session.EndedAt.Before(goes) {
		goes = session.EndedAt
	}
	now, goesAt := time.Now(), millis(goes.Add(keep))
	if session.EndedAt.IsZero() { // first into the list: EndSubject would miss a session that is not listed
		err := s.run(ctx, doing, repeatable, s.scripts.add, []string{s.listKey(session.Subject)},
			[]string{millis(session.CreatedAt), id, goesAt, strconv.FormatInt(goes.Add(keep).Sub(now).Milliseconds(), 10)}, func(answer rueidis.RedisResult, _ bool) error { return answer.Error() })
		if err != nil {
			return err
		}
	}
	created, mayBeOurs := false, false
	err := s.run(ctx, doing, repeatable, s.scripts.create, []string{s.sessionKey(id)}, append([]string{goesAt}, fields(session)...),
		func(answer rueidis.RedisResult, mayBeDone bool) (err error) {
			created, err = answer.AsBool()
			mayBeOurs = mayBeDone
			return err
		})
	switch {
	case err != nil || created:
		return err
	case mayBeOurs: // the server executed the first attempt, and its answer was lost
		there, err := s.Get(ctx, session.ID)
		if err != nil || there.Subject == session.Subject && there.Current == session.Current {
			return err
		}
	}
	return fmt.Errorf("%s: %w", doing, store.ErrExists)
}

// Get returns a session, or [store.ErrNotFound].
func (s *Store) Get(ctx context.Context, id rotation.SessionID) (session store.Session, _ error) {
	const doing = "get a session"
	found := false
	err := s.try(ctx, doing, repeatable, func(bool) error {
		hash, err := s.client.Do(ctx, s.client.B().Hgetall().Key(s.sessionKey(id.String())).Build()).AsStrMap()
		if found = len(hash) > 0; found {
			session, err = scan(id, hash)
		}
		return err
	})
	if err == nil && !found {
		return store.Session{}, fmt.Errorf("%s: %w", doing, store.ErrNotFound)
	}
	return session, err
}

// Confirm makes to the session's current token if to is newer and the session lives.
// Without such a session the error is [store.ErrNotFound].
func (s *Store) Confirm(ctx context.Context, id rotation.SessionID, to rotation.Position, at time.Time) (store.Confirmation, error) {
	const doing = "confirm a refresh token"
	var result store.Confirmation
	mayBeOurs := false
	err := s.run(ctx, doing, repeatable, s.scripts.confirm, []string{s.sessionKey(id.String())},
		[]string{strconv.FormatUint(uint64(to.Generation), 10), strconv.FormatUint(to.Branch, 10), millis(at)},
		func(answer rueidis.RedisResult, mayBeDone bool) (err error) {
			mayBeOurs = mayBeDone
			result, err = scanConfirmation(id, answer)
			return err
		})
	switch {
	case rueidis.IsRedisNil(err):
		return store.Confirmation{}, fmt.Errorf("%s: %w", doing, store.ErrNotFound)
	case err != nil:
		return store.Confirmation{}, err
	case mayBeOurs && !result.Confirmed && to.Generation > 0 && result.Session.Current == to && millis(result.Session.ConfirmedAt) == millis(at):
		// The server executed an earlier attempt, and its answer was lost.
		result.Confirmed, result.Previous = true, to.Generation-1
	}
	return result, nil
}

// End ends a session. If the session has ended already, End changes nothing. It returns
// false if the session lives because its current token is not how.If.
func (s *Store) End(ctx context.Context, id rotation.SessionID, how store.End) (bool, error) {
	end, err := s.end(ctx, "end a session", id.String(), "", how)
	if err != nil {
		return false, err
	}
	if end.subject != nil && !end.lives {
		s.unlist(ctx, *end.subject, []string{id.String()})
	}
	return !end.lives, nil
}

// EndSubject ends all live sessions of a subject and returns how many it ended. After a
// lost connection it does not count the sessions that an earlier attempt ended.
func (s *Store) EndSubject(ctx context.Context, subject string, reason rotation.EndReason, at time.Time) (int, error) {
	const doing = "end the sessions of a subject"
	listed, err := s.listed(ctx, doing, subject)
	if err != nil {
		return 0, err
	}
	how := store.End{Reason: reason, At: at}
	if s.waits && s.client.Mode() != rueidis.ClientModeCluster {
		return s.endTogether(ctx, listed, subject, how)
	}
	n := 0
	for some := range slices.Chunk(listed, atOnce) {
		ended, over, err := s.endSome(some, func(id string) (end, error) { return s.end(ctx, doing, id, subject, how) })
		n += ended
		s.unlist(ctx, subject, over)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// An end is the result of the script that ends a session.
type end struct {
	ended   bool    // by this call
	lives   bool    // because another token is the current one
	subject *string // nil if there is no such session
}

// end ends one session; unless subject is empty, only a session of that subject.
func (s *Store) end(ctx context.Context, doing, id, subject string, how store.End) (end, error) {
	var result end
	if err := s.willEnd(ctx, doing, how.At, id); err != nil {
		return end{}, err
	}
	err := s.runDurably(ctx, doing, repeatable, s.scripts.end, []string{s.sessionKey(id)}, endArgs(subject, how), result.read)
	if rueidis.IsRedisNil(err) {
		return end{}, nil
	}
	return result, err
}

// List returns one page of the sessions of a subject that have not ended, newest first.
func (s *Store) List(ctx context.Context, subject string, page store.Page) ([]store.Session, error) {
	const doing = "list sessions"
	listed, err := s.listed(ctx, doing, subject)
	if err != nil {
		return nil, err
	}
	var (
		found []store.Session
		over  []string
		old   = float64(time.Now().Add(-creation).UnixMilli())
		most  = atOnce
	)
	if page.Limit > 0 {
		most = min(page.Limit, atOnce)
	}
	for some := range slices.Chunk(newestFirst(listed, page.After), most) {
		sessions, err := s.getAll(ctx, doing, some)
		if err != nil {
			return nil, err
		}
		for i, session := range sessions {
			switch {
			case session != nil && session.Subject == subject && session.EndedAt.IsZero():
				found = append(found, *session)
			case some[i].Score < old:
				over = append(over, some[i].Member)
			}
		}
		if page.Limit > 0 && len(found) >= page.Limit {
			found = found[:page.Limit]
			break
		}
	}
	s.unlist(ctx, subject, over)
	return found, nil
}

// listed returns the IDs in a subject's list, with their scores.
func (s *Store) listed(ctx context.Context, doing, subject string) (listed []rueidis.ZScore, _ error) {
	err := s.try(ctx, doing, repeatable, func(bool) (err error) {
		listed, err = s.client.Do(ctx, s.client.B().Zrange().Key(s.listKey(subject)).Min("0").Max("-1").Withscores().Build()).AsZScores()
		return err
	})
	return listed, err
}

// unlist removes sessions from their subject's list. It ignores errors: the sessions
// are ended or gone, and the next call that reads the list removes them again.
func (s *Store) unlist(ctx context.Context, subject string, ids []string) {
	if len(ids) > 0 {
		_ = s.client.Do(ctx, s.client.B().Zrem().Key(s.listKey(subject)).Member(ids...).Build()).Error()
	}
}

// getAll returns the sessions with the given IDs, nil for each that does not exist.
func (s *Store) getAll(ctx context.Context, doing string, ids []rueidis.ZScore) ([]*store.Session, error) {
	found := make([]*store.Session, len(ids))
	err := s.try(ctx, doing, repeatable, func(bool) error {
		commands := make(rueidis.Commands, len(ids))
		for i, id := range ids {
			commands[i] = s.client.B().Hgetall().Key(s.sessionKey(id.Member)).Build()
		}
		for i, answer := range s.client.DoMulti(ctx, commands...) {
			hash, err := answer.AsStrMap()
			if err != nil {
				return err
			}
			if len(hash) == 0 {
				continue
			}
			id, err := rotation.ParseSessionID(ids[i].Member)
			if err != nil {
				return damaged(err)
			}
			session, err := scan(id, hash)
			if err != nil {
				return err
			}
			found[i] = &session
		}
		return nil
	})
	return found, err
}

// fields returns the fields of a session and their values.
func fields(session store.Session) []string {
	all := []string{
		"generation", strconv.FormatUint(uint64(session.Current.Generation), 10),
		"branch", strconv.FormatUint(session.Current.Branch, 10),
		"confirmed_at", millis(session.ConfirmedAt), "expires_at", millis(session.ExpiresAt), "created_at", millis(session.CreatedAt),
		"subject", session.Subject, "username", session.Username, "scope", session.Scope, "device", session.Device, "ip", session.IP,
	}
	if !session.EndedAt.IsZero() {
		all = append(all, "ended_at", millis(session.EndedAt), "end_reason", string(session.EndReason))
	}
	return all
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

func scanConfirmation(id rotation.SessionID, answer rueidis.RedisResult) (store.Confirmation, error) {
	parts, err := answer.ToArray()
	if err != nil {
		return store.Confirmation{}, err
	}
	if len(parts) != 3 {
		return store.Confirmation{}, errNoAnswer
	}
	confirmed, err := parts[0].AsBool()
	if err != nil {
		return store.Confirmation{}, err
	}
	was, err := parts[1].ToString()
	if err != nil {
		return store.Confirmation{}, err
	}
	previous, err := strconv.ParseUint(was, 10, 32)
	if err != nil {
		return store.Confirmation{}, damaged(err)
	}
	hash, err := parts[2].AsStrMap()
	if err != nil {
		return store.Confirmation{}, err
	}
	session, err := scan(id, hash)
	result := store.Confirmation{Session: session, Confirmed: confirmed}
	if confirmed {
		result.Previous = uint32(previous)
	}
	return result, err
}

func scan(id rotation.SessionID, hash map[string]string) (store.Session, error) {
	var errs []error
	number := func(field string, bits int) uint64 {
		n, err := strconv.ParseUint(hash[field], 10, bits)
		errs = append(errs, err)
		return n
	}
	at := func(field string) time.Time {
		n, err := strconv.ParseInt(hash[field], 10, 64)
		errs = append(errs, err)
		return time.UnixMilli(n)
	}
	session := store.Session{
		ID: id,
		State: rotation.State{
			Current:     rotation.Position{Generation: uint32(number("generation", 32)), Branch: number("branch", 64)},
			ConfirmedAt: at("confirmed_at"),
			ExpiresAt:   at("expires_at"),
		},
		Subject: hash["subject"], Username: hash["username"], Scope: hash["scope"],
		Device: hash["device"], IP: hash["ip"],
		CreatedAt: at("created_at"),
	}
	if _, ended := hash["ended_at"]; ended {
		session.EndedAt, session.EndReason = at("ended_at"), rotation.EndReason(hash["end_reason"])
	}
	if err := errors.Join(errs...); err != nil {
		return store.Session{}, damaged(err)
	}
	return session, nil
}
