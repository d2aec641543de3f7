package tandemws_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/streamtest"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/tandemws"
)

func TestAServerThatIsAwayForAWhile(t *testing.T) {
	streamtest.Run(t, echo, func(w *streamtest.World) {
		opened := make(chan struct{})
		done := make(chan error)
		go func() {
			done <- run(w, func(ctx context.Context, conn *websocket.Conn) error {
				opened <- struct{}{}
				say(ctx, conn, "hello")
				if w.Auth.Served(streamtest.Path) == 1 {
					return until("never")(ctx, conn)
				}
				return until("hello")(ctx, conn)
			})
		}()
		<-opened
		w.Down()
		w.Expire()
		time.Sleep(time.Hour)
		w.Up()
		<-opened
		if err := <-done; err != nil {
			t.Error(err)
		}
		w.WantServed(testserver.Refresh, 1)
	})
}

func TestABusyServerIsGivenTheTimeThatItAsksFor(t *testing.T) {
	streamtest.Run(t, echo, func(w *streamtest.World) {
		w.Answer(http.StatusServiceUnavailable, http.Header{"Retry-After": {"120"}})
		done := make(chan error)
		go func() {
			done <- run(w, func(ctx context.Context, conn *websocket.Conn) error {
				say(ctx, conn, "hello")
				return until("hello")(ctx, conn)
			})
		}()
		time.Sleep(119 * time.Second)
		w.WantServed(streamtest.Path, 1)
		w.Serve(echo)
		if err := <-done; err != nil {
			t.Error(err)
		}
		w.WantServed(streamtest.Path, 2)
	})
}

