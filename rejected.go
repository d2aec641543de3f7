package tandem

import (
	"bytes"
	"io"
	"net/http"
)

// maxPeek is how much of an answer's body Config.Rejected gets to see.
const maxPeek = 64 << 10

// rejected reports whether an answer refuses the access token.
func (s *Session) rejected(resp *http.Response) bool {
	if resp.StatusCode == http.StatusUnauthorized {
		return true
	}
	if s.config.Rejected == nil || resp.StatusCode == http.StatusSwitchingProtocols {
		return false
	}
	body := resp.Body
	peek := &peekedBody{from: io.LimitReader(body, maxPeek)}
	resp.Body = peek
	verdict := s.config.Rejected(resp)
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(&peek.seen, body), body}
	return verdict
}

// A peekedBody remembers what was read of it. Closing it does nothing.
type peekedBody struct {
	from io.Reader
	seen bytes.Buffer
}

func (p *peekedBody) Read(b []byte) (int, error) {
	n, err := p.from.Read(b)
	p.seen.Write(b[:n])
	return n, err
}

func (p *peekedBody) Close() error { return nil }
