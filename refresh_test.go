package tandem_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
)

func TestAThousandCallersAtTheMomentOfExpiryMakeOneRefresh(t *testing.T) {
	inWorld(t, func(w *world) {
		w.expire()
		if got := w.together(1000); got.answered != 1000 {
			w.Errorf("%+v", got)
		}
		w.expectServed(testserver.Refresh, 1)
		w.expectServed(testserver.Hello, 1000) // none was sent with the old token
	})
}

// A thousand requests are under way with a token that the API then refuses,
// though it has not run out. Half of the refusals arrive when the refresh is long
// over.
func TestLate401sMakeNoSecondRefresh(t *testing.T) {
	inWorld(t, func(w *world) {
		w.age()
		old := w.kept().AccessToken
		var arrived atomic.Int64
		allArrived := make(chan struct{})
		w.server.Script(func(rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != testserver.Hello || r.Header.Get("Authorization") != "Bearer "+old {
				return false
			}
			n := arrived.Add(1)
			if n == 1000 {
				close(allArrived)
			}
			<-allArrived
			if n%2 == 0 {
				time.Sleep(5 * time.Second)
			}
			rw.WriteHeader(http.StatusUnauthorized)
			return true
		})
		if got := w.together(1000); got.answered != 1000 {
			w.Errorf("%+v", got)
		}
		w.expectServed(testserver.Refresh, 1)
		w.expectServed(testserver.Hello, 2000)
	})
}

func TestAThousandCallersAndABusyServer(t *testing.T) {
	for _, late := range []bool{false, true} {
		name := map[bool]string{false: "the token has run out", true: "the token is refused"}[late]
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				before := w.kept()
				if late {
					w.age()
				} else {
					w.expire()
				}
				w.server.Script(func(rw http.ResponseWriter, r *http.Request) bool {
					switch {
					case r.URL.Path == testserver.Refresh:
						rw.WriteHeader(http.StatusServiceUnavailable)
					case late && r.Header.Get("Authorization") == "Bearer "+before.AccessToken:
						rw.WriteHeader(http.StatusUnauthorized)
					default:
						return false
					}
					return true
				})
				if got := w.together(1000); got.temporary != 1000 {
					w.Errorf("%+v", got)
				}
				if calls := w.server.Served(testserver.Refresh); calls > 3 {
					w.Errorf("%d refreshes, want at most 3", calls)
				}
				if w.kept() != before {
					w.Error("the session was not kept")
				}
				w.expectEnds()

				w.server.Script(nil)
				time.Sleep(time.Minute) // longer than any failure is remembered
				w.mustHello(w.session)
			})
		})
	}
}

func TestACallerThatGivesUpLeavesAloneAndAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.expire()
		w.server.Script(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == testserver.Refresh {
				time.Sleep(500 * time.Millisecond)
			}
			return false
		})
		began := time.Now()
		hasty, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		var calls sync.WaitGroup
		calls.Go(func() { // the first: the refresh is made for it
			if _, err := w.session.Token(hasty); !errors.Is(err, context.DeadlineExceeded) {
				w.Errorf("the hasty caller got %v", err)
			}
			if waited := time.Since(began); waited > 60*time.Millisecond {
				w.Errorf("the hasty caller was held for %s", waited)
			}
		})
		synctest.Wait()
		calls.Go(func() {
			if _, err := w.session.Token(context.Background()); err != nil {
				w.Errorf("the patient caller got %v", err)
			}
		})
		calls.Wait()
		w.expectServed(testserver.Refresh, 1)
	})
}

