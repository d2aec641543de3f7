package tandemsse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/reconnect"
)

// ErrForeignOrigin reports that the URL, or the target of a redirect, has an origin that
// the session does not send its access token to; see [tandem.Config].Origins. The client
// sent nothing there.
var ErrForeignOrigin = reconnect.ErrForeignOrigin

// Options say how to subscribe. The zero value is ready to use.
type Options struct {
	// LastEventID asks the server to begin after the event with this id. Defaults to
	// none: the server decides where to begin.
	LastEventID string

	// Header contains further headers of the requests. Leave Authorization out: the
	// session sets it. Unless Header has an Accept-Encoding, the client asks the server
	// not to compress the stream; it decodes gzip and deflate in any case.
	Header http.Header

	// Method and Body are the request's method and body; the client sends the body
	// again with each connection. Method defaults to GET, or to POST if there is a
	// body.
	Method string
	Body   []byte

	// IdleTimeout is how long the client waits for the next byte, a comment included,
	// before it gives the connection up and connects again. It also bounds the wait for
	// the answer to the request, but not the wait for an access token, nor the time
	// that handle takes. Set it to two or three times the interval at which the server
	// sends comments: without it the client never notices that a proxy keeps a
	// connection open in front of a dead server. Defaults to none, because a server may
	// send nothing for hours while it has no event; TCP keep-alives then notice within
	// minutes that a router has forgotten the connection.
	IdleTimeout time.Duration

	// MaxEventSize is the limit in bytes for the data of one event, and for each line
	// of the stream. Defaults to 1 MiB.
	MaxEventSize int

	// MinWait is how long the client waits before it connects again. Each further
	// failure doubles the wait; a connection that brought an event or lasted 10 seconds
	// resets it. The client subtracts a random part of up to a half. It waits longer if
	// the server asks for that with a "retry" field or with Retry-After, up to an hour.
	// Defaults to 1 second.
	MinWait time.Duration

	// MaxWait bounds the doubling. Defaults to 30 seconds.
	MaxWait time.Duration

	// Logger gets a line for each connection that the client lost or could not make,
	// with the error and the wait until the next attempt. Defaults to none.
	Logger *slog.Logger
}

// A RefusedError reports that the server answered with something other than a stream of
// events that the client can read.
type RefusedError struct {
	Status      int
	ContentType string
	// ContentEncoding is how the answer is compressed; empty if it is not.
	ContentEncoding string
	// RetryAfter is how long the server asked the client to wait; 0 if it did not ask.
	RetryAfter time.Duration
}

// Error says what the server answered.
func (e *RefusedError) Error() string {
	if e.Status == http.StatusOK && !canDecode(e.ContentEncoding) {
		return fmt.Sprintf("server compressed the stream with %q, which the client cannot decode, only gzip and deflate", e.ContentEncoding)
	}
	if e.Status == http.StatusOK {
		return fmt.Sprintf("server answered with %q instead of text/event-stream; is the URL right?", e.ContentType)
	}
	return fmt.Sprintf("server refused the stream: it answered %d %s", e.Status, http.StatusText(e.Status))
}

// Subscribe asks the server for a stream of events and calls handle with each event, one
// after another. Whenever the stream breaks off, it asks again, for what comes after the
// last event that it received. The address is an http or https URL.
//
// Subscribe returns
//   - nil, when the server says with status 204 that there is no more;
//   - the error that handle returned, as it is;
//   - the context's error, as soon as ctx ends;
//   - an [*tandem.EndedError] when the session has ended, [tandem.ErrClosed] when it was
//     closed, [tandem.ErrNotSignedIn], and [tandem.ErrUserChanged] when another user has
//     signed in: no stream goes on in another user's name. An open stream stays open when
//     the session ends; Subscribe notices the end at the next request;
//   - a [*RefusedError] when the server refuses a request for good (403, 404 and other
//     such answers, but not 429 or 503), answers the first request with something other
//     than events, or compresses them in a way that the client cannot decode;
//   - [ErrEventTooLarge] and [ErrForeignOrigin].
//
// Subscribe waits out every other error, a [*tandem.TemporaryError] for example.
func Subscribe(ctx context.Context, session *tandem.Session, address string, options Options, handle func(Event) error) error {
	s, err := newStream(session, address, options)
	if err != nil {
		return fmt.Errorf("tandemsse: %w", err)
	}
	s.handle = handle
	loop := reconnect.Loop{MinWait: options.MinWait, MaxWait: options.MaxWait, Logger: options.Logger}
	if err := loop.Check(); err != nil {
		return fmt.Errorf("tandemsse: %w", err)
	}
	return loop.Run(ctx, s.connect)
}

// A stream is the connections of one subscription.
type stream struct {
	url     string
	options Options
	client  *http.Client
	handle  func(Event) error

	opened bool // whether a stream was open at least once
	lastID string
	retry  time.Duration // the server's latest reconnection time
}

