package admin

import (
	"net/http"
	"time"

	"github.com/tandem-auth/tandem/audit"
	"github.com/tandem-auth/tandem/keys"
	"github.com/tandem-auth/tandem/store"
)

// sessionsEnded is the answer to what ends sessions.
type sessionsEnded struct {
	SessionsEnded int `json:"sessionsEnded"`
}

func (a *API) listUsers(c call) (int, any, error) {
	limit, err := c.limit()
	if err != nil {
		return 0, nil, err
	}
	users, err := a.Operator.ListUsers(c.Context(), c.URL.Query().Get("after"), limit)
	if err != nil {
		return 0, nil, err
	}
	answer := struct {
		Users []User `json:"users"`
		// Next is the value of after for the next page, or empty.
		Next string `json:"next,omitempty"`
	}{Users: users}
	if len(users) == limit {
		answer.Next = users[limit-1].Name
	}
	return http.StatusOK, answer, nil
}

func (a *API) addUser(c call) (int, any, error) {
	var body struct {
		Name     string   `json:"name"`
		Password string   `json:"password"`
		Roles    []string `json:"roles"`
	}
	if err := c.read(&body); err != nil {
		return 0, nil, err
	}
	user, err := a.Operator.AddUser(c.Context(), c.by, body.Name, body.Password, body.Roles)
	return http.StatusCreated, user, err
}

func (a *API) getUser(c call) (int, any, error) { return a.withUser(c.Context(), c.PathValue("name")) }

func (a *API) changeUser(c call) (int, any, error) {
	var body struct {
		Disabled *bool    `json:"disabled"`
		Roles    []string `json:"roles"`
	}
	if err := c.read(&body); err != nil {
		return 0, nil, err
	}
	name := c.PathValue("name")
	if body.Roles != nil {
		if err := a.Operator.SetRoles(c.Context(), c.by, name, body.Roles); err != nil {
			return 0, nil, err
		}
	}
	switch {
	case body.Disabled == nil:
	case *body.Disabled:
		if _, err := a.Operator.Disable(c.Context(), c.by, name); err != nil {
			return 0, nil, err
		}
	default:
		if err := a.Operator.Enable(c.Context(), c.by, name); err != nil {
			return 0, nil, err
		}
	}
	return a.withUser(c.Context(), name)
}

func (a *API) removeUser(c call) (int, any, error) {
	n, err := a.Operator.RemoveUser(c.Context(), c.by, c.PathValue("name"))
	return http.StatusOK, sessionsEnded{n}, err
}

func (a *API) setPassword(c call) (int, any, error) {
	var body struct {
		Password     string `json:"password"`
		KeepSessions bool   `json:"keepSessions"`
	}
	if err := c.read(&body); err != nil {
		return 0, nil, err
	}
	n, err := a.Operator.SetPassword(c.Context(), c.by, c.PathValue("name"), body.Password, body.KeepSessions)
	return http.StatusOK, sessionsEnded{n}, err
}

func (a *API) unlock(c call) (int, any, error) {
	if err := a.Operator.Unlock(c.Context(), c.by, c.PathValue("name")); err != nil {
		return 0, nil, err
	}
	return a.withUser(c.Context(), c.PathValue("name"))
}

func (a *API) listSessions(c call) (int, any, error) {
	limit, err := c.limit()
	if err != nil {
		return 0, nil, err
	}
	sessions, err := a.Operator.ListSessions(c.Context(), c.URL.Query().Get("user"), limit)
	return http.StatusOK, struct {
		Sessions []Session `json:"sessions"`
	}{sessions}, err
}

func (a *API) endSessions(c call) (int, any, error) {
	name := c.URL.Query().Get("user")
	if name == "" {
		return 0, nil, badRequest("user: say whose sessions to end")
	}
	n, err := a.Operator.EndSessions(c.Context(), c.by, name)
	return http.StatusOK, sessionsEnded{n}, err
}

func (a *API) getSession(c call) (int, any, error) {
	story, err := a.Operator.ShowSession(c.Context(), c.PathValue("id"))
	return http.StatusOK, story, err
}

func (a *API) endSession(c call) (int, any, error) {
	session, err := a.Operator.EndSession(c.Context(), c.by, c.PathValue("id"))
	return http.StatusOK, session, err
}

func (a *API) listAudit(c call) (int, any, error) {
	query := store.AuditQuery{Session: c.URL.Query().Get("session"), Action: c.URL.Query().Get("action")}
	var err error
	if query.Limit, err = c.limit(); err != nil {
		return 0, nil, err
	}
	if query.Since, err = c.time("since"); err != nil {
		return 0, nil, err
	}
	if query.Until, err = c.time("until"); err != nil {
		return 0, nil, err
	}
	records, err := a.Operator.Audit(c.Context(), query, c.URL.Query().Get("user"))
	return http.StatusOK, struct {
		Records []store.AuditRecord `json:"records"`
	}{records}, err
}

// A Key is a signing key or a key of refresh tokens, without its secret.
type Key struct {
	ID         string    `json:"id"`
	Use        string    `json:"use"`
	Algorithm  string    `json:"algorithm,omitempty"`
	InUse      bool      `json:"inUse"`
	ActiveFrom time.Time `json:"activeFrom"`
	KeepUntil  time.Time `json:"keepUntil,omitzero"`
	RevokedAt  time.Time `json:"revokedAt,omitzero"`
}

func describeKey(k keys.Key) Key {
	return Key{
		ID: k.ID, Use: k.Use, Algorithm: string(k.Algorithm), InUse: k.InUse,
		ActiveFrom: k.ActiveFrom.UTC(), KeepUntil: utc(k.KeepUntil), RevokedAt: utc(k.RevokedAt),
	}
}

type keysAnswer struct {
	Keys []Key `json:"keys"`
}

func describeKeys(list []keys.Key) keysAnswer {
	answer := keysAnswer{Keys: []Key{}}
	for _, k := range list {
		answer.Keys = append(answer.Keys, describeKey(k))
	}
	return answer
}

func (a *API) listKeys(c call) (int, any, error) {
	list, err := a.Keys.List(c.Context())
	return http.StatusOK, describeKeys(list), err
}

func (a *API) rotateKeys(c call) (int, any, error) {
	next, err := a.Operator.RotateKeys(c.Context(), c.by, a.Keys)
	return http.StatusOK, describeKeys(next), err
}

func (a *API) revokeKey(c call) (int, any, error) {
	k, err := a.Operator.RevokeKey(c.Context(), c.by, a.Keys, c.PathValue("id"))
	return http.StatusOK, describeKey(k), err
}

// keyTarget names a key in a record.
func keyTarget(k keys.Key) func(*store.AuditRecord) {
	return func(r *store.AuditRecord) { r.Target = k.Use + " " + k.ID }
}

// KeyMade is the record of a key that the server has made on schedule.
func KeyMade(k keys.Key) store.AuditRecord {
	r := audit.New(audit.KeyMade, audit.ActorServer)
	keyTarget(k)(&r)
	return r
}
