package tandemsse_test

import (
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem/internal/testkit/streamtest"
	"github.com/tandem-auth/tandem/tandemsse"
)

// A compressor is a compressing writer of the standard library.
type compressor interface {
	io.WriteCloser
	Flush() error
}

// compressed sends events like a server or a proxy that compresses them although the
// client did not ask for it. It flushes each event, and sends the next one after the
// client has received it.
func compressed(encoding string, taken chan struct{}, begin func(io.Writer) compressor, memberEach bool) http.Handler {
	return serve(func(o out) {
		o.ResponseWriter.Header().Set("Content-Encoding", encoding)
		c := begin(o.ResponseWriter)
		for n := range 4 {
			fmt.Fprintf(c, "id: %d\ndata: %d\n\n", n, n)
			if memberEach {
				c.Close()
				c = begin(o.ResponseWriter)
			} else {
				c.Flush()
			}
			_ = http.NewResponseController(o.ResponseWriter).Flush()
			select {
			case <-taken:
			case <-o.Context().Done():
				return
			}
		}
		o.wait()
	})
}

func TestACompressedStream(t *testing.T) {
	zip := func(w io.Writer) compressor { return gzip.NewWriter(w) }
	zlibbed := func(w io.Writer) compressor { return zlib.NewWriter(w) }
	bare := func(w io.Writer) compressor {
		c, err := flate.NewWriter(w, flate.DefaultCompression)
		if err != nil {
			t.Error(err)
		}
		return c
	}
	for _, c := range []struct {
		name, encoding string
		begin          func(io.Writer) compressor
		memberEach     bool
	}{
		{"gzip", "gzip", zip, false},
		{"by its old name", "X-GZIP", zip, false},
		{"a gzip member for each event", "gzip", zip, true},
		{"deflate", "deflate", zlibbed, false},
		{"deflate without the zlib header", "deflate", bare, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var handler http.Handler
			var taken chan struct{}
			lazily := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) })
			streamtest.Run(t, lazily, func(w *streamtest.World) {
				taken = make(chan struct{}, 1)
				handler = compressed(c.encoding, taken, c.begin, c.memberEach)
				err := subscribe(w, func(event tandemsse.Event) error {
					taken <- struct{}{}
					return until("3")(event)
				})
				if !errors.Is(err, errFound) {
					t.Error(err)
				}
				w.WantServed(streamtest.Path, 1)
			})
		})
	}
}

func TestAStreamThatIsCompressedInAWayNobodyKnows(t *testing.T) {
	stream := serve(func(o out) {
		if o.n == 1 {
			o.send("data: x\n\n")
			return
		}
		o.ResponseWriter.Header().Set("Content-Encoding", "br")
		o.send("\x1b\x03")
		o.wait()
	})
	streamtest.Run(t, stream, func(w *streamtest.World) {
		err := subscribe(w, until("never"))
		no, ok := errors.AsType[*tandemsse.RefusedError](err)
		if !ok || no.ContentEncoding != "br" || !strings.Contains(no.Error(), `compressed the stream with "br"`) {
			t.Errorf("got %v", err)
		}
		w.WantServed(streamtest.Path, 2)
	})
}

// A stream that is not compressed as its header says counts as broken, not as empty.
func TestAStreamThatIsNotCompressedAsItSays(t *testing.T) {
	stream := serve(func(o out) {
		if o.n == 1 {
			o.ResponseWriter.Header().Set("Content-Encoding", "gzip")
		}
		o.send("data: plain after all\n\n")
		o.wait()
	})
	streamtest.Run(t, stream, func(w *streamtest.World) {
		if err := subscribe(w, until("plain after all")); !errors.Is(err, errFound) {
			t.Error(err)
		}
		w.WantServed(streamtest.Path, 2)
	})
}