func TestTheEndOfTheSessionIsTheEndOfTheStream(t *testing.T) {
	stream := serve(func(ctx context.Context, _ int, conn *websocket.Conn) {
		say(ctx, conn, "open")
		time.Sleep(time.Second)
		conn.Close(tandemws.StatusUnauthorized, "session ended")
	})
	t.Run("by the server", func(t *testing.T) {
		streamtest.Run(t, stream, func(w *streamtest.World) {
			err := run(w, func(ctx context.Context, conn *websocket.Conn) error {
				w.EndAtServer()
				return until("never")(ctx, conn)
			})
			if ended, ok := errors.AsType[*tandem.EndedError](err); !ok || ended.Reason != "revoked" {
				t.Errorf("got %v", err)
			}
			w.WantServed(streamtest.Path, 1)
			w.WantServed(testserver.Refresh, 1)
		})
	})
	t.Run("by its user", func(t *testing.T) {
		streamtest.Run(t, stream, func(w *streamtest.World) {
			err := run(w, func(ctx context.Context, conn *websocket.Conn) error {
				if err := w.Session.SignOut(ctx); err != nil {
					t.Error(err)
				}
				return until("never")(ctx, conn)
			})
			if ended, ok := errors.AsType[*tandem.EndedError](err); !ok || ended.Reason != "signed_out" {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("by Close", func(t *testing.T) {
		streamtest.Run(t, stream, func(w *streamtest.World) {
			err := run(w, func(ctx context.Context, conn *websocket.Conn) error {
				w.Session.Close()
				return until("never")(ctx, conn)
			})
			if !errors.Is(err, tandem.ErrClosed) {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("before it has begun", func(t *testing.T) {
		streamtest.Run(t, stream, func(w *streamtest.World) {
			err := tandemws.Run(w.Context(), w.Open(), streamtest.URL, tandemws.Options{}, until("never"))
			if !errors.Is(err, tandem.ErrNotSignedIn) {
				t.Errorf("got %v", err)
			}
			w.WantServed(streamtest.Path, 0)
		})
	})
}

// A stream continues in a new session of the same user, and never in another user's
// name.
func TestSigningInAgainInPlace(t *testing.T) {
	stream := func() http.Handler {
		return serve(func(ctx context.Context, n int, conn *websocket.Conn) {
			if n == 1 {
				stay(ctx, conn, testserver.AccessTTL)
				return
			}
			say(ctx, conn, "welcome back")
			wait(ctx, conn)
		})
	}
	signInAs := func(name, password string) func(*tandem.Config) {
		return func(c *tandem.Config) {
			c.OnEnd = func(ctx context.Context, s *tandem.Session, _ *tandem.EndedError) {
				time.Sleep(time.Minute) // a person types
				if err := s.SignIn(ctx, name, password); err != nil {
					t.Error(err)
				}
			}
		}
	}
	handle := func(w *streamtest.World) func(context.Context, *websocket.Conn) error {
		return func(ctx context.Context, conn *websocket.Conn) error {
			if w.Auth.Served(streamtest.Path) == 1 {
				w.EndAtServer()
			}
			return until("welcome back")(ctx, conn)
		}
	}
	t.Run("the same user", func(t *testing.T) {
		streamtest.Run(t, stream(), func(w *streamtest.World) {
			if err := run(w, handle(w)); err != nil {
				t.Error(err)
			}
			w.WantServed(testserver.Login, 2)
		}, signInAs("ann", "nna"))
	})
	t.Run("another user, while the handshake waits", func(t *testing.T) {
		streamtest.Run(t, stream(), func(w *streamtest.World) {
			if err := run(w, handle(w)); !errors.Is(err, tandem.ErrUserChanged) {
				t.Errorf("got %v, want ErrUserChanged", err)
			}
			w.WantServed(streamtest.Path, 1)
		}, signInAs("bob", "bbo"))
	})
	t.Run("another user, while the stream is open", func(t *testing.T) {
		streamtest.Run(t, stream(), func(w *streamtest.World) {
			err := run(w, func(ctx context.Context, conn *websocket.Conn) error {
				if err := w.Session.SignIn(ctx, "bob", "bbo"); err != nil {
					t.Error(err)
				}
				return until("welcome back")(ctx, conn)
			})
			if !errors.Is(err, tandem.ErrUserChanged) {
				t.Errorf("got %v, want ErrUserChanged", err)
			}
			w.WantServed(streamtest.Path, 1)
		})
	})
}

func TestAHandshakeThatIsRefusedForGood(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 200} {
		streamtest.Run(t, echo, func(w *streamtest.World) {
			w.Answer(status, nil)
			err := run(w, until("never"))
			if no, ok := errors.AsType[*tandemws.RefusedError](err); !ok || no.Status != status {
				t.Errorf("%d: got %v", status, err)
			}
			want := 1
			if status == http.StatusUnauthorized {
				want = 2 // with a fresh token, too
			}
			w.WantServed(streamtest.Path, want)
		})
	}
}

func TestWhatTheHandlerSays(t *testing.T) {
	errBad := errors.New("a message that makes no sense")
	t.Run("nil: all is done", func(t *testing.T) {
		var closed chan websocket.StatusCode
		stream := serve(func(ctx context.Context, _ int, conn *websocket.Conn) {
			_, _, err := conn.Read(ctx)
			closed <- websocket.CloseStatus(err)
		})
		streamtest.Run(t, stream, func(w *streamtest.World) {
			closed = make(chan websocket.StatusCode, 1)
			if err := run(w, func(context.Context, *websocket.Conn) error { return nil }); err != nil {
				t.Error(err)
			}
			if code := <-closed; code != websocket.StatusNormalClosure {
				t.Errorf("the server saw it closed with %d", code)
			}
		})
	})
	t.Run("an error: connect again", func(t *testing.T) {
		streamtest.Run(t, echo, func(w *streamtest.World) {
			err := run(w, func(context.Context, *websocket.Conn) error {
				if w.Auth.Served(streamtest.Path) < 3 {
					return errBad
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("Stop: it is over", func(t *testing.T) {
		streamtest.Run(t, echo, func(w *streamtest.World) {
			err := run(w, func(context.Context, *websocket.Conn) error { return tandemws.Stop(errBad) })
			if err != errBad { //nolint:errorlint // that very one
				t.Errorf("got %v", err)
			}
			w.WantServed(streamtest.Path, 1)
		})
	})
	t.Run("a panic leaves nothing behind", func(t *testing.T) {
		streamtest.Run(t, echo, func(w *streamtest.World) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			_ = run(w, func(context.Context, *websocket.Conn) error { panic("a bug") })
		})
	})
}

// A message that is too large ends Run: the server would send it again on the next
// connection.
func TestAMessageThatIsTooLarge(t *testing.T) {
	stream := serve(func(ctx context.Context, _ int, conn *websocket.Conn) {
		say(ctx, conn, strings.Repeat("x", 100_000))
		say(ctx, conn, "welcome")
		wait(ctx, conn)
	})
	for limit, fits := range map[int64]bool{0: true, -1: true, 100_000: true, 99_999: false} {
		streamtest.Run(t, stream, func(w *streamtest.World) {
			options := tandemws.Options{MaxMessageSize: limit}
			err := tandemws.Run(w.Context(), w.Session, streamtest.URL, options, until("welcome"))
			if fits && err != nil || !fits && !errors.Is(err, websocket.ErrMessageTooBig) {
				t.Errorf("a limit of %d: %v", limit, err)
			}
			w.WantServed(streamtest.Path, 1)
		})
	}
}

func TestACallerThatGivesUpLeavesAtOnce(t *testing.T) {
	leave := func(w *streamtest.World, then func(cancel context.CancelFunc)) {
		ctx, cancel := context.WithCancel(w.Context())
		done := make(chan error)
		go func() {
			done <- tandemws.Run(ctx, w.Session, streamtest.URL, tandemws.Options{}, until("never"))
		}()
		synctest.Wait()
		begun := time.Now()
		then(cancel)
		if err := <-done; !errors.Is(err, context.Canceled) || time.Since(begun) != 0 {
			w.Errorf("%v after %s", err, time.Since(begun))
		}
	}
	t.Run("while it is connected", func(t *testing.T) {
		streamtest.Run(t, echo, func(w *streamtest.World) {
			leave(w, func(cancel context.CancelFunc) { cancel() })
		})
	})
	t.Run("while it waits for the next connection", func(t *testing.T) {
		streamtest.Run(t, echo, func(w *streamtest.World) {
			w.Answer(http.StatusServiceUnavailable, http.Header{"Retry-After": {"60"}})
			leave(w, func(cancel context.CancelFunc) { cancel() })
		})
	})
	t.Run("while the handshake waits for an answer", func(t *testing.T) {
		streamtest.Run(t, echo, func(w *streamtest.World) {
			w.Serve(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
			leave(w, func(cancel context.CancelFunc) { cancel() })
		})
	})
}

func TestAHandshakeThatIsNotAnsweredIsGivenUp(t *testing.T) {
	streamtest.Run(t, echo, func(w *streamtest.World) {
		w.Serve(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			w.Serve(echo)
			<-r.Context().Done()
		}))
		begun := time.Now()
		err := run(w, func(context.Context, *websocket.Conn) error { return nil })
		if took := time.Since(begun); err != nil || took < 30*time.Second || took > 32*time.Second {
			t.Errorf("%v after %s", err, took)
		}
		w.WantServed(streamtest.Path, 2)
	})
}
