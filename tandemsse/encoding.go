package tandemsse

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"strings"
)

// encodingOf returns the content encoding of an answer (RFC 9110 section 8.4) in lower
// case; empty if there is none.
func encodingOf(resp *http.Response) string {
	encoding := strings.ToLower(strings.TrimSpace(strings.Join(resp.Header.Values("Content-Encoding"), ", ")))
	if encoding == "identity" {
		return ""
	}
	return encoding
}

func canDecode(encoding string) bool {
	switch encoding {
	case "", "gzip", "x-gzip", "deflate":
		return true
	}
	return false
}

// decode returns a reader that decodes r, for an encoding that canDecode accepts. The
// reader returns each byte as soon as the server has flushed it.
func decode(r io.Reader, encoding string) io.Reader {
	switch encoding {
	case "gzip", "x-gzip":
		return &gunzip{from: bufio.NewReader(r)}
	case "deflate":
		return &inflate{from: bufio.NewReader(r)}
	}
	return r
}

// A gunzip reader decodes gzip (RFC 1952). A server may put each flush into a gzip
// member of its own, so the reader returns the content of one member before it waits
// for the next.
type gunzip struct {
	from   *bufio.Reader
	member *gzip.Reader
	ended  bool // the reader has read the member to its end
}

// Read reads what is there, or waits for it.
func (g *gunzip) Read(p []byte) (int, error) {
	for {
		if err := g.begin(); err != nil {
			return 0, err
		}
		n, err := g.member.Read(p)
		if errors.Is(err, io.EOF) {
			g.ended, err = true, nil
		}
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
	}
}

// begin opens the next member, unless the reader is within one.
func (g *gunzip) begin() (err error) {
	switch {
	case g.member == nil:
		g.member, err = gzip.NewReader(g.from)
	case g.ended:
		err = g.member.Reset(g.from)
		g.ended = false
	default:
		return nil
	}
	if err == nil {
		g.member.Multistream(false)
	}
	return err
}

// An inflate reader decodes the encoding "deflate": the zlib format (RFC 1950), or what
// many servers send instead of it, a bare DEFLATE stream (RFC 1951).
type inflate struct {
	from    *bufio.Reader
	decoder io.Reader
}

// Read reads what is there, or waits for it.
func (i *inflate) Read(p []byte) (int, error) {
	if i.decoder == nil {
		header, err := i.from.Peek(2)
		if err != nil {
			return 0, err
		}
		// RFC 1950 section 2.2: method 8, and a multiple of 31 in all.
		if header[0]&0x0f == 8 && (int(header[0])<<8|int(header[1]))%31 == 0 {
			if i.decoder, err = zlib.NewReader(i.from); err != nil {
				i.decoder = nil
				return 0, err
			}
		} else {
			i.decoder = flate.NewReader(i.from)
		}
	}
	return i.decoder.Read(p)
}
