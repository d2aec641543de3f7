package tandem_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
)

// enveloped says no the way that some APIs do: with status 200.
func enveloped(resp *http.Response) bool {
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		return false
	}
	text, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	return strings.Contains(string(text), `"code":401`)
}

// answerInEnvelopes wraps the API's answers, of size bytes or more.
func answerInEnvelopes(w *world, size int) {
	w.answer(testserver.Hello, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		if !w.accepts(r.Header.Get("Authorization")) {
			fmt.Fprint(rw, `{"code":401,"message":"token has expired"}`)
			return
		}
		fmt.Fprintf(rw, `{"code":0,"data":"%s"}`, strings.Repeat("x", size))
	})
}

// An API that answers 200 with {"code":401} is understood, and every answer reaches
// the caller whole, however long it is.
func TestA401InAnEnvelope(t *testing.T) {
	for _, size := range []int{10, 200 << 10} {
		inWorld(t, func(w *world) {
			answerInEnvelopes(w, size)
			w.endToken()
			resp, err := w.session.Client().Get(testserver.URL + testserver.Hello)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			if err != nil || len(text) != size+len(`{"code":0,"data":""}`) || !strings.HasSuffix(string(text), `x"}`) {
				t.Errorf("%d bytes, error %v: %.50s", len(text), err, text)
			}
			w.expectServed(testserver.Refresh, 1)
			w.expectServed(testserver.Hello, 2)
		}, func(c *tandem.Config) { c.Rejected = enveloped })
	}
}

// One that refuses even a fresh token is handed on, envelope and all.
func TestAnEnvelopeThatIsRefusedAgainIsHandedOn(t *testing.T) {
	inWorld(t, func(w *world) {
		w.answer(testserver.Hello, func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			fmt.Fprint(rw, `{"code":401}`)
		})
		for range 3 {
			resp, err := w.session.Client().Get(testserver.URL + testserver.Hello)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(text) != `{"code":401}` {
				t.Errorf("the caller got %s", text)
			}
		}
		w.expectServed(testserver.Refresh, 1)
	}, func(c *tandem.Config) { c.Rejected = enveloped })
}

// A stream that cannot be sent again comes back with the envelope that refused it.
func TestAStreamRefusedInAnEnvelope(t *testing.T) {
	inWorld(t, func(w *world) {
		answerInEnvelopes(w, 10)
		w.endToken()
		_, err := w.session.Client().Post(testserver.URL+testserver.Hello, "text/plain", io.MultiReader(strings.NewReader("once")))
		var once *tandem.BodyNotReplayableError
		if !errors.As(err, &once) {
			t.Fatalf("got %v, want that the body cannot be sent again", err)
		}
		if text, _ := io.ReadAll(once.Response.Body); !strings.Contains(string(text), `"code":401`) {
			t.Errorf("the answer is %s", text)
		}
		w.expectServed(testserver.Refresh, 1)
	}, func(c *tandem.Config) { c.Rejected = enveloped })
}

// endToken makes the server refuse the access token, which the client thinks is good.
func (w *world) endToken() {
	w.Helper()
	pair := w.kept()
	later := pair
	later.ExpiresAt = pair.ExpiresAt.Add(time.Hour)
	w.expire()
	if ok, err := w.store.CompareAndSwap(w.Context(), pair, later); !ok || err != nil {
		w.Fatal(ok, err)
	}
	w.session = w.open(w.store, func(c *tandem.Config) { c.Rejected = enveloped })
}
