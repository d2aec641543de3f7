package bench

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/tandem-auth/tandem"
)

// An API refuses an access token before it expires, as after a sign-out elsewhere or a
// change of keys: golang.org/x/oauth2 keeps sending it, and a session replaces it.
func TestATokenThatIsRefusedBeforeItsTime(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"access_token":"fresh","refresh_token":"r2","token_type":"Bearer","expires_in":3600}`)
		case r.Header.Get("Authorization") != "Bearer fresh":
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	const requests = 10
	refused := func(client *http.Client) (n int) {
		for range requests {
			resp, err := client.Get(server.URL + "/orders")
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusUnauthorized {
				n++
			}
		}
		return n
	}

	config := &oauth2.Config{ClientID: "app", Endpoint: oauth2.Endpoint{TokenURL: server.URL + "/token", AuthStyle: oauth2.AuthStyleInParams}}
	stale := &oauth2.Token{AccessToken: "stale", RefreshToken: "r1", Expiry: time.Now().Add(time.Hour)}
	if n := refused(config.Client(context.Background(), stale)); n != requests {
		t.Errorf("golang.org/x/oauth2: %d of %d refused; docs/client.md says all", n, requests)
	}

	refresher, err := tandem.NewOAuth2(tandem.OAuth2Config{TokenURL: server.URL + "/token", ClientID: "app"})
	if err != nil {
		t.Fatal(err)
	}
	session, err := tandem.Open(t.Context(), tandem.NewMemoryStore(), tandem.Config{Refresher: refresher, Origins: []string{server.URL}})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if err := session.SignInWith(t.Context(), "ann", tandem.Grant{AccessToken: "stale", RefreshToken: "r1", ExpiresIn: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if n := refused(session.Client()); n != 0 {
		t.Errorf("tandem: %d of %d refused", n, requests)
	}
}
