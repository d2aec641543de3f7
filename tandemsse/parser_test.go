package tandemsse

import (
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// parse returns all events of a stream, and the parser's state after it.
func parse(t *testing.T, r io.Reader, limit int) ([]Event, *parser, error) {
	t.Helper()
	p := newParser(r, "before", limit)
	var all []Event
	for {
		event, err := p.next()
		if err != nil {
			return all, p, err
		}
		all = append(all, event)
	}
}

func message(data string) Event { return Event{ID: "before", Type: "message", Data: data} }

func TestParsing(t *testing.T) {
	for _, c := range []struct {
		name, stream string
		want         []Event
	}{
		{"one line", "data: hello\n\n", []Event{message("hello")}},
		{"several lines", "data: one\ndata: two\n\n", []Event{message("one\ntwo")}},
		{"several events", "data: one\n\ndata: two\n\n", []Event{message("one"), message("two")}},
		{"lines that end with CR LF", "data: one\r\ndata: two\r\n\r\ndata: three\r\n\r\n", []Event{message("one\ntwo"), message("three")}},
		{"lines that end with CR", "data: one\rdata: two\r\rdata: three\r\r", []Event{message("one\ntwo"), message("three")}},
		{"all kinds of ends", "data: one\rdata: two\n\r\ndata: three\n\r", []Event{message("one\ntwo"), message("three")}},
		{"one space goes, a second stays", "data:a\ndata: b\ndata:  c\n\n", []Event{message("a\nb\n c")}},
		{"colons in the data", "data: a: b\n\n", []Event{message("a: b")}},
		{"data that is empty", "data\n\ndata:\n\ndata\ndata:\n\n", []Event{message(""), message(""), message("\n")}},
		{"no data, no event", "event: a\nid: 1\n\n\n\ndata: x\n\n", []Event{{"1", "message", "x"}}},
		{"comments", ": ping\n\n:\ndata: x\n:y\n\n", []Event{message("x")}},
		{"fields that nobody knows", "what: ever\nDATA: no\n data: no\ndata : no\ndata: x\n\n", []Event{message("x")}},
		{"a type lasts for one event", "event: a\ndata: x\n\ndata: y\n\n", []Event{{"before", "a", "x"}, message("y")}},
		{"an id lasts", "id: 1\ndata: x\n\ndata: y\n\n", []Event{{"1", "message", "x"}, {"1", "message", "y"}}},
		{"an empty id takes it back", "id: 1\ndata: x\n\nid\ndata: y\n\n", []Event{{"1", "message", "x"}, {"", "message", "y"}}},
		{"an id that no header can carry", "id: 1\x00\nid: \x7f\nid: a\x1bb\ndata: x\n\n", []Event{message("x")}},
		{"an event that breaks off", "data: x\n\nid: 2\ndata: y\n", []Event{message("x")}},
		{"a line that breaks off", "data: x\n\ndata: y", []Event{message("x")}},
		{"a byte order mark", "\uFEFFdata: x\n\n\uFEFFdata: y\n\n", []Event{message("x")}},
		{"bytes that are no UTF-8", "data: a\xffb\n\n", []Event{message("a\uFFFDb")}},
		{"nothing", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"at once":      strings.NewReader(c.stream),
				"byte by byte": iotest.OneByteReader(strings.NewReader(c.stream)),
			} {
				got, _, err := parse(t, r, 100)
				if !errors.Is(err, io.EOF) || !reflect.DeepEqual(got, c.want) {
					t.Errorf("%s: got %q, %v; want %q", name, got, err, c.want)
				}
			}
		})
	}
}

// An event that breaks off does not change the last id: otherwise the server would skip
// that event.
func TestTheLastIDIsThatOfACompleteEvent(t *testing.T) {
	for stream, want := range map[string]string{
		"id: 1\ndata: x\n\nid: 2\ndata: y\n": "1",
		"id: 1\n\n":                          "1",
		"id: 1\n":                            "before",
		"id: 1\n\nid\n\n":                    "",
	} {
		if _, p, _ := parse(t, strings.NewReader(stream), 100); p.lastID != want {
			t.Errorf("%q: %q, want %q", stream, p.lastID, want)
		}
	}
}

