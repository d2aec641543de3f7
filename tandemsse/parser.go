package tandemsse

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// An Event is one event of a stream.
type Event struct {
	// ID is the id of this event, or of the latest one before it that had an id; empty if
	// none had.
	ID string
	// Type is the name that the server gave the event; "message" if it gave none.
	Type string
	// Data is the content of the event; "\n" separates its lines.
	Data string
}

// ErrEventTooLarge reports that the server sent an event, or a line, that is larger than
// Options.MaxEventSize.
var ErrEventTooLarge = errors.New("event is larger than Options.MaxEventSize")

// A parser reads the events of one stream as WHATWG HTML section 9.2.6 specifies, with
// two differences. The parser begins with the id of the previous stream's latest event,
// as browsers do. And it ignores an id that contains any control character, not only
// NUL, because the Last-Event-ID header could not carry it.
type parser struct {
	r     *bufio.Reader
	limit int // bytes that an event may have

	// lastID is the id up to the latest event; retry is the reconnection time, negative
	// until the server has set one.
	lastID string
	retry  time.Duration

	line    []byte
	first   bool // the line is the stream's first
	afterCR bool // the line before ended with CR: a LF that follows belongs to it

	id, kind string
	data     []byte // each line with its LF
}

func newParser(r io.Reader, lastID string, limit int) *parser {
	return &parser{r: bufio.NewReader(r), limit: limit, lastID: lastID, id: lastID, retry: -1, first: true}
}

// next returns the next event as soon as its last byte has arrived. At the end of the
// stream it returns [io.EOF], and drops an incomplete event.
func (p *parser) next() (Event, error) {
	for {
		line, err := p.readLine()
		if err != nil {
			return Event{}, err
		}
		if len(line) > 0 {
			if err := p.field(line); err != nil {
				return Event{}, err
			}
			continue
		}
		p.lastID = p.id
		event := Event{ID: p.id, Type: p.kind, Data: text(bytes.TrimSuffix(p.data, []byte{'\n'}))}
		complete := len(p.data) > 0
		p.kind, p.data = "", p.data[:0]
		if !complete {
			continue
		}
		if event.Type == "" {
			event.Type = "message"
		}
		return event, nil
	}
}

// field interprets one non-empty line.
func (p *parser) field(line []byte) error {
	name, value, _ := bytes.Cut(line, []byte{':'})
	value = bytes.TrimPrefix(value, []byte{' '})
	switch string(name) {
	case "data":
		if len(p.data)+len(value) > p.limit {
			return ErrEventTooLarge
		}
		p.data = append(append(p.data, value...), '\n')
	case "event":
		p.kind = text(value)
	case "id":
		if id := text(value); !strings.ContainsFunc(id, isControl) {
			p.id = id
		}
	case "retry":
		if wait, ok := milliseconds(string(value)); ok {
			p.retry = wait
		}
	}
	return nil
}

// readLine returns the next line without its end, which is CR, LF or both. After a CR it
// does not wait for the next byte.
func (p *parser) readLine() ([]byte, error) {
	p.line = p.line[:0]
	for {
		if _, err := p.r.Peek(1); err != nil {
			return nil, err
		}
		chunk, _ := p.r.Peek(p.r.Buffered())
		if p.afterCR && chunk[0] == '\n' {
			_, _ = p.r.Discard(1)
			p.afterCR = false
			continue
		}
		p.afterCR = false
		end := bytes.IndexAny(chunk, "\r\n")
		size := len(chunk)
		if end >= 0 {
			size = end
		}
		if len(p.line)+size > p.limit+len("data: ") {
			return nil, ErrEventTooLarge
		}
		p.line = append(p.line, chunk[:size]...)
		if end < 0 {
			_, _ = p.r.Discard(size)
			continue
		}
		p.afterCR = chunk[end] == '\r'
		_, _ = p.r.Discard(size + 1)
		if p.first {
			p.first = false
			return bytes.TrimPrefix(p.line, []byte("\uFEFF")), nil
		}
		return p.line, nil
	}
}

// text decodes UTF-8, and replaces invalid bytes with U+FFFD.
func text(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// milliseconds parses a number of ASCII digits; a number that is too large becomes the
// longest duration.
func milliseconds(digits string) (time.Duration, bool) {
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if errors.Is(err, strconv.ErrSyntax) {
		return 0, false
	}
	return time.Duration(min(n, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond, true
}
