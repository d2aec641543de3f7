package tandemsse_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/tandem-auth/tandem/internal/testkit/streamtest"
	"github.com/tandem-auth/tandem/tandemsse"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An out is the server's side of one connection.
type out struct {
	http.ResponseWriter
	*http.Request
	n int // the number of the connection, beginning with 1
}

// send sends text and flushes it.
func (o out) send(text string) {
	fmt.Fprint(o.ResponseWriter, text)
	_ = http.NewResponseController(o.ResponseWriter).Flush()
}

// wait keeps the connection open until the client or the server closes it.
func (o out) wait() { <-o.Context().Done() }

// serve returns a handler that calls do for each connection.
func serve(do func(o out)) http.Handler {
	var count atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		do(out{ResponseWriter: w, Request: r, n: int(count.Add(1))})
	})
}

// numbers sends the numbers up to limit as events, a few per connection, beginning
// after the last one that the client has received.
func numbers(limit, few int) http.Handler {
	return serve(func(o out) {
		last, _ := strconv.Atoi(o.Request.Header.Get("Last-Event-ID"))
		if last == limit {
			o.WriteHeader(http.StatusNoContent)
			return
		}
		for n := last + 1; n <= min(last+few, limit); n++ {
			o.send(fmt.Sprintf("id: %d\ndata: %d\n\n", n, n))
		}
		o.send("id: 99\ndata: never ends")
	})
}

// until returns a handler that ends a subscription with errFound at the given event.
func until(word string) func(tandemsse.Event) error {
	return func(event tandemsse.Event) error {
		if event.Data == word {
			return errFound
		}
		return nil
	}
}

var errFound = errors.New("found")

func subscribe(w *streamtest.World, handle func(tandemsse.Event) error) error {
	return tandemsse.Subscribe(w.Context(), w.Session, streamtest.URL, tandemsse.Options{}, handle)
}
