package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tandem-auth/tandem/audit"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// A User is a user as administrators see them.
type User struct {
	Name       string    `json:"name"`
	Subject    string    `json:"subject"`
	Roles      []string  `json:"roles"`
	CreatedAt  time.Time `json:"createdAt"`
	DisabledAt time.Time `json:"disabledAt,omitzero"`
	UnlockedAt time.Time `json:"unlockedAt,omitzero"`
}

func describeUser(u store.User) User {
	return User{
		Name: u.Name, Subject: u.Subject, Roles: append([]string{}, strings.Fields(u.Roles)...), // [], not null
		CreatedAt: u.CreatedAt.UTC(), DisabledAt: utc(u.DisabledAt), UnlockedAt: utc(u.UnlockedAt),
	}
}

func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

// A Session is a session as administrators see it.
type Session struct {
	ID       string `json:"id"`
	Username string `json:"username"`
	Subject  string `json:"subject"`
	// State is "live", "ended" or "expired".
	State  string   `json:"state"`
	Scopes []string `json:"scopes"`
	Device string   `json:"device"`
	// IP is the address that the sign-in came from.
	IP        string    `json:"ip"`
	CreatedAt time.Time `json:"createdAt"`
	// Refreshes is how many refresh tokens have followed the first, and LastRefreshAt when
	// the last was first used.
	Refreshes     uint32    `json:"refreshes"`
	LastRefreshAt time.Time `json:"lastRefreshAt"`
	ExpiresAt     time.Time `json:"expiresAt"`
	EndedAt       time.Time `json:"endedAt,omitzero"`
	EndReason     string    `json:"endReason,omitempty"`
}

// The states of a session.
const (
	live    = "live"
	ended   = "ended"
	expired = "expired"
)

func describeSession(s store.Session, now time.Time) Session {
	d := Session{
		ID: s.ID.String(), Username: s.Username, Subject: s.Subject, State: live, Scopes: append([]string{}, strings.Fields(s.Scope)...),
		Device: s.Device, IP: s.IP, CreatedAt: s.CreatedAt.UTC(), Refreshes: s.Current.Generation, LastRefreshAt: s.ConfirmedAt.UTC(),
		ExpiresAt: s.ExpiresAt.UTC(), EndedAt: utc(s.EndedAt), EndReason: string(s.EndReason),
	}
	switch {
	case !s.EndedAt.IsZero():
		d.State = ended
	case !now.Before(s.ExpiresAt):
		d.State, d.EndReason = expired, string(rotation.Expired)
	}
	return d
}

// A Story is a session and what is on record about it, the oldest first.
type Story struct {
	Session
	Records []store.AuditRecord `json:"records"`
}

// ListUsers returns up to limit users by name, beginning after a name.
func (o Operator) ListUsers(ctx context.Context, after string, limit int) ([]User, error) {
	all, err := o.Users.List(ctx)
	if err != nil {
		return nil, err
	}
	users := []User{}
	for _, u := range all {
		if u.Name > after && len(users) < limit {
			users = append(users, describeUser(u))
		}
	}
	return users, nil
}

// FindUser returns a user, or [ErrNoUser].
func (o Operator) FindUser(ctx context.Context, name string) (User, error) {
	user, err := o.find(ctx, name)
	if err != nil {
		return User{}, err
	}
	return describeUser(user), nil
}

// ListSessions returns up to limit sessions that nothing has ended, the newest first: of a
// user or, if name is empty, of all users in turn.
func (o Operator) ListSessions(ctx context.Context, name string, limit int) ([]Session, error) {
	var users []store.User
	if name != "" {
		user, err := o.find(ctx, name)
		if err != nil {
			return nil, err
		}
		users = []store.User{user}
	} else {
		var err error
		if users, err = o.Users.List(ctx); err != nil {
			return nil, err
		}
	}
	sessions, now := []Session{}, time.Now()
	for _, user := range users {
		if len(sessions) == limit {
			break
		}
		found, err := o.Store.List(ctx, user.Subject, store.Page{Limit: limit - len(sessions)})
		if err != nil {
			return nil, err
		}
		for _, s := range found {
			sessions = append(sessions, describeSession(s, now))
		}
	}
	return sessions, nil
}

// findSession returns a session, ended or not, or [ErrNoSession].
func (o Operator) findSession(ctx context.Context, id string) (store.Session, error) {
	parsed, err := rotation.ParseSessionID(id)
	if err != nil {
		return store.Session{}, ErrNoSession
	}
	session, err := o.Store.Get(ctx, parsed)
	if errors.Is(err, store.ErrNotFound) {
		return store.Session{}, ErrNoSession
	}
	return session, err
}

// ShowSession returns the story of a session: how it began, what was odd, and why it ended.
func (o Operator) ShowSession(ctx context.Context, id string) (Story, error) {
	session, err := o.findSession(ctx, id)
	if err != nil {
		return Story{}, err
	}
	records, err := o.Store.Audit(ctx, store.AuditQuery{Session: session.ID.String()})
	if err != nil {
		return Story{}, err
	}
	return Story{Session: describeSession(session, time.Now()), Records: append([]store.AuditRecord{}, records...)}, nil
}

// EndSession ends a session as revoked. It returns [ErrOver] if it has ended already.
func (o Operator) EndSession(ctx context.Context, by By, id string) (Session, error) {
	session, err := o.findSession(ctx, id)
	if err != nil {
		return Session{}, err
	}
	if _, over := session.Ended(time.Now()); over {
		return Session{}, ErrOver
	}
	if _, err := o.Store.End(context.WithoutCancel(ctx), session.ID, store.End{Reason: rotation.Revoked, At: time.Now()}); err != nil {
		return Session{}, err
	}
	if o.Ended != nil {
		o.Ended(rotation.Revoked, 1)
	}
	if session, err = o.findSession(ctx, id); err != nil {
		return Session{}, err
	}
	return describeSession(session, time.Now()), o.record(ctx, by, audit.SessionEnd, session.Subject, func(r *store.AuditRecord) {
		r.Session, r.Reason = session.ID.String(), string(rotation.Revoked)
	})
}

// EndSessions ends all sessions of a user as revoked, and returns how many.
func (o Operator) EndSessions(ctx context.Context, by By, name string) (int, error) {
	user, err := o.find(ctx, name)
	if err != nil {
		return 0, err
	}
	n, err := o.endAll(ctx, user)
	if err != nil {
		err = fmt.Errorf("ended %d sessions, but some may go on; run it again: %w", n, err)
	}
	return n, errors.Join(err, o.record(ctx, by, audit.SessionEnd, user.Subject, func(r *store.AuditRecord) {
		r.Reason, r.Count = string(rotation.Revoked), n
	}))
}

// Names returns the names of all users by their subjects.
func (o Operator) Names(ctx context.Context) (map[string]string, error) {
	all, err := o.Users.List(ctx)
	names := make(map[string]string, len(all))
	for _, u := range all {
		names[u.Subject] = u.Name
	}
	return names, err
}

// Audit returns records, the oldest first. If name is not empty, they are about that user.
func (o Operator) Audit(ctx context.Context, query store.AuditQuery, name string) ([]store.AuditRecord, error) {
	if name != "" {
		user, err := o.find(ctx, name)
		if err != nil {
			return nil, err
		}
		query.Subject = user.Subject
	}
	records, err := o.Store.Audit(ctx, query)
	return append([]store.AuditRecord{}, records...), err
}
