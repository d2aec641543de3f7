package tandem_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
)

// An observer may use the session when it hears of the end, and holds nobody up.
func TestAnObserverMayAskForATokenWhenTheSessionEnds(t *testing.T) {
	inWorld(t, func(w *world) {
		var heard error
		s := w.open(w.store, func(c *tandem.Config) {
			c.OnEnd = nil
			var s *tandem.Session
			c.Observe = func(ctx context.Context, e tandem.Event) {
				if e.Kind != tandem.EventEnd {
					return
				}
				ctx, cancel := context.WithTimeout(ctx, time.Hour) // without it: for ever
				defer cancel()
				s = w.opened[len(w.opened)-1]
				_, heard = s.Token(ctx)
			}
		})
		w.endAtServer()
		w.expire()
		began := time.Now()
		_, err := s.Token(context.Background())
		if waited := time.Since(began); waited > time.Minute {
			t.Errorf("the caller waited %s for %v; inside Observe: %v", waited, err, heard)
		}
	})
}

// So may a logger that ships its lines through the session.
func TestALoggerThatUsesTheSession(t *testing.T) {
	inWorld(t, func(w *world) {
		var s *tandem.Session
		ship := func(ctx context.Context) {
			ctx, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, testserver.URL+"/api/logs", http.NoBody)
			if resp, err := s.Client().Do(req); err == nil {
				resp.Body.Close()
			}
		}
		s = w.open(w.store, func(c *tandem.Config) {
			c.Logger, c.Observe, c.OnEnd = slog.New(shipper{slog.DiscardHandler, ship}), nil, nil
		})
		w.endAtServer()
		w.expire()
		began := time.Now()
		_, _ = s.Token(context.Background())
		if waited := time.Since(began); waited > time.Minute {
			t.Errorf("the caller waited %s", waited)
		}
	})
}

type shipper struct {
	slog.Handler
	ship func(context.Context)
}

func (s shipper) Enabled(context.Context, slog.Level) bool { return true }
func (s shipper) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "ended") {
		s.ship(ctx)
	}
	return nil
}

// The context that OnEnd was given may live on: the next refresh knows nothing of it.
func TestTheContextOfOnEndLivesOn(t *testing.T) {
	inWorld(t, func(w *world) {
		kept := make(chan context.Context, 1)
		s := w.open(w.store, func(c *tandem.Config) {
			c.OnEnd = func(ctx context.Context, s *tandem.Session, _ *tandem.EndedError) {
				kept <- ctx // for a worker that OnEnd starts, say
				_ = s.SignIn(ctx, "ann", "nna")
			}
		})
		w.endAtServer()
		w.expire()
		w.mustHello(s)
		w.server.Script(slowly(time.Second))
		w.expire()
		go func() { _, _ = s.Token(context.Background()) }()
		synctest.Wait()
		if _, err := s.Token(<-kept); err != nil {
			t.Errorf("OnEnd has long returned, and: %v", err)
		}
		time.Sleep(2 * time.Second)
	})
}

// A refresher that ends its goroutine, as t.FailNow does, makes nobody spin.
func TestARefresherThatCallsGoexit(t *testing.T) {
	withTextbook(t, func(c *client) {
		var calls atomic.Int64
		ctx, cancel := context.WithCancel(c.Context())
		s := c.openWith(tandem.RefresherFunc(func(context.Context, tandem.Pair) (tandem.Grant, error) {
			if calls.Add(1) == 1000 {
				cancel()
			}
			runtime.Goexit()
			return tandem.Grant{}, nil
		}))
		c.expire()
		_, err := s.Token(ctx)
		if n := calls.Load(); n > 3 {
			t.Errorf("called %d times in no time; %v", n, err)
		}
	})
}

// A revocation endpoint that hangs holds nobody for ever.
func TestSignOutAtAnEndpointThatHangs(t *testing.T) {
	withTextbook(t, func(c *client) {
		refresher, err := tandem.NewOAuth2(tandem.OAuth2Config{
			TokenURL: tokenURL, RevocationURL: revokeURL, ClientID: "app",
			Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		s := c.openWith(refresher)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.SignOut(ctx) }()
		time.Sleep(time.Hour)
		s.Close()
		synctest.Wait()
		if len(done) == 0 {
			t.Error("SignOut has not returned within an hour, and Close does not end it")
		}
		cancel()
		<-done
	})
}

// A redirect goes on in the name in which the request began, whoever signs in meanwhile.
func TestARedirectIsStillAnnsRequest(t *testing.T) {
	inWorld(t, func(w *world) {
		w.server.Script(func(rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/api/old" {
				return false
			}
			if err := w.session.SignIn(context.Background(), "bob", "bbo"); err != nil {
				t.Error(err)
			}
			http.Redirect(rw, r, testserver.Hello, http.StatusTemporaryRedirect)
			return true
		})
		resp, err := w.session.Client().Post(testserver.URL+"/api/old", "text/plain", strings.NewReader("ann's diary"))
		if err == nil {
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			t.Errorf("ann's request was answered with %q", text)
		} else if !errors.Is(err, tandem.ErrUserChanged) {
			t.Error(err)
		}
	})
}

