package tandemsse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/streamtest"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/tandemsse"
)

// Every connection outlives its token, and breaks off in the middle of an event.
func TestNoEventIsMissed(t *testing.T) {
	streamtest.Run(t, numbers(10, 3), func(w *streamtest.World) {
		var got []string
		err := subscribe(w, func(event tandemsse.Event) error {
			if event.ID != event.Data || event.Type != "message" {
				t.Errorf("got %q", event)
			}
			got = append(got, event.Data)
			if len(got)%3 == 0 {
				w.Expire()
			}
			return nil
		})
		if err != nil || strings.Join(got, " ") != "1 2 3 4 5 6 7 8 9 10" {
			t.Errorf("%v, %v", got, err)
		}
		w.WantServed(streamtest.Path, 5)
		w.WantServed(testserver.Refresh, 3)
	})
}

func TestATokenThatRunsOutInMidStreamDoesNothing(t *testing.T) {
	stream := serve(func(o out) {
		o.send("data: one\n\n")
		time.Sleep(2 * testserver.AccessTTL)
		o.send("data: two\n\n")
		o.wait()
	})
	streamtest.Run(t, stream, func(w *streamtest.World) {
		if err := subscribe(w, until("two")); !errors.Is(err, errFound) {
			t.Error(err)
		}
		w.WantServed(streamtest.Path, 1)
		w.WantServed(testserver.Refresh, 0)
	})
}

