package admin

import (
	"context"
	_ "embed" // the description of the API
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-auth/tandem/accesstoken"
	"github.com/tandem-auth/tandem/audit"
	"github.com/tandem-auth/tandem/clients"
	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/keys"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
)

// OpenAPI describes the API (OpenAPI 3.1).
//
//go:embed openapi.yaml
var OpenAPI []byte

// An API is the HTTP API for administrators, at /admin/v1/.
type API struct {
	Operator Operator
	Registry *clients.Registry
	Keys     keys.Operator
	Server   *server.Server
	Logger   *slog.Logger
	// Refused is told of requests that may not be. Optional.
	Refused func(store.AuditRecord)
}

// Bounds of the API.
const (
	maxBody      = 64 << 10
	defaultLimit = 100
	maxLimit     = 1000
)

// A failure is an error in the form that the caller receives.
type failure struct {
	status      int
	Code        string `json:"error"`
	Description string `json:"error_description"`
	challenge   string
}

func (f *failure) Error() string { return f.Description }

func badRequest(format string, args ...any) error {
	return &failure{status: http.StatusBadRequest, Code: "invalid_request", Description: fmt.Sprintf(format, args...)}
}

// A call is a request that may be made, and who makes it.
type call struct {
	*http.Request
	by By
}

// A method answers a call with a status and a value for JSON.
type method func(call) (status int, answer any, err error)

// Handler returns the handler of the API, for paths that begin with /admin/.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, of := range map[string]struct {
		scope string
		do    method
	}{
		"GET /admin/v1/users":                 {"users:read", a.listUsers},
		"POST /admin/v1/users":                {"users:write", a.addUser},
		"GET /admin/v1/users/{name}":          {"users:read", a.getUser},
		"PATCH /admin/v1/users/{name}":        {"users:write", a.changeUser},
		"DELETE /admin/v1/users/{name}":       {"users:write", a.removeUser},
		"PUT /admin/v1/users/{name}/password": {"users:write", a.setPassword},
		"POST /admin/v1/users/{name}/unlock":  {"users:write", a.unlock},
		"GET /admin/v1/sessions":              {"sessions:read", a.listSessions},
		"DELETE /admin/v1/sessions":           {"sessions:write", a.endSessions},
		"GET /admin/v1/sessions/{id}":         {"sessions:read", a.getSession},
		"DELETE /admin/v1/sessions/{id}":      {"sessions:write", a.endSession},
		"GET /admin/v1/audit":                 {"audit:read", a.listAudit},
		"GET /admin/v1/keys":                  {"keys:read", a.listKeys},
		"POST /admin/v1/keys/rotate":          {"keys:write", a.rotateKeys},
		"POST /admin/v1/keys/{id}/revoke":     {"keys:write", a.revokeKey},
	} {
		mux.Handle(pattern, a.guarded(of.scope, of.do))
	}
	mux.HandleFunc("GET /admin/openapi.yaml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(OpenAPI)
	})
	mux.HandleFunc("/admin/", func(w http.ResponseWriter, r *http.Request) { a.fail(w, r, a.nothingThere(mux, w, r)) })
	return a.Server.WithRequestID(mux)
}

// nothingThere returns why no method answers a request, and sets the header Allow to those
// that would answer one to the same path.
func (a *API) nothingThere(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) error {
	var allowed []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = m
		if _, pattern := mux.Handler(other); pattern != "/admin/" && pattern != "" {
			allowed = append(allowed, m)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		return &failure{status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Description: "use " + strings.Join(allowed, ", ")}
	}
	return &failure{status: http.StatusNotFound, Code: "not_found", Description: "there is nothing here; /admin/openapi.yaml describes what there is"}
}

