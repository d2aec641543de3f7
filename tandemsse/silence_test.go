package tandemsse_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/streamtest"
	"github.com/tandem-auth/tandem/tandemsse"
)

func TestAConnectionThatDiedUnseenIsGivenUp(t *testing.T) {
	stream := serve(func(o out) {
		if o.n == 1 {
			for range 10 {
				o.send(": still here\n")
				time.Sleep(20 * time.Second)
			}
			o.wait() // from here on the server is silent, as if it were dead
			return
		}
		o.send("data: welcome back\n\n")
	})
	streamtest.Run(t, stream, func(w *streamtest.World) {
		begun := time.Now()
		options := tandemsse.Options{IdleTimeout: 30 * time.Second}
		err := tandemsse.Subscribe(w.Context(), w.Session, streamtest.URL, options, until("welcome back"))
		if took := time.Since(begun); !errors.Is(err, errFound) || took < 210*time.Second || took > 212*time.Second {
			t.Errorf("%v after %s", err, took)
		}
		w.WantServed(streamtest.Path, 2)
	})
}

// A router between client and server forgets the connection: nothing arrives any more,
// and neither side gets an error.
func TestAConnectionThatTheNetworkForgotIsGivenUp(t *testing.T) {
	stream := serve(func(o out) {
		o.send(fmt.Sprintf("id: %d\ndata: after %q\n\n", o.n, o.Request.Header.Get("Last-Event-ID")))
		o.wait()
	})
	var proxy *streamtest.Proxy
	transport := &http.Transport{}
	session, url, end := streamtest.Example(stream, func(c *tandem.Config) {
		proxy = streamtest.StartProxy(t, strings.TrimPrefix(c.URL, "http://"))
		transport.DialContext = proxy.DialContext
		c.Transport = transport
	})
	defer end()
	defer transport.CloseIdleConnections()

	options := tandemsse.Options{IdleTimeout: 500 * time.Millisecond, MinWait: time.Millisecond}
	err := tandemsse.Subscribe(t.Context(), session, url, options, func(event tandemsse.Event) error {
		if event.ID == "1" {
			proxy.Forget()
		}
		return until(`after "1"`)(event)
	})
	if !errors.Is(err, errFound) {
		t.Error(err)
	}
}

// Many servers answer only when there is an event: without an idle timeout, the client
// waits.
func TestAServerThatAnswersLate(t *testing.T) {
	for idle, connections := range map[time.Duration]int{0: 1, 30 * time.Second: 2} {
		stream := serve(func(o out) {
			if o.n == 1 {
				time.Sleep(50 * time.Second)
			}
			o.send("data: at last\n\n")
			o.wait()
		})
		streamtest.Run(t, stream, func(w *streamtest.World) {
			options := tandemsse.Options{IdleTimeout: idle}
			err := tandemsse.Subscribe(w.Context(), w.Session, streamtest.URL, options, until("at last"))
			if !errors.Is(err, errFound) {
				t.Error(err)
			}
			w.WantServed(streamtest.Path, connections)
			time.Sleep(time.Minute) // let the server finish
		})
	}
}

// Handling an event may take longer than the idle timeout.
func TestTheTimeOfHandlingDoesNotCountAsSilence(t *testing.T) {
	stream := serve(func(o out) {
		o.send("data: one\n\n")
		time.Sleep(70 * time.Second)
		o.send("data: two\n\n")
		o.wait()
	})
	streamtest.Run(t, stream, func(w *streamtest.World) {
		options := tandemsse.Options{IdleTimeout: 30 * time.Second}
		err := tandemsse.Subscribe(w.Context(), w.Session, streamtest.URL, options, func(event tandemsse.Event) error {
			time.Sleep(time.Minute)
			return until("two")(event)
		})
		if !errors.Is(err, errFound) {
			t.Error(err)
		}
		w.WantServed(streamtest.Path, 1)
	})
}
