package tandemws_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/streamtest"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/tandemws"
)

func TestATokenThatRunsOutBetweenTwoConnections(t *testing.T) {
	stream := serve(func(ctx context.Context, n int, conn *websocket.Conn) {
		if n == 1 {
			stay(ctx, conn, 2*testserver.AccessTTL) // the connection outlives its token
			return                                  // and is cut
		}
		say(ctx, conn, "welcome back")
		wait(ctx, conn)
	})
	streamtest.Run(t, stream, func(w *streamtest.World) {
		if err := run(w, until("welcome back")); err != nil {
			t.Error(err)
		}
		w.WantServed(streamtest.Path, 2)
		w.WantServed(testserver.Refresh, 1)
	})
}

func TestATokenThatRanOutUnseenIsReplacedInTheHandshake(t *testing.T) {
	streamtest.Run(t, echo, func(w *streamtest.World) {
		// By this client's clock the token is valid for another hour.
		slow := func(c *tandem.Config) {
			begun := time.Now()
			c.Now = func() time.Time { return begun }
		}
		s := w.Open(slow)
		if err := s.SignIn(w.Context(), "ann", "nna"); err != nil {
			t.Fatal(err)
		}
		w.Expire()
		conn, err := tandemws.Dial(w.Context(), s, streamtest.URL, tandemws.Options{})
		if err != nil {
			t.Fatal(err)
		}
		conn.Close(websocket.StatusNormalClosure, "")
		w.WantServed(streamtest.Path, 2) // the first was answered with 401
		w.WantServed(testserver.Refresh, 1)
	})
}

func TestACloseCodeThatRefusesTheTokenIsFollowedByAFreshOne(t *testing.T) {
	for name, code := range map[string]websocket.StatusCode{"4401": tandemws.StatusUnauthorized, "1008": websocket.StatusPolicyViolation} {
		t.Run(name, func(t *testing.T) {
			stream := serve(func(ctx context.Context, n int, conn *websocket.Conn) {
				if n == 1 {
					conn.Close(code, "token refused")
					return
				}
				say(ctx, conn, "welcome back")
				wait(ctx, conn)
			})
			streamtest.Run(t, stream, func(w *streamtest.World) {
				before, _ := w.Session.Token(w.Context())
				begun := time.Now()
				if err := run(w, until("welcome back")); err != nil {
					t.Error(err)
				}
				if after, _ := w.Session.Token(w.Context()); after == before {
					t.Error("the same token was used again")
				}
				if waited := time.Since(begun); waited > time.Millisecond {
					t.Errorf("it took %s", waited)
				}
				w.WantServed(testserver.Refresh, 1)
			})
		})
	}
}

func TestAnyOtherCloseCodeLeavesTheTokenAlone(t *testing.T) {
	stream := serve(func(ctx context.Context, n int, conn *websocket.Conn) {
		switch n {
		case 1:
			conn.Close(websocket.StatusNormalClosure, "")
		case 2:
			conn.Close(websocket.StatusGoingAway, "")
		case 3:
			conn.Close(tandemws.StatusUnauthorized, "")
		default:
			say(ctx, conn, "welcome back")
			wait(ctx, conn)
		}
	})
	streamtest.Run(t, stream, func(w *streamtest.World) {
		options := tandemws.Options{RefusedCodes: []websocket.StatusCode{}}
		if err := tandemws.Run(w.Context(), w.Session, streamtest.URL, options, until("welcome back")); err != nil {
			t.Error(err)
		}
		w.WantServed(streamtest.Path, 4)
		w.WantServed(testserver.Refresh, 0)
	})
}

