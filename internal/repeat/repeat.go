// Package repeat makes the body of a request one that can be sent again.
package repeat

import (
	"bytes"
	"errors"
	"io"
	"net/http"
)

// Set gives a request a body that open returns anew each time.
func Set(req *http.Request, open func() (io.ReadCloser, error)) (err error) {
	req.GetBody = open
	req.Body, err = open()
	return err
}

// Buffer reads a body of at most limit bytes into memory and makes it the request's, to be
// sent as often as need be: it returns the length, and closes body. A longer one becomes
// the request's as it is, to be sent once: the length is then -1.
func Buffer(req *http.Request, body io.ReadCloser, limit int64) (length int64, err error) {
	start, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return 0, errors.Join(err, body.Close())
	}
	if int64(len(start)) > limit {
		req.GetBody = nil
		req.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(start), body), body}
		return -1, nil
	}
	if err := body.Close(); err != nil {
		return 0, err
	}
	return int64(len(start)), Set(req, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(start)), nil })
}
