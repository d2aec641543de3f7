package tandem_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
)

// Programs print their settings when they start: no secret is among them.
func TestPrintedSettings(t *testing.T) {
	config := tandem.OAuth2Config{TokenURL: tokenURL, ClientID: "app", ClientSecret: "hunter2"}
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		if text := fmt.Sprintf(verb, config); strings.Contains(text, "hunter2") {
			t.Errorf("%s of OAuth2Config shows the secret", verb)
		}
	}
	o, _ := tandem.NewOAuth2(config)
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		if text := fmt.Sprintf(verb, tandem.Config{Refresher: o}); strings.Contains(text, "hunter2") {
			t.Errorf("%s of Config shows the secret", verb)
		}
		if text := fmt.Sprintf(verb, *o); strings.Contains(text, "hunter2") {
			t.Errorf("%s of an OAuth2 that is no pointer shows the secret", verb)
		}
	}
}

// A grant that is logged shows no token, not even as JSON.
func TestALoggedGrant(t *testing.T) {
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "grant", tandem.Grant{AccessToken: "access-1", RefreshToken: "refresh-1"})
	if strings.Contains(log.String(), "refresh-1") {
		t.Errorf("logged: %s", log.String())
	}
}

// A session that is printed shows no token, not even one that is still to be revoked.
func TestAPrintedSession(t *testing.T) {
	inWorld(t, func(w *world) {
		w.answer(testserver.Logout, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadGateway) })
		_ = w.session.SignOut(w.Context())
		for _, verb := range []string{"%v", "%+v", "%#v"} {
			if strings.Contains(fmt.Sprintf(verb, w.session), "tandem_rt_") {
				t.Errorf("%s of a Session shows a refresh token that is good still", verb)
			}
		}
	})
}

// What a server says is quoted in errors and logs, but for the token, if it says that.
func TestAServerThatQuotesTheToken(t *testing.T) {
	inWorld(t, func(w *world) {
		w.expire()
		w.answer(testserver.Refresh, func(rw http.ResponseWriter, r *http.Request) {
			var in struct {
				RefreshToken string `json:"refreshToken"`
			}
			_ = json.NewDecoder(r.Body).Decode(&in)
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(rw, `{"error":"not_found","error_description":"no such token: `+in.RefreshToken+`"}`)
		})
		_, err := w.session.Token(context.Background())
		if strings.Contains(err.Error(), w.kept().RefreshToken) {
			t.Error("the refresh token is in the error's text (and in the log)")
		}
		synctest.Wait()
		w.log.Reset()
	})
}
