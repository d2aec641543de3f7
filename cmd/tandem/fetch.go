package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"strings"

	"github.com/tandem-auth/tandem/internal/repeat"
	"github.com/tandem-auth/tandem/internal/visible"
	"github.com/tandem-auth/tandem/internal/wholefile"
)

type fetchCommand struct {
	Method string `arg:"" completion:"GET HEAD POST PUT PATCH DELETE" help:"GET, POST, …"`
	Target string `arg:"" name:"path" help:"A path on the server, or a URL: of the server, or of an origin that was named at login."`

	Data    string   `short:"d" env:"-" completion:"@file" placeholder:"TEXT|@FILE" help:"The body; @FILE is a file's, @- is standard input's. It streams. If the token is refused it is sent again, unless it comes from a pipe and is longer than 1 MiB."`
	Headers []string `short:"H" name:"header" env:"-" sep:"none" placeholder:"NAME: VALUE" help:"Header of the request; repeatable. A body is application/json unless it says otherwise."`
	Output  string   `short:"o" env:"-" placeholder:"FILE" help:"Write the body of the answer to a file, which is there whole or not at all; - is standard output. That of an answer of 400 or above is printed instead."`
	Include bool     `short:"i" env:"-" help:"Print status and headers of the answer, too. With --json they always are."`

	profileFlags `embed:""`
}

// Run makes a request as the user who is signed in. If the server answers with a status of
// 400 or above, Run prints the answer and returns a [statusError].
func (cmd *fetchCommand) Run(ctx context.Context, c console) error {
	return cmd.with(ctx, c, func(s *signedIn) error {
		req, err := cmd.request(ctx, s, c)
		if err != nil {
			return err
		}
		file, err := cmd.create() // fails before the request changes anything at the server
		if err != nil {
			return fmt.Errorf("write the answer: %w", err)
		}
		if file != nil {
			defer func() { _ = file.Abort() }()
		}
		client := s.Client()
		client.CheckRedirect = follow
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		switch {
		case resp.StatusCode >= http.StatusBadRequest:
			return errors.Join(cmd.show(resp, c, nil), statusError{resp.StatusCode})
		case resp.StatusCode == http.StatusNotModified: // the file is up to date already
			return cmd.show(resp, c, nil)
		case resp.StatusCode >= http.StatusMultipleChoices:
			return errors.Join(cmd.show(resp, c, nil), redirectError{resp.StatusCode, resp.Header.Get("Location")})
		}
		return cmd.show(resp, c, file)
	})
}

// follow is the CheckRedirect of [http.Client]. It does not follow a redirect for which the
// client would change the method and drop the body, except 303: with that status the server
// has carried out the request.
func follow(req *http.Request, via []*http.Request) error {
	const most = 10
	switch before := via[len(via)-1].Method; {
	case len(via) >= most:
		return fmt.Errorf("stopped after %d redirects", most)
	case req.Method != before && req.Response.StatusCode != http.StatusSeeOther:
		return http.ErrUseLastResponse
	}
	return nil
}

// A redirectError is a redirect that tandem fetch did not follow.
type redirectError struct {
	status   int
	location string
}

func (e redirectError) Error() string {
	text := fmt.Sprintf("the server answered %d %s", e.status, http.StatusText(e.status))
	if e.location == "" {
		return text
	}
	return fmt.Sprintf("%s and points to %q, where the request was not sent again, with its body: ask there, if that is right", text, e.location)
}

// create begins the file that --output names. It returns nil for none and for "-".
func (cmd *fetchCommand) create() (*wholefile.File, error) {
	if cmd.Output == "" || cmd.Output == "-" {
		return nil, nil
	}
	return wholefile.Create(cmd.Output)
}

func (cmd *fetchCommand) request(ctx context.Context, s *signedIn, c console) (*http.Request, error) {
	target := cmd.Target
	if at, err := url.Parse(target); err != nil || at.Scheme == "" || at.Host == "" {
		target = s.profile.URL + "/" + strings.TrimPrefix(target, "/")
	}
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	if err := s.mayGo(u); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, strings.ToUpper(cmd.Method), target, http.NoBody)
	if err != nil {
		return nil, err
	}
	for _, header := range cmd.Headers {
		name, value, ok := strings.Cut(header, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, fmt.Errorf("header %q: want NAME: VALUE", header)
		}
		switch textproto.CanonicalMIMEHeaderKey(name) {
		case "Authorization":
			return nil, errors.New("an Authorization header of your own belongs into another program: it would be in the argument list, and replace the session's")
		case "Host":
			req.Host = strings.TrimSpace(value)
		default:
			req.Header.Add(name, strings.TrimSpace(value))
		}
	}
	return req, cmd.setBody(req, c)
}

// maxKept, in bytes, is the largest body from a pipe that tandem fetch keeps in memory to
// send it again.
const maxKept = 1 << 20

// setBody sets the body of the request. The session can send a body again that comes from
// the command line or a regular file, or from a pipe with at most maxKept bytes.
func (cmd *fetchCommand) setBody(req *http.Request, c console) (err error) {
	name, isFile := strings.CutPrefix(cmd.Data, "@")
	switch {
	case cmd.Data == "":
		return nil
	case !isFile:
		req.ContentLength = int64(len(cmd.Data))
		err = repeat.Set(req, func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(cmd.Data)), nil })
	case name == "-":
		err = fromPipe(req, c.in)
	default:
		err = fromFile(req, name)
	}
	if err != nil {
		return fmt.Errorf("read the body: %w", err)
	}
	if req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return nil
}

func fromFile(req *http.Request, name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if info.Mode().IsRegular() {
		req.ContentLength = info.Size()
		return repeat.Set(req, func() (io.ReadCloser, error) { return os.Open(name) })
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return fromPipe(req, f)
}

func fromPipe(req *http.Request, pipe io.ReadCloser) (err error) {
	req.ContentLength, err = repeat.Buffer(req, pipe, maxKept)
	return err
}

// show prints the answer, or writes its body to the file.
func (cmd *fetchCommand) show(resp *http.Response, c console, file *wholefile.File) error {
	if c.json {
		return cmd.showJSON(resp, c, file)
	}
	if cmd.Include {
		var head strings.Builder
		fmt.Fprintf(&head, "%s %s\n", resp.Proto, resp.Status)
		_ = resp.Header.Write(&head)
		if _, err := fmt.Fprintln(c.out, visible.Lines(head.String())); err != nil {
			return fmt.Errorf("write the answer: %w", err)
		}
	}
	if file != nil {
		_, err := save(resp, file)
		return err
	}
	_, err := copyBody(c.out, resp)
	return err
}

// copyBody writes the body of an answer. Its error says whether reading or writing failed.
func copyBody(to io.Writer, resp *http.Response) (int64, error) {
	out := &sink{Writer: to}
	n, err := io.Copy(out, resp.Body)
	switch {
	case out.err != nil:
		return n, fmt.Errorf("write the answer: %w", out.err)
	case err != nil:
		return n, fmt.Errorf("read the answer: %w", err)
	}
	return n, nil
}

// A sink keeps the error of a Write that failed.
type sink struct {
	io.Writer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.Writer.Write(p)
	if err != nil {
		s.err = err
	}
	return n, err
}

// save writes the body to the file, commits the file, and returns the body's length in
// bytes.
func save(resp *http.Response, file *wholefile.File) (int64, error) {
	n, err := copyBody(file, resp)
	if err != nil {
		return 0, err
	}
	if err := file.Commit(); err != nil {
		return 0, fmt.Errorf("write the answer: %w", err)
	}
	return n, nil
}