// Whatever is no answer of the server's leaves the session as it is.
func TestWhatIsNoAnswerEndsNothing(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	text := func(code int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	full := func(edit string, with string) http.HandlerFunc {
		body := `{"accessToken":"a","refreshToken":"r","tokenType":"Bearer","expiresIn":60,"refreshExpiresIn":600,"sessionId":"s"}`
		return text(http.StatusOK, "application/json", strings.Replace(body, edit, with, 1))
	}
	for name, answer := range map[string]http.HandlerFunc{
		"a page of the single-page app": text(http.StatusOK, "text/html", "<!doctype html>"),
		"a proxy's error page":          text(http.StatusBadGateway, "text/html", "<h1>502</h1>"),
		"a proxy's 401":                 text(http.StatusUnauthorized, "text/html", "<h1>401</h1>"),
		"a redirect to a login page": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/login", http.StatusFound)
		},
		"internal error":               status(http.StatusInternalServerError),
		"invalid_grant from a 500":     text(http.StatusInternalServerError, "application/json", `{"error":"invalid_grant"}`),
		"request time-out":             status(http.StatusRequestTimeout),
		"too many requests":            status(http.StatusTooManyRequests),
		"forbidden":                    status(http.StatusForbidden),
		"not found":                    status(http.StatusNotFound),
		"bad request without a reason": status(http.StatusBadRequest),
		"unauthorized_client":          text(http.StatusBadRequest, "application/json", `{"error":"unauthorized_client"}`),
		"no content":                   status(http.StatusNoContent),
		"half a JSON":                  text(http.StatusOK, "application/json", `{"accessToken":"a`),
		"a JSON list":                  text(http.StatusOK, "application/json", `[]`),
		"an envelope":                  text(http.StatusOK, "application/json", `{"code":401,"data":null}`),
		"no access token":              full(`"accessToken":"a",`, ``),
		"no refresh token":             full(`"refreshToken":"r",`, ``),
		"an empty refresh token":       full(`"refreshToken":"r"`, `"refreshToken":""`),
		"undefined and a line break":   full(`"accessToken":"a"`, `"accessToken":"unde\nfined"`),
		"a token of another type":      full(`Bearer`, `DPoP`),
		"no expiry":                    full(`"expiresIn":60,`, ``),
		"an expiry of nothing":         full(`"expiresIn":60`, `"expiresIn":0`),
		"an expiry in the past":        full(`"expiresIn":60`, `"expiresIn":-60`),
		"an expiry beyond all time":    full(`"expiresIn":60`, `"expiresIn":1e300`),
		"another session":              full(``, ``),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				before := w.kept()
				w.expire()
				w.answer(testserver.Refresh, answer)
				_, err := w.hello(w.session)
				var temporary *tandem.TemporaryError
				if !errors.As(err, &temporary) {
					w.Fatalf("got %v, want a TemporaryError", err)
				}
				if w.kept() != before {
					w.Error("the session was not kept")
				}
				w.expectEnds()

				w.server.Script(nil)
				time.Sleep(time.Until(temporary.RetryAt))
				w.mustHello(w.session)
			})
		})
	}
}

func TestARefreshThatHangsIsGivenUp(t *testing.T) {
	inWorld(t, func(w *world) {
		w.expire()
		w.answer(testserver.Refresh, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		if got := w.together(20); got.temporary != 20 {
			w.Errorf("%+v", got)
		}
		w.server.Script(nil)
		time.Sleep(time.Minute)
		w.mustHello(w.session)
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	inWorld(t, func(w *world) {
		w.expire()
		w.answer(testserver.Refresh, func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Retry-After", "120")
			rw.WriteHeader(http.StatusServiceUnavailable)
		})
		_, err := w.session.Token(context.Background())
		var temporary *tandem.TemporaryError
		if !errors.As(err, &temporary) || time.Until(temporary.RetryAt) < 110*time.Second {
			w.Fatalf("got %v", err)
		}
		w.expectServed(testserver.Refresh, 1)
		time.Sleep(100 * time.Second)
		if _, err := w.session.Token(context.Background()); err == nil {
			w.Error("no error though the server asked for more time")
		}
		w.expectServed(testserver.Refresh, 1)
		w.server.Script(nil)
		time.Sleep(20 * time.Second)
		w.mustHello(w.session)
	})
}

// The server has confirmed the refresh, and its reply is lost.
func TestALostReplyIsAskedForAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.mustHello(w.session)
		w.expire()
		lost := false
		w.server.Script(func(rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != testserver.Refresh || lost {
				return false
			}
			lost = true
			w.server.Server.ServeHTTP(discard{}, r)
			rw.WriteHeader(http.StatusBadGateway)
			return true
		})
		w.mustHello(w.session)
		if got := w.server.Events(server.EventRefreshRetried); got != 1 {
			w.Errorf("refresh_retried %d times, want once", got)
		}
		w.expectEnds()
	})
}

type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

