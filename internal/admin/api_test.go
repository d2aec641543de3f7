package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/tandem-auth/tandem/audit"
	"github.com/tandem-auth/tandem/clients"
	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/internal/admin"
	"github.com/tandem-auth/tandem/internal/daemon"
	"github.com/tandem-auth/tandem/internal/storage"
)

// A site is a daemon, a key of its API with all scopes, and the description of the API, with
// which each request and each answer is compared.
type site struct {
	*testing.T
	daemon   *daemon.Daemon
	registry *clients.Registry
	key      string
	router   routers.Router
	called   map[string]bool // the operations
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	d, err := daemon.Open(t.Context(), daemon.Config{
		Store: storage.Folder(dir), Listen: "localhost:0", Users: directory.Config{Memory: 64, Iterations: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- d.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	document, err := openapi3.NewLoader().LoadFromData(admin.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := document.Validate(t.Context(), openapi3.IsOpenAPI31OrLater()); err != nil {
		t.Fatal(err)
	}
	document.Servers = nil
	router, err := gorillamux.NewRouter(document)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{T: t, daemon: d, registry: clients.New(d.Store()), router: router, called: map[string]bool{}}
	s.key = s.newKey("all", clients.AdminScopes...)
	return s
}

func (s *site) newKey(id string, scopes ...string) string {
	s.Helper()
	key, err := s.registry.AddAdminKey(s.Context(), clients.AdminKey{ID: id, Scopes: scopes})
	if err != nil {
		s.Fatal(err)
	}
	return key
}

// call makes a request, checks it and its answer against the description, and decodes the
// answer.
func (s *site) call(method, path, body string, status int, into any) {
	s.Helper()
	s.callWith(s.key, method, path, body, status, into)
}

func (s *site) callWith(key, method, path, body string, status int, into any) {
	s.Helper()
	got, text := s.send(key, method, path, body)
	if got != status {
		s.Fatalf("%s %s: %d, want %d: %s", method, path, got, status, text)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			s.Fatalf("%s %s: %v: %s", method, path, err, text)
		}
	}
}

func (s *site) send(key, method, path, body string) (int, []byte) {
	s.Helper()
	request, err := http.NewRequestWithContext(s.Context(), method, s.daemon.URL()+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Authorization", "Bearer "+key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.Fatal(err)
	}
	if response.Header.Get("X-Request-Id") == "" || response.Header.Get("Cache-Control") != "no-store" {
		s.Errorf("%s %s: headers %v", method, path, response.Header)
	}
	asked := httptest.NewRequest(method, path, strings.NewReader(body))
	route, parameters, err := s.router.FindRoute(asked)
	if err != nil {
		s.Errorf("the description has no %s %s: %v", method, path, err)
		return response.StatusCode, text
	}
	s.called[route.Operation.OperationID] = true
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: asked, PathParams: parameters, Route: route},
		Status:                 response.StatusCode, Header: response.Header,
	}
	input.SetBodyBytes(text)
	if err := openapi3filter.ValidateResponse(s.Context(), input); err != nil {
		s.Errorf("the description does not fit the answer to %s %s: %v", method, path, err)
	}
	return response.StatusCode, text
}

func (s *site) signIn(name, password string) (id, accessToken string) {
	s.Helper()
	response, err := http.Post(s.daemon.URL()+"/auth/login", "application/json", strings.NewReader(fmt.Sprintf(`{"username":%q,"password":%q}`, name, password)))
	if err != nil {
		s.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct{ SessionID, AccessToken string }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != http.StatusOK {
		s.Fatalf("sign-in: %d, %v", response.StatusCode, err)
	}
	return answer.SessionID, answer.AccessToken
}

// An administrator's day, by the API alone. Every operation of the description is used.
func TestTheAPIIsAsDescribed(t *testing.T) {
	s := newSite(t)
	type user struct {
		Name, Subject string
		Roles         []string
		DisabledAt    string
	}
	var added, got user
	s.call("POST", "/admin/v1/users", `{"name":"张伟","password":"correct horse","roles":["orders:read"]}`, 201, &added)
	path := "/admin/v1/users/" + url.PathEscape("张伟")
	s.call("POST", "/admin/v1/users", `{"name":"bob/slash","password":"correct horse"}`, 201, nil)
	s.call("GET", path, "", 200, &got)
	if got.Subject != added.Subject || !slices.Equal(got.Roles, []string{"orders:read"}) {
		t.Errorf("added %+v, got %+v", added, got)
	}
	s.call("GET", "/admin/v1/users/bob%2Fslash", "", 200, &got)
	if got.Name != "bob/slash" {
		t.Errorf("a name with a slash: %+v", got)
	}
	var page struct {
		Users []user
		Next  string
	}
	s.call("GET", "/admin/v1/users?limit=1", "", 200, &page)
	s.call("GET", "/admin/v1/users?limit=1&after="+url.QueryEscape(page.Next), "", 200, &page)
	if len(page.Users) != 1 || page.Users[0].Name != "张伟" {
		t.Errorf("the second page: %+v", page)
	}

	first, _ := s.signIn("张伟", "correct horse")
	s.signIn("张伟", "correct horse")
	var sessions struct{ Sessions []admin.Session }
	s.call("GET", "/admin/v1/sessions?user="+url.QueryEscape("张伟"), "", 200, &sessions)
	if len(sessions.Sessions) != 2 {
		t.Errorf("%d sessions, want 2", len(sessions.Sessions))
	}
	s.call("GET", "/admin/v1/sessions", "", 200, &sessions)
	s.call("DELETE", "/admin/v1/sessions/"+first, "", 200, nil)
	s.call("DELETE", "/admin/v1/sessions/"+first, "", 409, nil)
	var story admin.Story
	s.call("GET", "/admin/v1/sessions/"+first, "", 200, &story)
	if story.State != "ended" || story.EndReason != "revoked" {
		t.Errorf("story %+v", story)
	}
	var n struct{ SessionsEnded int }
	s.call("DELETE", "/admin/v1/sessions?user="+url.QueryEscape("张伟"), "", 200, &n)
	if n.SessionsEnded != 1 {
		t.Errorf("ended %d, want 1", n.SessionsEnded)
	}
	s.call("PATCH", path, `{"roles":["admin"],"disabled":true}`, 200, &got)
	if got.DisabledAt == "" || !slices.Equal(got.Roles, []string{"admin"}) {
		t.Errorf("disabled: %+v", got)
	}
	s.call("PATCH", path, `{"disabled":false}`, 200, nil)
	s.call("PUT", path+"/password", `{"password":"battery staple"}`, 200, nil)
	s.call("POST", path+"/unlock", "", 200, nil)

	// A user with the role admin needs no key, but a token that is for it.
	_, token := s.signIn("张伟", "battery staple")
	s.callWith(token, "GET", path, "", 200, nil)
	_, before := s.signIn("bob/slash", "correct horse")
	s.call("PATCH", "/admin/v1/users/bob%2Fslash", `{"roles":["admin"]}`, 200, nil)
	s.callWith(before, "GET", path, "", 403, nil)
	s.call("PATCH", path, `{"roles":[]}`, 200, nil)
	s.callWith(token, "GET", path, "", 403, nil) // at once, though the token says otherwise

	var list struct{ Keys []admin.Key }
	s.call("POST", "/admin/v1/keys/rotate", "", 200, &list)
	s.call("GET", "/admin/v1/keys", "", 200, &list)
	s.call("POST", "/admin/v1/keys/"+list.Keys[0].ID+"/revoke", "", 200, nil)
	s.call("DELETE", path, "", 200, nil)
	s.call("GET", path, "", 404, nil)

	byKey := map[string]bool{}
	for began := time.Now(); !byKey[audit.UserRemove] && time.Since(began) < 10*time.Second; { // the log is a moment behind
		var audited struct {
			Records []struct{ Action, Actor, IP, RequestID string }
		}
		s.call("GET", "/admin/v1/audit?limit=1000", "", 200, &audited)
		for _, r := range audited.Records {
			if r.Actor == "key:all" && r.IP != "" && r.RequestID != "" {
				byKey[r.Action] = true
			}
		}
	}
	want := []string{
		"key_revoke", "key_rotate", "password_change", "session_end", "user_add", "user_disable", "user_enable", "user_remove", "user_roles", "user_unlock",
	}
	if got := slices.Sorted(maps.Keys(byKey)); !slices.Equal(got, want) {
		t.Errorf("on record are %q, want %q", got, want)
	}

	document, err := openapi3.NewLoader().LoadFromData(admin.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			if !s.called[operation.OperationID] {
				t.Errorf("%s %s of the description was not tried", method, path)
			}
		}
	}
}

// What a caller does wrong is named, and what they may not do is refused and recorded.
func TestTheAPIRefuses(t *testing.T) {
	s := newSite(t)
	reader := s.newKey("reader", "users:read")
	for _, c := range []struct {
		key, method, path, body string
		status                  int
		want                    string
	}{
		{s.key, "POST", "/admin/v1/users", `{"name":"ann","password":"short"}`, 422, "too short"},
		{s.key, "POST", "/admin/v1/users", `{"name":"ann","pasword":"correct horse"}`, 400, `unknown field \"pasword\"`},
		{s.key, "POST", "/admin/v1/users", `{"name":"ann","password":"correct horse","roles":["two words"]}`, 422, "cannot be a role"},
		{s.key, "POST", "/admin/v1/users", "", 400, "must be a JSON object"},
		{s.key, "GET", "/admin/v1/users?limit=0", "", 400, "limit: want a number from 1 to 1000"},
		{s.key, "GET", "/admin/v1/audit?since=yesterday", "", 400, "since: want a time such as"},
		{s.key, "GET", "/admin/v1/users/nobody", "", 404, `there is no user \"nobody\"`},
		{s.key, "GET", "/admin/v1/sessions/xyz", "", 404, "there is no such session"},
		{s.key, "DELETE", "/admin/v1/sessions", "", 400, "say whose sessions to end"},
		{s.key, "POST", "/admin/v1/keys/zz/revoke", "", 404, "there is no such key"},
		{reader, "GET", "/admin/v1/users", "", 200, `"users":[]`},
		{reader, "POST", "/admin/v1/users", `{}`, 403, "the key does not have the scope users:write"},
		{reader, "GET", "/admin/v1/audit", "", 403, "the key does not have the scope audit:read"},
		{reader + "x", "GET", "/admin/v1/users", "", 401, "this is no key"},
		{"tandem_ak_", "GET", "/admin/v1/users", "", 401, "this is no key"},
		{"rubbish", "GET", "/admin/v1/users", "", 401, "invalid_token"},
	} {
		status, text := s.send(c.key, c.method, c.path, c.body)
		if status != c.status || !strings.Contains(string(text), c.want) {
			t.Errorf("%s %s %s: %d %s, want %d %s", c.method, c.path, c.body, status, text, c.status, c.want)
		}
	}
	if err := s.registry.RemoveAdminKey(t.Context(), "reader"); err != nil {
		t.Fatal(err)
	}
	s.callWith(reader, "GET", "/admin/v1/users", "", 401, nil)

	for path, want := range map[string]int{"/admin/v1/nothing": 404, "/admin/": 404, "/admin/v1/users/ann/unlock": 405, "/admin/openapi.yaml": 200} {
		response, err := http.Get(s.daemon.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("GET %s: %d, want %d", path, response.StatusCode, want)
		}
		if allow := response.Header.Get("Allow"); want == http.StatusMethodNotAllowed && allow != http.MethodPost {
			t.Errorf("GET %s: it allows %q", path, allow)
		}
	}
}