// The server refuses the token of an old connection after the session has replaced it
// with a valid one.
func TestALateRefusalDoesNotHarmTheTokenInUse(t *testing.T) {
	var refuse chan struct{}
	stream := serve(func(ctx context.Context, n int, conn *websocket.Conn) {
		if n == 1 {
			conn.CloseRead(ctx) // and answers pings
			<-refuse
			conn.Close(tandemws.StatusUnauthorized, "")
			return
		}
		say(ctx, conn, "welcome back")
		wait(ctx, conn)
	})
	streamtest.Run(t, stream, func(w *streamtest.World) {
		refuse = make(chan struct{})
		done := make(chan error)
		go func() { done <- run(w, until("welcome back")) }()
		synctest.Wait()
		w.Expire()
		before, err := w.Session.Token(w.Context())
		if err != nil {
			t.Fatal(err)
		}
		close(refuse)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if after, _ := w.Session.Token(w.Context()); after != before {
			t.Error("a good token was given up")
		}
		w.WantServed(testserver.Refresh, 1)
	})
}

func TestManyStreamsOfOneSessionCauseOneRefresh(t *testing.T) {
	const streams = 50
	stream := serve(func(ctx context.Context, n int, conn *websocket.Conn) {
		if n <= streams {
			stay(ctx, conn, testserver.AccessTTL)
			conn.Close(tandemws.StatusUnauthorized, "token expired")
			return
		}
		say(ctx, conn, "welcome back")
		wait(ctx, conn)
	})
	streamtest.Run(t, stream, func(w *streamtest.World) {
		var all sync.WaitGroup
		for range streams {
			all.Go(func() {
				if err := run(w, until("welcome back")); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		w.WantServed(streamtest.Path, 2*streams)
		w.WantServed(testserver.Refresh, 1)
	})
}

// A server that closes connections when their token expires, or after a while, has not
// refused a fresh token, even if that happens every few seconds.
func TestTokensThatWereGoodForAWhileAreNotRefusedForGood(t *testing.T) {
	for life, lasts := range map[time.Duration]time.Duration{
		4 * time.Second: 3 * time.Second, // the server's clock is ahead of the client's
		time.Minute:     59 * time.Second,
		time.Hour:       10 * time.Second,
	} {
		stream := serve(func(ctx context.Context, n int, conn *websocket.Conn) {
			if n < 10 {
				stay(ctx, conn, lasts)
				conn.Close(tandemws.StatusUnauthorized, "token expired")
				return
			}
			say(ctx, conn, "welcome back")
			wait(ctx, conn)
		})
		settings := func(c *server.Config) { c.AccessTTL = life }
		streamtest.RunOn(t, settings, stream, func(w *streamtest.World) {
			if err := run(w, until("welcome back")); err != nil {
				t.Errorf("%s: %v", life, err)
			}
			w.WantServed(testserver.Refresh, 9)
		})
	}
}

func TestAServerThatRefusesFreshTokensIsNotAskedForEver(t *testing.T) {
	stream := serve(func(_ context.Context, _ int, conn *websocket.Conn) { conn.Close(tandemws.StatusUnauthorized, "no") })
	streamtest.Run(t, stream, func(w *streamtest.World) {
		err := run(w, until("never"))
		no, ok := errors.AsType[*tandemws.RefusedError](err)
		if !ok || no.Status != http.StatusSwitchingProtocols || no.Code != tandemws.StatusUnauthorized || no.Reason != "no" {
			t.Errorf("got %v", err)
		}
		w.WantServed(streamtest.Path, 3)
		w.WantServed(testserver.Refresh, 2)
	})
}

// If the server refuses tokens that live only a few seconds, Run does not connect again
// without end.
func TestShortLivedTokensThatAreRefused(t *testing.T) {
	var cancel context.CancelFunc
	count := 0
	stream := serve(func(_ context.Context, n int, conn *websocket.Conn) {
		if count = n; n == 300 {
			cancel()
		}
		conn.Close(tandemws.StatusUnauthorized, "no")
	})
	short := func(c *server.Config) { c.AccessTTL = 4 * time.Second }
	streamtest.RunOn(t, short, stream, func(w *streamtest.World) {
		var ctx context.Context
		ctx, cancel = context.WithCancel(context.Background())
		defer cancel()
		began := time.Now()
		err := tandemws.Run(ctx, w.Session, streamtest.URL, tandemws.Options{}, until("never"))
		if count >= 300 {
			t.Errorf("%d connections and %d refreshes in %s: %v", count, w.Auth.Served(testserver.Refresh), time.Since(began), err)
		}
	})
}