func TestTheReconnectionTime(t *testing.T) {
	for stream, want := range map[string]time.Duration{
		"retry: 1500\n":           1500 * time.Millisecond,
		"retry: 1500\nretry: 0\n": 0,
		"retry: 1500\nretry: x\n": 1500 * time.Millisecond,
		"retry: -1\n":             -1,
		"retry: +1\n":             -1,
		"retry: 1.5\n":            -1,
		"retry:\n":                -1,
		"retry":                   -1,
	} {
		if _, p, _ := parse(t, strings.NewReader(stream), 100); p.retry != want {
			t.Errorf("%q: %s, want %s", stream, p.retry, want)
		}
	}
	if _, p, _ := parse(t, strings.NewReader("retry: 99999999999999999999\n"), 100); p.retry < 1000*time.Hour {
		t.Errorf("a number that is too large: %s", p.retry)
	}
}

// The parser returns an event with the last byte of its end, without waiting for
// another byte.
func TestAnEventIsThereWithItsLastByte(t *testing.T) {
	for _, stream := range []string{"data: x\n\n", "data: x\r\r", "data: x\r\n\r"} {
		r, w := io.Pipe()
		go func() { _, _ = io.WriteString(w, stream) }()
		if event, err := newParser(r, "", 100).next(); err != nil || event.Data != "x" {
			t.Errorf("%q: %v, %v", stream, event, err)
		}
		r.Close()
	}
}

func TestAnEventHasALimit(t *testing.T) {
	const limit = 10
	for stream, fits := range map[string]bool{
		"data: 0123456789\n\n":               true,
		"data: 01234567890\n\n":              false,
		"data: 01234\ndata: 6789\n\n":        true,
		"data: 01234\ndata: 56789\n\n":       false,
		strings.Repeat("data: 0123\n\n", 10): true,
		": " + strings.Repeat("x", 10_000):   false,
		"data: " + strings.Repeat("x", 9000): false,
		strings.Repeat("data\n", 10) + "\n":  true,
		strings.Repeat("data\n", 12) + "\n":  false,
	} {
		if _, _, err := parse(t, strings.NewReader(stream), limit); errors.Is(err, io.EOF) != fits || errors.Is(err, ErrEventTooLarge) == fits {
			t.Errorf("%.40q: %v", stream, err)
		}
	}
}

func FuzzParser(f *testing.F) {
	for _, stream := range []string{
		"data: x\n\n", "\uFEFFid: 1\r\nevent: a\rdata: x\n\n", "retry: 10\n\n", ": c\n\n", "id: a\x00\ndata\n\n",
		"data: a\ndata: b\n\r\n", "data:\xff\n\n",
	} {
		f.Add(stream)
	}
	f.Fuzz(func(t *testing.T, stream string) {
		all, p, err := parse(t, strings.NewReader(stream), 64)
		again, q, errAgain := parse(t, iotest.OneByteReader(strings.NewReader(stream)), 64)
		if !slices.Equal(all, again) || !errors.Is(errAgain, err) || p.lastID != q.lastID || p.retry != q.retry {
			t.Errorf("byte by byte: %q, %v; at once: %q, %v", again, errAgain, all, err)
		}
		if !strings.Contains(stream, "\r") {
			crlf, _, err := parse(t, strings.NewReader(strings.ReplaceAll(stream, "\n", "\r\n")), 64)
			if !slices.Equal(all, crlf) {
				t.Errorf("with CR LF: %q, %v; with LF: %q", crlf, err, all)
			}
		}
		if strings.ContainsFunc(p.lastID, isControl) {
			t.Errorf("id %q cannot be in a header", p.lastID)
		}
		for _, event := range all {
			if event.Type == "" || strings.ContainsFunc(event.ID, isControl) || len(event.Data) > 3*64 || strings.Contains(event.Data, "\r") {
				t.Errorf("event %q", event)
			}
		}
	})
}