func TestRefreshAhead(t *testing.T) {
	on := func(c *tandem.Config) { c.RefreshAhead = 10 * time.Second }

	t.Run("is made in the background when there is traffic", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.server.Script(func(_ http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == testserver.Refresh {
					time.Sleep(3 * time.Second)
				}
				return false
			})
			time.Sleep(testserver.AccessTTL - 4*time.Second)
			began := time.Now()
			if got := w.together(100); got.answered != 100 {
				w.Errorf("%+v", got)
			}
			if waited := time.Since(began); waited != 0 {
				w.Errorf("callers waited %s for a refresh that was not due yet", waited)
			}
			time.Sleep(4 * time.Second)
			w.expectServed(testserver.Refresh, 1)
			w.mustHello(w.session)
			w.expectServed(testserver.Refresh, 1)
		}, on)
	})
	t.Run("is not made when there is none", func(t *testing.T) {
		inWorld(t, func(w *world) {
			time.Sleep(time.Hour)
			w.expectServed(testserver.Refresh, 0)
		}, on)
	})
	t.Run("may fail: the old token serves on", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.answer(testserver.Refresh, func(rw http.ResponseWriter, _ *http.Request) {
				rw.WriteHeader(http.StatusServiceUnavailable)
			})
			time.Sleep(testserver.AccessTTL - 4*time.Second)
			for range 3 {
				if got := w.together(100); got.answered != 100 {
					w.Errorf("%+v", got)
				}
				time.Sleep(time.Second)
			}
			w.server.Script(nil)
			time.Sleep(2 * time.Second)
			w.mustHello(w.session)
		}, on)
	})
	t.Run("is tried again before the expiry", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.answer(testserver.Refresh, func(rw http.ResponseWriter, _ *http.Request) {
				rw.WriteHeader(http.StatusServiceUnavailable)
			})
			time.Sleep(testserver.AccessTTL - 5*time.Second)
			w.mustHello(w.session)
			time.Sleep(2 * time.Second)
			failed := w.server.Served(testserver.Refresh)
			w.server.Script(nil)
			w.mustHello(w.session)
			synctest.Wait()
			if got := w.server.Served(testserver.Refresh); failed == 0 || got != failed+1 {
				w.Errorf("%d failed, %d in all; want one more", failed, got)
			}
		}, on)
	})
}

// A thief copies the client's token. Whoever comes second with a token that it
// was given finds the session ended.
func TestAStolenTokenUsedByBothEndsTheSession(t *testing.T) {
	for _, thiefFirst := range []bool{true, false} {
		name := map[bool]string{true: "the thief refreshes first", false: "the owner refreshes first"}[thiefFirst]
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				loot := tandem.NewMemoryStore()
				if _, err := loot.CompareAndSwap(context.Background(), tandem.Pair{}, w.kept()); err != nil {
					t.Fatal(err)
				}
				thief := w.open(loot)
				first, second := w.session, thief
				if thiefFirst {
					first, second = thief, w.session
				}

				w.expire()
				w.mustHello(first)
				_, _ = w.hello(second) // the same token again: nobody can tell yet
				w.expire()
				w.mustHello(first) // uses the token that it was given: confirmed
				w.expire()
				_, err := w.hello(second) // so does this one: two parties
				var ended *tandem.EndedError
				if !errors.As(err, &ended) || ended.Reason != rotation.ReuseDetected {
					w.Errorf("the second party got %v, want the end for reuse", err)
				}
				w.expire()
				if _, err = w.hello(first); !errors.As(err, &ended) {
					w.Errorf("the first party got %v, want the end too", err)
				}
			})
		})
	}
}

// A redirect is the word of something in between: the refresh token, like the
// password, is not carried after it.
func TestRefreshAndSignInFollowNoRedirect(t *testing.T) {
	inWorld(t, func(w *world) {
		before := w.kept()
		var elsewhere atomic.Int64
		w.server.Script(func(rw http.ResponseWriter, r *http.Request) bool {
			switch {
			case r.Host == "elsewhere.test":
				elsewhere.Add(1)
				rw.WriteHeader(http.StatusOK)
			case r.URL.Path == testserver.Refresh, r.URL.Path == testserver.Login:
				http.Redirect(rw, r, "http://elsewhere.test"+r.URL.Path, http.StatusTemporaryRedirect)
			default:
				return false
			}
			return true
		})
		w.expire()
		var temporary *tandem.TemporaryError
		if _, err := w.session.Token(w.Context()); !errors.As(err, &temporary) {
			w.Errorf("a refresh: %v, want a TemporaryError", err)
		}
		if w.kept() != before {
			w.Error("the session was not kept")
		}
		if err := w.session.SignIn(w.Context(), "ann", "nna"); err == nil {
			w.Error("a sign-in was redirected, and went well")
		}
		if n := elsewhere.Load(); n != 0 {
			w.Errorf("%d requests were redirected", n)
		}
	})
}