func newStream(session *tandem.Session, address string, o Options) (*stream, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("URL: %w", reconnect.Bare(err))
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, fmt.Errorf("URL: scheme %q, host %q; want an http or https URL", u.Scheme, u.Host)
	case strings.ContainsFunc(o.LastEventID, isControl):
		return nil, fmt.Errorf("Options.LastEventID: %q has a control character in it", o.LastEventID)
	case o.IdleTimeout < 0:
		return nil, fmt.Errorf("Options.IdleTimeout: %s is negative", o.IdleTimeout)
	case o.MaxEventSize < 0:
		return nil, fmt.Errorf("Options.MaxEventSize: %d is negative", o.MaxEventSize)
	}
	handshakes, err := reconnect.NewHandshakes(session, o.IdleTimeout, o.Header)
	if err != nil {
		return nil, err
	}
	if o.MaxEventSize == 0 {
		o.MaxEventSize = 1 << 20
	}
	if o.Method == "" && len(o.Body) > 0 {
		o.Method = http.MethodPost
	}
	s := &stream{url: address, options: o, client: handshakes.Client(), lastID: o.LastEventID}
	_, err = s.request(context.Background())
	return s, err
}

// request returns the request for the events after the last one.
func (s *stream) request(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, s.options.Method, s.url, bytes.NewReader(s.options.Body))
	if err != nil {
		return nil, reconnect.Bare(err)
	}
	req.Header.Set("Cache-Control", "no-cache")
	req.Header.Set("Accept-Encoding", "identity") // compression delays events until a block is full
	for name, values := range s.options.Header {
		req.Header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
	}
	req.Header.Set("Accept", "text/event-stream")
	if s.lastID != "" {
		req.Header.Set("Last-Event-ID", s.lastID)
	}
	return req, nil
}

// connect asks for the stream once and handles its events.
func (s *stream) connect(ctx context.Context) reconnect.Attempt {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := s.request(ctx)
	if err != nil {
		return reconnect.Attempt{Err: err, Done: true}
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return reconnect.Attempt{Err: fmt.Errorf("ask for the stream: %w", reconnect.Bare(err)), AtLeast: s.retry}
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNoContent:
		return reconnect.Attempt{Done: true}
	case resp.StatusCode != http.StatusOK || !isEvents(resp):
		return s.refused(resp)
	case !canDecode(encodingOf(resp)):
		a := s.refused(resp)
		a.Done = true // the server would compress the next stream, too
		return a
	}
	s.opened = true
	body := decode(newWatched(resp.Body, s.options.IdleTimeout, cancel), encodingOf(resp))
	return s.read(ctx, newParser(body, s.lastID, s.options.MaxEventSize))
}

func (s *stream) refused(resp *http.Response) reconnect.Attempt {
	no := &RefusedError{
		Status:          resp.StatusCode,
		ContentType:     resp.Header.Get("Content-Type"),
		ContentEncoding: encodingOf(resp),
		RetryAfter:      reconnect.RetryAfter(resp.Header),
	}
	return reconnect.Attempt{
		Err:     no,
		Done:    reconnect.Definitive(no.Status, s.opened),
		AtLeast: max(no.RetryAfter, s.retry),
	}
}

// read handles events until the stream ends.
func (s *stream) read(ctx context.Context, p *parser) reconnect.Attempt {
	a := reconnect.Attempt{Opened: time.Now()}
	for {
		event, err := p.next()
		s.lastID = p.lastID
		if p.retry >= 0 {
			s.retry = p.retry
		}
		a.AtLeast = s.retry
		if err != nil {
			a.Err, a.Done = err, errors.Is(err, ErrEventTooLarge)
			if cause := context.Cause(ctx); cause != nil {
				a.Err = cause
			} else if errors.Is(err, io.EOF) {
				a.Err = errors.New("server ended the stream")
			}
			return a
		}
		a.Useful = true
		if err := s.handle(event); err != nil {
			a.Err, a.Done = err, true
			return a
		}
	}
}

func isEvents(resp *http.Response) bool {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return err == nil && kind == "text/event-stream"
}

// A watched reader ends the connection if nothing arrives within limit. Only the time
// that the client spends in a read counts, not the time that handle takes.
type watched struct {
	io.Reader
	limit time.Duration
	timer *time.Timer
}

func newWatched(r io.Reader, limit time.Duration, cancel context.CancelCauseFunc) io.Reader {
	if limit == 0 {
		return r
	}
	idle := fmt.Errorf("nothing came within %s", limit)
	return &watched{Reader: r, limit: limit, timer: time.AfterFunc(limit, func() { cancel(idle) })}
}

// Read reads what is there, or waits for it.
func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(w.limit)
	defer w.timer.Stop()
	return w.Reader.Read(p)
}
