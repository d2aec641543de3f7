package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// A dialect describes the requests and answers of a server.
type dialect struct {
	contentType string
	signInPath  string
	refreshPath string
	// signIn returns the body of the request that signs a user in.
	signIn func(username, password string) []byte
	// before and after surround the refresh token in a request's body.
	before, after string
	// mark precedes the refresh token in an answer; a quotation mark ends the token.
	mark string
}

// A client has one session and one connection. It parses only the parts of HTTP that it
// needs, to leave most of the machine's time to the server.
type client struct {
	dialect *dialect
	conn    net.Conn
	in      *bufio.Reader

	host  string
	head  []byte // of a refresh, up to the value of Content-Length
	out   []byte // the request
	body  []byte // of the answer
	token []byte // the refresh token to use next
}

const mostBody = 64 << 10

func dial(ctx context.Context, address string, d *dialect) (*client, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect to the server: %w", err)
	}
	c := &client{dialect: d, conn: conn, in: bufio.NewReader(conn), host: address}
	c.head = c.header(d.refreshPath)
	return c, nil
}

func (c *client) header(path string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: ", path, c.host, c.dialect.contentType)
}

// signIn signs in and keeps the first refresh token.
func (c *client) signIn(username, password string) error {
	if err := c.conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	body := c.dialect.signIn(username, password)
	c.out = append(c.out[:0], c.header(c.dialect.signInPath)...)
	c.out = strconv.AppendInt(c.out, int64(len(body)), 10)
	c.out = append(c.out, "\r\n\r\n"...)
	c.out = append(c.out, body...)
	if err := c.exchange(); err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	return nil
}

// refresh presents the refresh token and keeps the next one.
func (c *client) refresh() error {
	d := c.dialect
	c.out = append(c.out[:0], c.head...)
	c.out = strconv.AppendInt(c.out, int64(len(d.before)+len(c.token)+len(d.after)), 10)
	c.out = append(c.out, "\r\n\r\n"...)
	c.out = append(c.out, d.before...)
	c.out = append(c.out, c.token...)
	c.out = append(c.out, d.after...)
	if err := c.exchange(); err != nil {
		return fmt.Errorf("refresh: %w", err)
	}
	return nil
}

// exchange sends the request and keeps the refresh token of the answer.
func (c *client) exchange() error {
	if _, err := c.conn.Write(c.out); err != nil {
		return err
	}
	status, length, err := c.readHeader()
	if err != nil {
		return err
	}
	if cap(c.body) < length {
		c.body = make([]byte, length)
	}
	c.body = c.body[:length]
	if _, err := io.ReadFull(c.in, c.body); err != nil {
		return fmt.Errorf("read an answer: %w", err)
	}
	if status != 200 {
		return fmt.Errorf("the server answered %d", status)
	}
	return c.takeToken()
}

var (
	contentLength = []byte("content-length:")
	chunked       = []byte("transfer-encoding:")
	connection    = []byte("connection:")
)

// readHeader reads the answer up to its body.
func (c *client) readHeader() (status, length int, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, 0, fmt.Errorf("read an answer: %w", err)
	}
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, 0, errors.New("the server does not speak HTTP/1.1")
	}
	if status, err = number(line[9:12]); err != nil {
		return 0, 0, fmt.Errorf("read a status: %w", err)
	}
	length = -1
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, 0, fmt.Errorf("read a header: %w", err)
		}
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case len(line) == 0 && length < 0:
			return 0, 0, fmt.Errorf("the server answered %d without a Content-Length", status)
		case len(line) == 0:
			return status, length, nil
		case hasPrefixFold(line, contentLength):
			if length, err = number(bytes.TrimSpace(line[len(contentLength):])); err != nil {
				return 0, 0, fmt.Errorf("read a Content-Length: %w", err)
			}
		case hasPrefixFold(line, chunked), hasPrefixFold(line, connection):
			return 0, 0, fmt.Errorf("the server answered %d and is done with the connection, or sends chunks", status)
		}
	}
}

func hasPrefixFold(line, prefix []byte) bool {
	return len(line) >= len(prefix) && bytes.EqualFold(line[:len(prefix)], prefix)
}

// number parses a decimal number of at most mostBody.
func number(digits []byte) (int, error) {
	n := 0
	for _, c := range digits {
		if c < '0' || c > '9' || n > mostBody {
			return 0, errors.New("it is no number, or too large")
		}
		n = 10*n + int(c-'0')
	}
	if len(digits) == 0 || n > mostBody {
		return 0, errors.New("it is no number, or too large")
	}
	return n, nil
}

// takeToken keeps the answer's refresh token. It refuses a token that JSON or a form
// would escape, and the token that the client has just presented.
func (c *client) takeToken() error {
	_, rest, found := bytes.Cut(c.body, []byte(c.dialect.mark))
	end := bytes.IndexByte(rest, '"')
	if !found || end <= 0 {
		return errors.New("the answer has no refresh token")
	}
	token := rest[:end]
	for _, b := range token {
		if !isPlain(b) {
			return errors.New("the refresh token has a character that would have to be escaped")
		}
	}
	if bytes.Equal(token, c.token) {
		return errors.New("the server did not rotate the refresh token")
	}
	c.token = append(c.token[:0], token...)
	return nil
}

func isPlain(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '-' || b == '_' || b == '.' || b == '~'
}