func TestManyStreamsOfOneSessionCauseOneRefresh(t *testing.T) {
	const streams = 50
	stream := serve(func(o out) {
		if o.n <= streams {
			o.send(": hello\n")
			time.Sleep(testserver.AccessTTL)
			return
		}
		o.send("data: welcome back\n\n")
		o.wait()
	})
	streamtest.Run(t, stream, func(w *streamtest.World) {
		var all sync.WaitGroup
		for range streams {
			all.Go(func() {
				if err := subscribe(w, until("welcome back")); !errors.Is(err, errFound) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		w.WantServed(streamtest.Path, 2*streams)
		w.WantServed(testserver.Refresh, 1)
	})
}

func TestAServerThatIsAwayForAWhile(t *testing.T) {
	stream := serve(func(o out) {
		o.send(fmt.Sprintf("id: %d\ndata: after %q\n\n", o.n, o.Request.Header.Get("Last-Event-ID")))
		o.wait()
	})
	streamtest.Run(t, stream, func(w *streamtest.World) {
		first := make(chan struct{})
		done := make(chan error)
		go func() {
			done <- subscribe(w, func(event tandemsse.Event) error {
				if event.ID == "1" {
					close(first)
				}
				return until(`after "1"`)(event)
			})
		}()
		<-first
		w.Down()
		time.Sleep(time.Hour)
		w.Up()
		if err := <-done; !errors.Is(err, errFound) {
			t.Error(err)
		}
		w.WantServed(testserver.Refresh, 1)
	})
}

func TestTheServerSaysHowLongToWait(t *testing.T) {
	for name, c := range map[string]struct {
		first    func(o out)
		from, to time.Duration
	}{
		"with a retry field": {func(o out) { o.send("retry: 20000\n\n") }, 20 * time.Second, 25 * time.Second},
		"with Retry-After": {func(o out) {
			o.ResponseWriter.Header().Set("Retry-After", "60")
			o.WriteHeader(http.StatusServiceUnavailable)
		}, 60 * time.Second, 75 * time.Second},
		"not at all": {func(out) {}, 500 * time.Millisecond, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			stream := serve(func(o out) {
				if o.n == 1 {
					c.first(o)
					return
				}
				o.send("data: welcome back\n\n")
			})
			streamtest.Run(t, stream, func(w *streamtest.World) {
				begun := time.Now()
				if err := subscribe(w, until("welcome back")); !errors.Is(err, errFound) {
					t.Error(err)
				}
				if took := time.Since(begun); took < c.from || took > c.to {
					t.Errorf("it took %s, want %s to %s", took, c.from, c.to)
				}
			})
		})
	}
}

// A server may end the stream after each event; the client does not count that as a
// failure.
func TestAConnectionThatBroughtAnEventIsNoFailure(t *testing.T) {
	streamtest.Run(t, numbers(20, 1), func(w *streamtest.World) {
		begun := time.Now()
		if err := subscribe(w, until("20")); !errors.Is(err, errFound) {
			t.Error(err)
		}
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

func TestTheEndOfTheSessionIsTheEndOfTheStream(t *testing.T) {
	stream := serve(func(o out) { o.send("data: x\n\n") })
	for name, c := range map[string]struct {
		end  func(w *streamtest.World)
		want func(error) bool
	}{
		"by the server": {func(w *streamtest.World) { w.EndAtServer() }, endedBecause("revoked")},
		"by its user":   {func(w *streamtest.World) { _ = w.Session.SignOut(w.Context()) }, endedBecause("signed_out")},
		"by Close":      {func(w *streamtest.World) { _ = w.Session.Close() }, func(err error) bool { return errors.Is(err, tandem.ErrClosed) }},
		"by another user": {func(w *streamtest.World) { _ = w.Session.SignIn(w.Context(), "bob", "bbo") }, func(err error) bool {
			return errors.Is(err, tandem.ErrUserChanged)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			streamtest.Run(t, stream, func(w *streamtest.World) {
				err := subscribe(w, func(tandemsse.Event) error {
					c.end(w)
					return nil
				})
				if !c.want(err) {
					t.Errorf("got %v", err)
				}
				events := 1
				if name == "by the server" {
					events = 2 // the second request is answered with 401
				}
				w.WantServed(streamtest.Path, events)
			})
		})
	}
}

func endedBecause(reason string) func(error) bool {
	return func(err error) bool {
		ended, ok := errors.AsType[*tandem.EndedError](err)
		return ok && string(ended.Reason) == reason
	}
}

func TestARequestThatIsRefusedForGood(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404} {
		streamtest.Run(t, nil, func(w *streamtest.World) {
			w.Answer(status, nil)
			err := subscribe(w, until("never"))
			if no, ok := errors.AsType[*tandemsse.RefusedError](err); !ok || no.Status != status {
				t.Errorf("%d: got %v", status, err)
			}
		})
	}
}

// An HTML page is not a stream. If the stream was open before, the page comes from a
// proxy in between.
func TestAnAnswerThatIsNoStream(t *testing.T) {
	page := http.Header{"Content-Type": {"text/html"}}
	t.Run("from the first", func(t *testing.T) {
		streamtest.Run(t, nil, func(w *streamtest.World) {
			w.Answer(http.StatusOK, page)
			err := subscribe(w, until("never"))
			no, ok := errors.AsType[*tandemsse.RefusedError](err)
			if !ok || no.Status != http.StatusOK || no.ContentType != "text/html" {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("later", func(t *testing.T) {
		streamtest.Run(t, numbers(2, 1), func(w *streamtest.World) {
			done := make(chan error)
			go func() {
				done <- subscribe(w, func(event tandemsse.Event) error {
					if event.Data == "1" {
						w.Answer(http.StatusOK, page)
					}
					return nil
				})
			}()
			time.Sleep(time.Hour)
			w.Serve(numbers(2, 1))
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	})
}

func TestWhatTheHandlerSaysIsReturnedAsItIs(t *testing.T) {
	streamtest.Run(t, numbers(2, 1), func(w *streamtest.World) {
		if err := subscribe(w, until("1")); err != errFound { //nolint:errorlint // that very one
			t.Errorf("got %v", err)
		}
		w.WantServed(streamtest.Path, 1)
	})
}

func TestAnEventThatIsTooLarge(t *testing.T) {
	stream := serve(func(o out) { o.send("data: " + strings.Repeat("x", 1001) + "\n\n") })
	streamtest.Run(t, stream, func(w *streamtest.World) {
		options := tandemsse.Options{MaxEventSize: 1000}
		err := tandemsse.Subscribe(w.Context(), w.Session, streamtest.URL, options, until("never"))
		if !errors.Is(err, tandemsse.ErrEventTooLarge) {
			t.Errorf("got %v", err)
		}
		w.WantServed(streamtest.Path, 1)
	})
}

func TestWhatIsSent(t *testing.T) {
	var got []string
	stream := serve(func(o out) {
		body, _ := io.ReadAll(o.Body)
		got = append(got, fmt.Sprintf("%s %s %s %s %s %s", o.Method, o.Request.Header.Get("Accept"), o.Request.Header.Get("Accept-Encoding"),
			o.Request.Header.Get("X-Mine"), o.Request.Header.Get("Last-Event-ID"), body))
		if o.n == 2 {
			o.WriteHeader(http.StatusNoContent)
		}
	})
	streamtest.Run(t, stream, func(w *streamtest.World) {
		options := tandemsse.Options{LastEventID: "7", Header: http.Header{"x-mine": {"a"}}, Body: []byte("what")}
		if err := tandemsse.Subscribe(w.Context(), w.Session, streamtest.URL, options, until("never")); err != nil {
			t.Error(err)
		}
		want := "POST text/event-stream identity a 7 what"
		if !slices.Equal(got, []string{want, want}) {
			t.Errorf("got %q, want it twice: %q", got, want)
		}
	})
}

func TestTheTokenGoesNowhereElse(t *testing.T) {
	streamtest.Run(t, nil, func(w *streamtest.World) {
		err := tandemsse.Subscribe(w.Context(), w.Session, "https://elsewhere.test/", tandemsse.Options{}, until("never"))
		if !errors.Is(err, tandemsse.ErrForeignOrigin) {
			t.Errorf("got %v", err)
		}
		w.Answer(http.StatusFound, http.Header{"Location": {"http://elsewhere.test/stream"}})
		if err := subscribe(w, until("never")); !errors.Is(err, tandemsse.ErrForeignOrigin) {
			t.Errorf("a redirect: %v", err)
		}
	})
}

func TestACallerThatGivesUpLeavesAtOnce(t *testing.T) {
	for name, answer := range map[string]func(o out){
		"while the stream is open": func(o out) {
			o.send("data: x\n\n")
			o.wait()
		},
		"while it waits for the next connection": func(o out) { o.send("retry: 60000\n") },
		"while it waits for the answer":          out.wait,
	} {
		t.Run(name, func(t *testing.T) {
			streamtest.Run(t, serve(answer), func(w *streamtest.World) {
				ctx, cancel := context.WithCancel(w.Context())
				done := make(chan error)
				go func() {
					done <- tandemsse.Subscribe(ctx, w.Session, streamtest.URL, tandemsse.Options{}, until("never"))
				}()
				synctest.Wait()
				begun := time.Now()
				cancel()
				if err := <-done; !errors.Is(err, context.Canceled) || time.Since(begun) != 0 {
					t.Errorf("%v after %s", err, time.Since(begun))
				}
			})
		})
	}
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	streamtest.Run(t, nil, func(w *streamtest.World) {
		for want, c := range map[string]struct {
			url     string
			options tandemsse.Options
		}{
			"URL: scheme":                      {url: "wss://tandem.test"},
			"want an http or https URL":        {url: "/stream"},
			"invalid control character in URL": {url: "http://\x7f"},
			"Options.LastEventID":              {options: tandemsse.Options{LastEventID: "a\n"}},
			"Options.IdleTimeout":              {options: tandemsse.Options{IdleTimeout: -1}},
			"Options.MaxEventSize":             {options: tandemsse.Options{MaxEventSize: -1}},
			"Options.MinWait":                  {options: tandemsse.Options{MinWait: -1}},
			"Options.MaxWait":                  {options: tandemsse.Options{MaxWait: -1}},
			"invalid method":                   {options: tandemsse.Options{Method: "A B"}},
			"Authorization":                    {options: tandemsse.Options{Header: http.Header{"authorization": {"Bearer mine"}}}},
		} {
			if c.url == "" {
				c.url = streamtest.URL
			}
			err := tandemsse.Subscribe(w.Context(), w.Session, c.url, c.options, until("never"))
			if err == nil || !strings.HasPrefix(err.Error(), "tandemsse: ") || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		}
		if err := tandemsse.Subscribe(w.Context(), nil, streamtest.URL, tandemsse.Options{}, until("never")); err == nil {
			t.Error("no session, no error")
		}
		w.WantServed(streamtest.Path, 0)
	})
}
