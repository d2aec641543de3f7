package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/server"
)

func TestRequireSession(t *testing.T) {
	h := newHarness(t)
	a := h.signedIn()
	var got server.Access
	guarded := h.server.RequireSession(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		access, ok := server.FromContext(r.Context())
		if !ok {
			t.Error("no access in the context")
		}
		got = access
		w.WriteHeader(http.StatusTeapot)
	}))
	call := func(header http.Header) answer {
		return h.sendTo(guarded, request{method: "GET", path: "/coffee", header: header})
	}

	call(bearer(a.AccessToken)).want(t, http.StatusTeapot, "", "")
	if got.Subject != "u-1" || got.Username != "alice" || got.Scope != "read write" || got.ClientID != "tandem" || got.SessionID.String() != a.SessionID || !got.ExpiresAt.After(h.now()) {
		t.Errorf("got %+v", got)
	}

	none := call(nil)
	none.want(t, 401, "invalid_token", "")
	if strings.Contains(none.header.Get("WWW-Authenticate"), "error") {
		t.Errorf("WWW-Authenticate %s, want the bare challenge", none.header.Get("WWW-Authenticate"))
	}
	call(bearer("x")).want(t, 401, "invalid_token", "")
	h.signOut(a.RefreshToken)
	call(bearer(a.AccessToken)).want(t, 401, "invalid_token", "signed_out")

	expired := h.signedIn()
	h.advance(3 * time.Hour)
	call(bearer(expired.AccessToken)).want(t, 401, "invalid_token", "")
}

func TestFromContextOutsideOfAGuard(t *testing.T) {
	if access, ok := server.FromContext(t.Context()); ok {
		t.Errorf("got %+v", access)
	}
}

// After a panic of the program the server answers the next request as usual.
func TestAPanicOfTheProgramWedgesNothing(t *testing.T) {
	h := newHarness(t)
	boom := true
	h.cfg.OnEvent = func(e server.Event) {
		if boom {
			panic(fmt.Sprint("handler of ", e.Kind))
		}
	}
	h.server = h.start(h.cfg)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		h.signIn("alice", "wonderland")
	}()
	boom = false
	a := h.signIn("alice", "wonderland")
	a.want(t, 200, "", "")
	h.refresh(a.RefreshToken).want(t, 200, "", "")
}
