package repeat_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tandem-auth/tandem/internal/repeat"
)

type body struct {
	io.Reader
	closed int
}

func (b *body) Close() error {
	b.closed++
	return nil
}

func TestBuffer(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want int64
	}{
		"empty":      {"", 0},
		"short":      {"abc", 3},
		"just fits":  {"abcd", 4},
		"too long":   {"abcde", -1},
		"far longer": {strings.Repeat("abc", 1000), -1},
	} {
		t.Run(name, func(t *testing.T) {
			req, from := &http.Request{}, &body{Reader: strings.NewReader(c.text)}
			length, err := repeat.Buffer(req, from, 4)
			if length != c.want || err != nil {
				t.Fatalf("%d, %v; want %d", length, err, c.want)
			}
			if kept := length >= 0; kept != (from.closed == 1) || kept != (req.GetBody != nil) {
				t.Errorf("closed %d times; can be sent again: %v", from.closed, req.GetBody != nil)
			}
			bodies := []io.ReadCloser{req.Body}
			if req.GetBody != nil {
				again, err := req.GetBody()
				if err != nil {
					t.Fatal(err)
				}
				bodies = append(bodies, again)
			}
			for _, b := range bodies {
				if got, err := io.ReadAll(b); string(got) != c.text || err != nil {
					t.Errorf("read %q, %v", got, err)
				}
				_ = b.Close()
			}
			if from.closed != 1 {
				t.Errorf("closed %d times in the end", from.closed)
			}
		})
	}
}

func TestBufferABodyThatCannotBeRead(t *testing.T) {
	from := &body{Reader: iotest.ErrReader(io.ErrUnexpectedEOF)}
	if _, err := repeat.Buffer(&http.Request{}, from, 4); !errors.Is(err, io.ErrUnexpectedEOF) || from.closed != 1 {
		t.Errorf("%v, closed %d times", err, from.closed)
	}
}