// While OnEnd asks who it is, the program makes another request of ann's, whose session
// has ended. If bob signs in, it is not sent as his.
func TestWhoWaitsForTheSignInIsAnnStill(t *testing.T) {
	inWorld(t, func(w *world) {
		w.session = w.open(w.store, signInAgain(w, "bob", "bbo"))
		w.endAtServer()
		w.expire()
		var late error
		var text string
		var calls sync.WaitGroup
		calls.Go(func() { _, _ = w.hello(w.session) })
		calls.Go(func() {
			time.Sleep(time.Second)
			text, late = post(w.session.Client(), strings.NewReader("ann's diary"))
		})
		calls.Wait()
		if !errors.Is(late, tandem.ErrUserChanged) {
			t.Errorf("a request made while ann's session had ended: %q, %v", text, late)
		}
	})
}

// An error of a refresher that gives no reason can be printed all the same.
func TestATemporaryErrorWithoutAReason(t *testing.T) {
	withTextbook(t, func(c *client) {
		s := c.openWith(tandem.RefresherFunc(func(context.Context, tandem.Pair) (tandem.Grant, error) {
			return tandem.Grant{}, errors.Join(&tandem.TemporaryError{RetryAt: time.Now().Add(time.Hour)})
		}))
		c.expire()
		_, err := s.Token(c.Context())
		defer func() {
			if p := recover(); p != nil {
				t.Errorf("err.Error() panics: %v", p)
			}
		}()
		_ = err.Error()
	})
}

// A caller that gives up is not held by a body that does not come.
func TestACallerGivesUpWhileItsBodyIsRead(t *testing.T) {
	inWorld(t, func(w *world) {
		r, pw := io.Pipe()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, testserver.URL+testserver.Hello, r)
		done := make(chan error, 1)
		go func() {
			_, err := w.session.Transport(nil).RoundTrip(req)
			done <- err
		}()
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(done) == 0 {
			t.Error("the request is held though its context ended an hour ago")
		}
		pw.CloseWithError(io.ErrClosedPipe)
		<-done
	}, func(c *tandem.Config) { c.BufferBodies = 1 << 20 })
}

// What is sent of a body is what its Read gives, even if a file is behind it.
func TestAFileWithAReadOfItsOwn(t *testing.T) {
	inWorld(t, func(w *world) {
		w.echo()
		text, err := post(w.session.Client(), sealed{newFile(t, "secret")})
		if err != nil || text != "******" {
			t.Errorf("sent %q, %v; Read gives ******", text, err)
		}
	})
}

type (
	sealed struct{ file }
	file   = interface {
		io.ReadSeekCloser
		io.ReaderAt
	}
)

func (s sealed) Read(p []byte) (int, error) {
	n, err := s.file.Read(p)
	copy(p[:n], strings.Repeat("*", n))
	return n, err
}

// A server that is too busy has ended nothing, whatever else it says.
func TestTooBusyIsNotTheEnd(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusRequestTimeout} {
		withTextbook(t, func(c *client) {
			c.server.status, c.server.code = status, "invalid_grant"
			c.expire()
			_, err := c.session.Token(c.Context())
			if _, ended := errors.AsType[*tandem.EndedError](err); ended {
				t.Errorf("%d ended the session: %v", status, err)
			}
		})
	}
}

// Tokens are taken from JSON by whatever name: they may be the last ones.
func TestJSONThatIsCalledSomethingElse(t *testing.T) {
	for _, kind := range []string{"text/plain; charset=utf-8", "text/javascript", "application/vnd.api+json", ""} {
		t.Run(kind, func(t *testing.T) {
			withTextbook(t, func(c *client) {
				renamed := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					rec := httptest.NewRecorder()
					c.server.ServeHTTP(rec, r)
					w.Header()["Content-Type"] = []string{kind}
					w.WriteHeader(rec.Code)
					_, _ = io.Copy(w, rec.Body)
				})
				c.oauth2.Transport = handlerTransport{renamed}
				s := c.openOn(c.store)
				c.expire()
				if status, err := get(s.Client(), ordersURL); err != nil {
					t.Errorf("%d, %v; the server was given %v", status, err, c.server.used)
				}
			})
		})
	}
}

type handlerTransport struct{ http.Handler }

func (h handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	h.ServeHTTP(rec, in)
	return rec.Result(), nil
}

// A dead grant that is told with status 200 is an end, too.
func TestADeadGrantWithStatus200(t *testing.T) {
	withTextbook(t, func(c *client) {
		c.server.status, c.server.code = http.StatusOK, "invalid_grant"
		c.expire()
		for range 60 {
			_, err := c.session.Token(c.Context())
			if _, ended := errors.AsType[*tandem.EndedError](err); ended {
				return
			}
			time.Sleep(time.Minute)
		}
		t.Errorf("%d refreshes within an hour with a dead token", c.server.refreshes())
	})
}

// OnEnd waits for a person. Close lets the calls go that wait for OnEnd.
func TestCloseWhileOnEndBlocks(t *testing.T) {
	inWorld(t, func(w *world) {
		hold := make(chan struct{})
		s := w.open(w.store, func(c *tandem.Config) {
			c.OnEnd = func(context.Context, *tandem.Session, *tandem.EndedError) { <-hold } // a password prompt
		})
		w.endAtServer()
		w.expire()
		done := make(chan error, 1)
		go func() { _, err := s.Token(context.Background()); done <- err }()
		synctest.Wait()
		s.Close()
		select {
		case err := <-done:
			if !errors.Is(err, tandem.ErrClosed) {
				t.Errorf("got %v, want %v", err, tandem.ErrClosed)
			}
		case <-time.After(time.Hour):
			t.Error("a call waits on, an hour after Close")
		}
		close(hold)
	})
}
