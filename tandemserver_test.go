package tandem_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/rotation"
)

// What is between a client and Tandem's server may change its answers; they are as good
// as long as all is there.
func TestWhatBecomesOfAnAnswerOnTheWay(t *testing.T) {
	for name, change := range map[string]func(string) string{
		"nothing":              func(s string) string { return s },
		"a byte order mark":    func(s string) string { return "\ufeff" + s },
		"numbers as strings":   func(s string) string { return strings.Replace(s, `"expiresIn":60`, `"expiresIn":"60"`, 1) },
		"members of its own":   func(s string) string { return `{"error":false,"reason":7,"trace":{"id":[1]},` + s[1:] },
		"more than 64 KiB":     func(s string) string { return `{"trace":"` + strings.Repeat("x", 100<<10) + `",` + s[1:] },
		"no refresh life":      func(s string) string { return strings.Replace(s, `"refreshExpiresIn"`, `"other"`, 1) },
		"a footer behind it":   func(s string) string { return s + "<!-- cache miss -->" },
		"a life that is a day": func(s string) string { return strings.Replace(s, `"expiresIn":60`, `"expiresIn":86400.5`, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.expire()
				w.answer(testserver.Refresh, func(rw http.ResponseWriter, r *http.Request) {
					_, _ = io.WriteString(rw, change(w.serve(r).Body.String()))
				})
				w.mustHello(w.session)
				w.expectServed(testserver.Refresh, 1)
			})
		})
	}
}

// serve lets the server answer a request.
func (w *world) serve(r *http.Request) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	w.server.Server.ServeHTTP(answer, r)
	return answer
}

// Tandem's server forgives: after an answer that breaks off, the same token is presented
// again, and brings another successor.
func TestAnAnswerOfTandemsServerThatBreaksOff(t *testing.T) {
	inWorld(t, func(w *world) {
		w.expire()
		given := []string{}
		w.answer(testserver.Refresh, func(rw http.ResponseWriter, r *http.Request) {
			answer := w.serve(r).Body.String()
			if given = append(given, answer); len(given) == 1 {
				answer = answer[:strings.Index(answer, `"sessionId"`)]
			}
			_, _ = io.WriteString(rw, answer)
		})
		w.mustHello(w.session)
		if len(given) != 2 {
			w.Fatalf("%d answers, want 2", len(given))
		}
		if kept := w.kept(); kept.Revision != 2 || !strings.Contains(given[1], kept.RefreshToken) {
			w.Errorf("kept: revision %d, want the pair of the second answer, of revision 2", kept.Revision)
		}
	})
}

// A pair says which revision it is, and until when it can be refreshed.
func TestThePairOfTandemsServer(t *testing.T) {
	inWorld(t, func(w *world) {
		signedIn := w.kept()
		life := signedIn.RefreshExpiresAt.Sub(signedIn.ReceivedAt)
		if signedIn.Revision != 1 || life < time.Hour || signedIn.Username != "ann" {
			w.Errorf("signed in: revision %d of %q, refresh token good for %s", signedIn.Revision, signedIn.Username, life)
		}
		for i := range 3 {
			w.expire()
			w.mustHello(w.session)
			got, want := w.kept(), signedIn
			want.Revision += uint64(i + 1)
			want.AccessToken, want.RefreshToken = got.AccessToken, got.RefreshToken
			want.ReceivedAt, want.ExpiresAt = got.ReceivedAt, got.ReceivedAt.Add(testserver.AccessTTL)
			want.RefreshExpiresAt = got.ReceivedAt.Add(life)
			if got != want || got.RefreshToken == signedIn.RefreshToken {
				w.Errorf("after refresh %d: revision %d, %v until %v; want %d, %v until %v",
					i+1, got.Revision, got, got.RefreshExpiresAt, want.Revision, want, want.RefreshExpiresAt)
			}
		}
	})
}

// The end has its reason, and what the server answered.
func TestAnEndSaysWhatTheServerAnswered(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endAtServer()
		w.expire()
		_, err := w.hello(w.session)
		ended, _ := errors.AsType[*tandem.EndedError](err)
		said, _ := errors.AsType[*tandem.ServerError](err)
		if ended == nil || ended.Reason != rotation.Revoked || said == nil || said.Code != "invalid_grant" || said.Status != http.StatusBadRequest {
			w.Errorf("ended: %v, the server's answer: %v", ended, said)
		}
		if got := ended.Error(); got != "session has ended (revoked): sign in again" {
			w.Errorf("the error says %q", got)
		}
	})
}
