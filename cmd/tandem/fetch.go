package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"strings"
)

type fetchCommand struct {
	Method string `arg:"" help:"GET, POST, …"`
	Target string `arg:"" name:"path" help:"A path on the server, or a URL. The access token goes to the server and to the origins that were named at login, and nowhere else."`

	Data    string   `short:"d" env:"-" placeholder:"TEXT|@FILE" help:"The body; @FILE is a file's, @- is standard input's. A body that can be read only once is not sent again if the token is refused; one of a file is."`
	Headers []string `short:"H" name:"header" env:"-" sep:"none" placeholder:"NAME: VALUE" help:"Header of the request; repeatable. A body is application/json unless it says otherwise."`
	Output  string   `short:"o" env:"-" placeholder:"FILE" help:"Write the body of the answer to a file; it is there whole or not at all."`
	Include bool     `short:"i" env:"-" help:"Print status and headers of the answer, too."`

	profileFlags `embed:""`
}

// Run makes a request in the name of who is signed in. An answer of 400 or above
// is printed, and fails.
func (cmd *fetchCommand) Run(ctx context.Context, c console) error {
	return cmd.with(ctx, func(s *signedIn) error {
		req, err := cmd.request(ctx, s, c)
		if err != nil {
			return err
		}
		resp, err := s.Client().Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if err := cmd.print(resp, c); err != nil {
			return err
		}
		if resp.StatusCode >= http.StatusBadRequest {
			return statusError{resp.StatusCode}
		}
		return nil
	})
}

func (cmd *fetchCommand) request(ctx context.Context, s *signedIn, c console) (*http.Request, error) {
	url := cmd.Target
	if !strings.Contains(url, "://") {
		url = s.profile.URL + "/" + strings.TrimPrefix(url, "/")
	}
	req, err := http.NewRequestWithContext(ctx, strings.ToUpper(cmd.Method), url, http.NoBody)
	if err != nil {
		return nil, err
	}
	if err := cmd.setBody(req, c); err != nil {
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
	return req, nil
}

func (cmd *fetchCommand) setBody(req *http.Request, c console) error {
	name, isFile := strings.CutPrefix(cmd.Data, "@")
	switch {
	case cmd.Data == "":
		return nil
	case isFile && name == "-":
		req.Body, req.ContentLength = io.NopCloser(c.in), -1
	case isFile:
		info, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("read the body: %w", err)
		}
		req.GetBody = func() (io.ReadCloser, error) { return os.Open(name) }
		if req.Body, err = req.GetBody(); err != nil {
			return fmt.Errorf("read the body: %w", err)
		}
		req.ContentLength = info.Size()
	default:
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(cmd.Data)), nil }
		req.Body, _ = req.GetBody()
		req.ContentLength = int64(len(cmd.Data))
	}
	req.Header.Set("Content-Type", "application/json")
	for _, header := range cmd.Headers {
		if name, _, _ := strings.Cut(header, ":"); strings.EqualFold(strings.TrimSpace(name), "Content-Type") {
			req.Header.Del("Content-Type")
		}
	}
	return nil
}

func (cmd *fetchCommand) print(resp *http.Response, c console) (err error) {
	if cmd.Include {
		fmt.Fprintf(c.out, "%s %s\n", resp.Proto, resp.Status)
		if err := resp.Header.Write(c.out); err != nil {
			return err
		}
		fmt.Fprintln(c.out)
	}
	if cmd.Output == "" {
		_, err := io.Copy(c.out, resp.Body)
		return err
	}
	whole := cmd.Output + ".part"
	f, err := os.Create(whole)
	if err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	if _, err := io.Copy(f, resp.Body); err != nil {
		return errors.Join(fmt.Errorf("read the answer: %w", err), f.Close(), os.Remove(whole))
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return os.Rename(whole, cmd.Output)
}
