package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// ErrUnknownClient is returned by [Clients] for an ID that is no client's.
var ErrUnknownClient = errors.New("unknown client")

// Clients knows the OAuth 2 clients. Its method is safe for concurrent use.
type Clients interface {
	// Client returns the client with an ID, or [ErrUnknownClient]. Any other error means
	// that nobody knows: the server answers 503.
	Client(ctx context.Context, id string) (Client, error)
}

// A Client is a program that is known by a name: the "client_id" of RFC 6749 section 2.2.
type Client struct {
	ID string
	// SecretHash is [HashClientSecret] of the client's secret. A client without one is
	// public: whoever names it is taken for it.
	SecretHash [sha256.Size]byte
	// Audiences are the APIs for which the client may ask for access tokens, besides
	// Config.Audience (RFC 8707).
	Audiences []string
	// MayIntrospect is whether the client may ask about tokens: it is an API. It must have
	// a secret.
	MayIntrospect bool
}

// IsPublic reports whether the client has no secret.
func (c Client) IsPublic() bool { return c.SecretHash == [sha256.Size]byte{} }

// HashClientSecret returns what a registry keeps of a secret. The secret must be drawn at
// random, with 128 bits or more: then it cannot be guessed, and a slow hash would protect
// nothing.
func HashClientSecret(secret string) [sha256.Size]byte { return sha256.Sum256([]byte(secret)) }

// form holds the parameters of a request to an OAuth endpoint.
type form map[string]string

// maxResource is how long the URL of an API may be.
const maxResource = 2048

// readForm reads the body, which must be a form in UTF-8 in which no parameter appears
// twice (RFC 6749 section 3.2). An empty parameter counts as missing.
func readForm(w http.ResponseWriter, r *http.Request) (form, error) {
	const mediaType = "application/x-www-form-urlencoded"
	data, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != mediaType {
		return nil, invalidRequest("the Content-Type must be %s", mediaType)
	}
	values, err := url.ParseQuery(string(data))
	if err != nil {
		return nil, invalidRequest("the form is malformed")
	}
	f := form{}
	for name, each := range values {
		switch {
		case !utf8.ValidString(name) || !utf8.ValidString(each[0]) || strings.ContainsRune(each[0], 0):
			return nil, invalidRequest("the form must be UTF-8, without NUL")
		case len(each) > 1 && name == "resource":
			return nil, &problem{status: http.StatusBadRequest, Code: codeInvalidTarget, Description: "an access token is for one resource"}
		case len(each) > 1:
			return nil, invalidRequest("%.40q appears twice", name)
		case each[0] != "":
			f[name] = each[0]
		}
	}
	return f, nil
}

// required returns a parameter that must be there.
func (f form) required(name string) (string, error) {
	if f[name] == "" {
		return "", invalidRequest("%s is required", name)
	}
	return f[name], nil
}

// client authenticates the client of a request: by Basic authentication, or by the form
// (RFC 6749 section 2.3.1), but not by both. A request that names no client is that of
// the public client Config.ClientID.
func (s *Server) client(r *http.Request, f form) (Client, error) {
	id, secret, isBasic := f["client_id"], f["client_secret"], false
	if authorization := r.Header.Values("Authorization"); len(authorization) > 0 {
		if secret != "" {
			return Client{}, invalidRequest("the client authenticates itself in two ways")
		}
		name, password, ok := basicAuth(authorization)
		if !ok {
			return Client{}, s.unknownClient(true)
		}
		if id != "" && id != name {
			return Client{}, invalidRequest("client_id is not that of the Authorization header")
		}
		id, secret, isBasic = name, password, true
	}
	client, err := s.clientOf(r.Context(), id)
	switch {
	case errors.Is(err, ErrUnknownClient):
		return Client{}, s.unknownClient(isBasic)
	case err != nil:
		return Client{}, unavailable("look for a client", err)
	case client.IsPublic() && secret == "":
		return client, nil
	}
	// For a public client with a secret the comparison fails: no secret has this hash.
	if hash := HashClientSecret(secret); subtle.ConstantTimeCompare(hash[:], client.SecretHash[:]) != 1 {
		return Client{}, s.unknownClient(isBasic)
	}
	return client, nil
}

// clientOf returns the client with an ID; "" is Config.ClientID.
func (s *Server) clientOf(ctx context.Context, id string) (Client, error) {
	if id == "" || id == s.cfg.ClientID {
		return Client{ID: s.cfg.ClientID}, nil
	}
	if s.cfg.Clients == nil {
		return Client{}, ErrUnknownClient
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	client, err := s.cfg.Clients.Client(ctx, id)
	if err == nil && client.ID != id {
		return Client{}, fmt.Errorf("the registry returned another client than %.40q", id)
	}
	return client, err
}

// unknownClient is the same for a client that does not exist and for a wrong secret. The
// challenge is for a client that has tried Basic (RFC 6749 section 5.2).
func (s *Server) unknownClient(isBasic bool) *problem {
	p := &problem{status: http.StatusUnauthorized, Code: codeInvalidClient, Description: "there is no such client, or its secret is wrong"}
	if isBasic {
		p.challenge = fmt.Sprintf("Basic realm=%q", s.cfg.Issuer)
	}
	return p
}

// basicAuth returns the name and the secret of Basic authentication, each of which is
// form-encoded (RFC 6749 section 2.3.1).
func basicAuth(fields []string) (name, secret string, ok bool) {
	if len(fields) != 1 {
		return "", "", false
	}
	scheme, encoded, _ := strings.Cut(fields[0], " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return "", "", false
	}
	name, secret, ok = strings.Cut(string(text), ":")
	if !ok {
		return "", "", false
	}
	name, err = url.QueryUnescape(name)
	if err != nil {
		return "", "", false
	}
	secret, err = url.QueryUnescape(secret)
	return name, secret, err == nil && name != "" && utf8.ValidString(name) && utf8.ValidString(secret)
}
