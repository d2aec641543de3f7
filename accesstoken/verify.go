package accesstoken

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// ErrUnknownKey is wrapped by the error of [Verifier.Verify] for a token whose
// key is not in the key set even after a Reload. If Reload failed, the error of
// Verify wraps the error of Reload too, and the token may still be valid.
var ErrUnknownKey = errors.New("signed with an unknown key")

// A VerifierConfig says which access tokens a [Verifier] accepts.
type VerifierConfig struct {
	// Issuer is the required value of the "iss" claim. Required.
	Issuer string

	// Audience is a value that the "aud" claim must contain. Required.
	Audience string

	// Keys are the keys of the issuer. Required.
	Keys KeySource

	// Leeway is how far this machine's clock may be from the issuer's: a token is accepted
	// for so long after its expiry, and before its "nbf". Defaults to none.
	Leeway time.Duration

	// Now is the clock. Defaults to [time.Now].
	Now func() time.Time
}

// A Verifier checks access tokens. It is safe for concurrent use.
type Verifier struct {
	keys    KeySource
	parser  *jwt.Parser // of access tokens
	tickets *jwt.Parser
}

// NewVerifier returns a verifier, or an error that names the missing field of
// the config.
func NewVerifier(config VerifierConfig) (*Verifier, error) {
	for _, field := range []struct {
		name  string
		given bool
	}{
		{"Issuer", config.Issuer != ""},
		{"Audience", config.Audience != ""},
		{"Keys", config.Keys != nil},
	} {
		if !field.given {
			return nil, fmt.Errorf("accesstoken: VerifierConfig.%s: is required", field.name)
		}
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	parser := func(audience string) *jwt.Parser {
		return jwt.NewParser(
			jwt.WithValidMethods([]string{string(ES256), string(EdDSA), string(RS256)}),
			jwt.WithIssuer(config.Issuer),
			jwt.WithAudience(audience),
			jwt.WithExpirationRequired(),
			jwt.WithStrictDecoding(),
			jwt.WithTimeFunc(config.Now),
			jwt.WithLeeway(config.Leeway),
		)
	}
	return &Verifier{
		keys:    config.Keys,
		parser:  parser(config.Audience),
		tickets: parser(ticketAudience(config.Issuer)),
	}, nil
}

// Verify returns the claims of a valid access token, and an error for any other
// token (RFC 9068 section 4). It does not know whether the token's session has
// ended. The error wraps [ErrUnknownKey] if the key set has no key for the
// token, and [ErrExpired], [ErrAudience] or [ErrMalformed] in these cases.
func (v *Verifier) Verify(ctx context.Context, text string) (Claims, error) {
	claims, err := v.verify(ctx, v.parser, text, tokenType)
	if err != nil {
		return Claims{}, err
	}
	return claims.contents()
}

// verify returns the claims of a token of a type, and reloads the key set if the token's
// key is not in it.
func (v *Verifier) verify(ctx context.Context, parser *jwt.Parser, text, typ string) (readClaims, error) {
	keyFor := func(token *jwt.Token) (any, error) { return v.keyFor(token, typ) }
	var claims readClaims
	_, err := parser.ParseWithClaims(text, &claims, keyFor)
	if errors.Is(err, ErrUnknownKey) {
		if failed := v.keys.Reload(ctx); failed != nil {
			return readClaims{}, fmt.Errorf("%w, and reloading the key set failed: %w", err, failed)
		}
		claims = readClaims{}
		_, err = parser.ParseWithClaims(text, &claims, keyFor)
	}
	if err != nil {
		return readClaims{}, named(err)
	}
	return claims, nil
}

var (
	// ErrExpired is wrapped by the error for a token that is valid but for its expiry.
	ErrExpired = errors.New("expired")
	// ErrAudience is wrapped by the error for a token that is valid but for another API.
	ErrAudience = errors.New("for another audience")
	// ErrMalformed is wrapped by the error for what is no JWT.
	ErrMalformed = errors.New("malformed")
)

// named adds this package's name of an error of the jwt library. If a token has several
// faults, it gets no name that says that it is valid but for one.
func named(err error) error {
	isExpired, isOthers := errors.Is(err, jwt.ErrTokenExpired), errors.Is(err, jwt.ErrTokenInvalidAudience)
	hasOther := errors.Is(err, jwt.ErrTokenInvalidIssuer) || errors.Is(err, jwt.ErrTokenNotValidYet)
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed):
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	case isExpired && !isOthers && !hasOther:
		return fmt.Errorf("%w: %w", ErrExpired, err)
	case isOthers && !isExpired && !hasOther:
		return fmt.Errorf("%w: %w", ErrAudience, err)
	}
	return err
}

// keyFor returns the key that a token names. It fails if the token is of another type, or
// is not signed with the algorithm of that key.
func (v *Verifier) keyFor(token *jwt.Token, typ string) (any, error) {
	if got, _ := token.Header["typ"].(string); !isType(got, typ) {
		return nil, fmt.Errorf("the token's typ is %.40q, want %q", got, typ)
	}
	if _, critical := token.Header["crit"]; critical { // RFC 7515 section 4.1.11
		return nil, errors.New("the token has a critical header, and this verifier supports none")
	}
	id, _ := token.Header["kid"].(string)
	key, known := v.keys.KeySet().byID[id]
	if !known {
		return nil, ErrUnknownKey
	}
	if token.Method.Alg() != key.method.Alg() {
		return nil, errors.New("signed with an algorithm that is not its key's")
	}
	if token.Method == jwt.SigningMethodES256 && !isLowS(token.Signature) {
		return nil, errors.New("the signature is not the one with the lower s")
	}
	return key.key, nil
}

// isType reports whether the "typ" of a token is the one that is wanted. Media types
// ignore case, and the "application/" is optional (RFC 9068 section 4).
func isType(got, want string) bool {
	return strings.EqualFold(got, want) || strings.EqualFold(got, "application/"+want)
}
