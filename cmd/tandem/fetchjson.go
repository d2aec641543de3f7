package main

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/tandem-auth/tandem/internal/wholefile"
)

// A fetchAnswer is what --json prints of an answer. At most one of Body, Text, Base64 and
// File is set.
type fetchAnswer struct {
	Status  int         `json:"status"`
	URL     string      `json:"url"` // after redirects
	Headers http.Header `json:"headers"`
	// Body is the body of an answer in JSON.
	Body json.RawMessage `json:"body,omitempty"`
	// Text is any other body in UTF-8, and Base64 a body that is not UTF-8.
	Text   *string `json:"text,omitempty"`
	Base64 []byte  `json:"base64,omitempty"`
	// File is where --output wrote the body. Bytes is the length of the body in all cases.
	File  string `json:"file,omitempty"`
	Bytes int64  `json:"bytes"`
}

// maxPrinted, in bytes, is the largest body that --json prints.
const maxPrinted = 32 << 20

func (cmd *fetchCommand) showJSON(resp *http.Response, c console, file *wholefile.File) error {
	answer := fetchAnswer{Status: resp.StatusCode, URL: resp.Request.URL.Redacted(), Headers: resp.Header}
	if file != nil {
		n, err := save(resp, file)
		if err != nil {
			return err
		}
		answer.File, answer.Bytes = cmd.Output, n
		return printJSON(c.out, answer)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPrinted+1))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if len(body) > maxPrinted {
		return fmt.Errorf("the answer is longer than %d MiB, which is too much for --json: write it to a file with --output", maxPrinted>>20)
	}
	answer.Bytes = int64(len(body))
	switch {
	case len(body) == 0:
	case saysJSON(resp) && json.Valid(body):
		answer.Body = body
	case utf8.Valid(body):
		text := string(body)
		answer.Text = &text
	default:
		answer.Base64 = body
	}
	return printJSON(c.out, answer)
}

// saysJSON reports whether an answer is in JSON or in a format on top of it (RFC 6839).
func saysJSON(resp *http.Response) bool {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json"))
}