// guarded lets a request to a method through if its key or its user has the scope.
func (a *API) guarded(scope string, do method) http.Handler {
	serve := func(w http.ResponseWriter, r *http.Request, by By) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		status, answer, err := do(call{r, by})
		if err != nil {
			a.fail(w, r, err)
			return
		}
		respond(w, status, answer)
	}
	withToken := a.Server.RequireSession(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		access, _ := server.FromContext(r.Context())
		by := a.by(r, "user:"+access.Subject)
		user, err := a.Operator.FindUser(r.Context(), access.Username)
		switch {
		case err != nil && !errors.Is(err, ErrNoUser):
			a.fail(w, r, err)
		case err != nil, user.Subject != access.Subject, !user.DisabledAt.IsZero(), !slices.Contains(user.Roles, RoleAdmin):
			a.refuse(w, r, by, "the user does not have the role "+RoleAdmin)
		case !slices.Contains(strings.Fields(access.Scope), RoleAdmin):
			// The user was given the role since, or a client has asked for a token of less.
			a.refuse(w, r, by, "the access token does not have the scope "+RoleAdmin+": refresh it")
		default:
			serve(w, r, by)
		}
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := accesstoken.ParseBearer(r.Header.Values("Authorization"))
		if err != nil || !clients.IsAdminKey(text) {
			withToken.ServeHTTP(w, r)
			return
		}
		key, err := a.Registry.AdminKey(r.Context(), text)
		by := a.by(r, "key:"+key.ID)
		switch {
		case errors.Is(err, clients.ErrWrongKey):
			a.refused(a.by(r, "unknown"), r)
			a.fail(w, r, &failure{
				status: http.StatusUnauthorized, Code: "invalid_token", Description: err.Error(),
				challenge: `Bearer realm="tandem admin", error="invalid_token"`,
			})
		case err != nil:
			a.fail(w, r, err)
		case !key.May(scope):
			a.refuse(w, r, by, "the key does not have the scope "+scope)
		default:
			serve(w, r, by)
		}
	})
}

func (a *API) by(r *http.Request, actor string) By {
	return By{Actor: actor, IP: a.Server.ClientIP(r), RequestID: server.RequestID(r.Context())}
}

// refuse answers a caller who is known and may not do this.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, by By, why string) {
	a.refused(by, r)
	a.fail(w, r, &failure{
		status: http.StatusForbidden, Code: "insufficient_scope", Description: why,
		challenge: `Bearer realm="tandem admin", error="insufficient_scope"`,
	})
}

func (a *API) refused(by By, r *http.Request) {
	if a.Refused == nil {
		return
	}
	record := audit.New(audit.AdminRefused, by.Actor)
	record.Outcome, record.IP, record.RequestID, record.Target = audit.Refused, by.IP, by.RequestID, r.Pattern
	a.Refused(record)
}

// fail answers with an error. Its cause is for the log alone.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	var f *failure
	switch {
	case errors.As(err, &f):
	case errors.Is(err, ErrNoUser), errors.Is(err, ErrNoSession), errors.Is(err, keys.ErrUnknownKey):
		f = &failure{status: http.StatusNotFound, Code: "not_found", Description: err.Error()}
	case errors.Is(err, ErrOver):
		f = &failure{status: http.StatusConflict, Code: "already_ended", Description: err.Error()}
	case errors.Is(err, store.ErrExists):
		f = &failure{status: http.StatusConflict, Code: "exists", Description: "there is a user of that name already"}
	case errors.Is(err, directory.ErrBusy):
		f = &failure{status: http.StatusServiceUnavailable, Code: "temporarily_unavailable", Description: err.Error()}
	case errors.Is(err, directory.ErrRule):
		f = &failure{status: http.StatusUnprocessableEntity, Code: "rule_broken", Description: err.Error()}
	default:
		f = &failure{status: http.StatusServiceUnavailable, Code: "temporarily_unavailable", Description: "the server cannot do it right now; look at its log, and whether it was done, before you try again"}
		if r.Context().Err() == nil {
			a.Logger.ErrorContext(r.Context(), "a request of an administrator failed",
				"pattern", r.Pattern, "error", err, "request_id", server.RequestID(r.Context()))
		}
	}
	if f.challenge != "" {
		w.Header().Set("WWW-Authenticate", f.challenge)
	}
	respond(w, f.status, f)
}

func respond(w http.ResponseWriter, status int, answer any) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	if answer == nil {
		w.WriteHeader(status)
		return
	}
	header.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(answer)
}

// read reads the body of a call, a JSON object with no other names than those of into.
func (c call) read(into any) error {
	decoder := json.NewDecoder(c.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return badRequest("the body must be a JSON object as /admin/openapi.yaml describes it: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if decoder.More() {
		return badRequest("the body has something behind its JSON object")
	}
	return nil
}

func (c call) limit() (int, error) {
	text := c.URL.Query().Get("limit")
	if text == "" {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		return 0, badRequest("limit: want a number from 1 to %d", maxLimit)
	}
	return n, nil
}

func (c call) time(name string) (time.Time, error) {
	text := c.URL.Query().Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, badRequest("%s: want a time such as 2026-11-27T08:00:00Z", name)
	}
	return t, nil
}

func (a *API) withUser(ctx context.Context, name string) (int, any, error) {
	user, err := a.Operator.FindUser(ctx, name)
	return http.StatusOK, user, err
}
