package accesstoken

import (
	"errors"
	"strings"
)

var (
	// ErrNoBearer is returned by [ParseBearer] if the request has no bearer token.
	ErrNoBearer = errors.New("no bearer token")
	// ErrBadBearer is returned by [ParseBearer] for what is no token.
	ErrBadBearer = errors.New("malformed bearer token")
)

// ParseBearer returns the token of a request's Authorization header fields (RFC 6750
// section 2.1). It returns ErrNoBearer if there is no field or the scheme is another one,
// and ErrBadBearer if there are several fields or the token's syntax is wrong.
func ParseBearer(fields []string) (string, error) {
	if len(fields) > 1 {
		return "", ErrBadBearer
	}
	if len(fields) == 0 {
		return "", ErrNoBearer
	}
	scheme, token, _ := strings.Cut(strings.TrimLeft(fields[0], " \t"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", ErrNoBearer
	}
	token = strings.Trim(token, " \t")
	if !isToken68(token) {
		return "", ErrBadBearer
	}
	return token, nil
}

// isToken68 reports whether s has the syntax of RFC 9110 section 11.2.
func isToken68(s string) bool {
	s = strings.TrimRight(s, "=")
	if s == "" {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("-._~+/", c) >= 0:
		default:
			return false
		}
	}
	return true
}
