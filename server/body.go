package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tandem-auth/tandem/rotation"
)

const (
	maxBody = 64 << 10

	// bodyTimeout bounds the time that a client may take to send its body, even if
	// the program's http.Server has no timeouts.
	bodyTimeout = 10 * time.Second
)

// boundBody limits the size of the request's body and the time that it may take to
// arrive, even if no handler reads it.
func boundBody(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	setReadDeadline(w, time.Now().Add(bodyTimeout))
}

// setReadDeadline sets the connection's read deadline. It does nothing if the program
// has wrapped the response writer in one without deadlines; then the program's own
// limits apply.
func setReadDeadline(w http.ResponseWriter, at time.Time) {
	_ = http.NewResponseController(w).SetReadDeadline(at)
}

// readBody returns the raw body, which may be empty.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	data := bytes.NewBuffer(make([]byte, 0, max(bytes.MinRead, min(r.ContentLength+bytes.MinRead, maxBody))))
	_, err := data.ReadFrom(r.Body)
	if err == nil {
		setReadDeadline(w, time.Time{})
		return data.Bytes(), nil
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &problem{
			status:      http.StatusRequestEntityTooLarge,
			Code:        codeTooLarge,
			Description: "the body must not be longer than 64 KiB",
			close:       true,
		}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &problem{
			status:      http.StatusRequestTimeout,
			Code:        codeTimeout,
			Description: "the body took too long to arrive",
			close:       true,
		}
	}
	return nil, invalidRequest("the body did not arrive in full")
}

// fields are the members of a JSON object.
type fields map[string]json.RawMessage

// readFields reads the body, which must be a JSON object.
func readFields(w http.ResponseWriter, r *http.Request) (fields, error) {
	data, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	return parseBody(r, data)
}

func parseBody(r *http.Request, data []byte) (fields, error) {
	if len(data) == 0 {
		return nil, invalidRequest("the body must be a JSON object; it is empty")
	}
	return parseFields(r.Header.Get("Content-Type"), data)
}

func parseFields(contentType string, data []byte) (fields, error) {
	if !isJSON(contentType) {
		return nil, notJSON()
	}
	if !utf8.Valid(data) {
		return nil, invalidRequest("the body must be UTF-8")
	}
	var f fields
	var wrongType *json.UnmarshalTypeError
	if err := json.Unmarshal(data, &f); err != nil && !errors.As(err, &wrongType) {
		return nil, invalidRequest("the body must be JSON; it is malformed")
	}
	if f == nil {
		return nil, invalidRequest("the body must be a JSON object")
	}
	return f, nil
}

func notJSON() *problem {
	return &problem{
		status:      http.StatusUnsupportedMediaType,
		Code:        codeMediaType,
		Description: "the Content-Type must be application/json",
	}
}

func isJSON(contentType string) bool {
	const mediaType = "application/json"
	if contentType == mediaType {
		return true
	}
	got, _, err := mime.ParseMediaType(contentType)
	return err == nil && got == mediaType
}

// onlyField returns the value of a field that is alone in its body, without parsing JSON.
// It succeeds if the body has no white space, as JSON.stringify writes it, and the value
// consists of letters, digits, - and _. This is a fast path for the most frequent body;
// the caller parses every other one with parseBody.
func onlyField(data []byte, name string) (string, bool) {
	value, ok := strings.CutPrefix(string(data), `{"`+name+`":"`)
	if !ok {
		return "", false
	}
	value, ok = strings.CutSuffix(value, `"}`)
	for _, c := range []byte(value) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_')
	}
	return value, ok && value != ""
}

// text returns a required field of at most limit bytes.
func (f fields) text(name string, limit int) (string, error) {
	value, err := f.optionalText(name)
	switch {
	case err != nil:
		return "", err
	case value == "":
		return "", invalidRequest("%s is required", name)
	case len(value) > limit:
		return "", invalidRequest("%s must not be longer than %d bytes", name, limit)
	}
	return value, nil
}

// optionalText returns a field, or "" if it is missing or null.
func (f fields) optionalText(name string) (string, error) {
	raw, there := f[name]
	if !there {
		return "", nil
	}
	var value string
	if err := json.Unmarshal(raw, &value); err != nil {
		return "", invalidRequest("%s must be a string", name)
	}
	return value, nil
}

// A cookieBody is the body of a refresh or a sign-out in cookie mode.
type cookieBody struct {
	// session is the session that the client knows, or zero.
	session      rotation.SessionID
	refreshToken string
}

// readCookieBody reads a body in cookie mode, which may be empty.
func readCookieBody(w http.ResponseWriter, r *http.Request) (cookieBody, error) {
	data, err := readBody(w, r)
	if err != nil || len(data) == 0 {
		return cookieBody{}, err
	}
	body, err := parseBody(r, data)
	if err != nil {
		return cookieBody{}, err
	}
	id, err := body.optionalText("sessionId")
	if err != nil {
		return cookieBody{}, err
	}
	token, err := body.optionalText("refreshToken")
	if err != nil || id == "" {
		return cookieBody{refreshToken: token}, err
	}
	session, err := rotation.ParseSessionID(id)
	if err != nil {
		return cookieBody{}, invalidRequest("sessionId is not the ID of a session")
	}
	return cookieBody{session: session, refreshToken: token}, nil
}
