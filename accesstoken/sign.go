package accesstoken

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tandem-auth/tandem/rotation"
)

// tokenType is the "typ" header of an access token (RFC 9068 section 2.1).
const tokenType = "at+jwt"

// maxSignature is the length in base64 of the longest common signature, RSA with 2048
// bits. Sign allocates for it.
const maxSignature = 350

// Claims are the contents of an access token (RFC 9068 section 2.2).
type Claims struct {
	Subject string
	// Username is the name to show for the user. It may be empty.
	Username  string
	SessionID rotation.SessionID
	// Scope lists what the token may be used for, separated by spaces.
	Scope    string
	ClientID string
	// ExpiresAt is when the access token expires. Its session may last longer.
	ExpiresAt time.Time
	// IssuedAt is when the access token was issued, in whole seconds, or the zero time. Sign
	// does not look at it.
	IssuedAt time.Time
}

// A Signer makes access tokens. Both fields are required.
type Signer struct {
	// Issuer names the authorization server: the "iss" claim.
	Issuer string
	// Audience names the API that the tokens are for: the "aud" claim.
	Audience string
}

// writtenClaims are the claims of a token that is being signed. They don't use the jwt
// library's types: those take a third of a refresh's processor time, signature excluded.
type writtenClaims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  []string `json:"aud"`
	ExpiresAt int64    `json:"exp"`
	IssuedAt  int64    `json:"iat"`
	ID        string   `json:"jti"`
	SessionID string   `json:"sid"`
	ClientID  string   `json:"client_id"`
	Scope     string   `json:"scope,omitempty"`
	Username  string   `json:"preferred_username,omitempty"`
}

// Sign returns an access token with these claims, issued at the time now. It
// rounds the expiry up to a whole second, the precision of the claim. It fails
// for the zero key, and if the system returns no random bytes for the token's
// ID.
func (s Signer) Sign(key SigningKey, claims Claims, now time.Time) (string, error) {
	if key.IsZero() {
		return "", errZeroKey
	}
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", fmt.Errorf("draw a token ID: %w", err)
	}
	payload, err := json.Marshal(writtenClaims{
		Issuer:    s.Issuer,
		Subject:   claims.Subject,
		Audience:  []string{s.Audience},
		ExpiresAt: ceilSecond(claims.ExpiresAt).Unix(),
		IssuedAt:  now.Unix(),
		ID:        encode(id[:]),
		SessionID: claims.SessionID.String(),
		ClientID:  claims.ClientID,
		Scope:     claims.Scope,
		Username:  claims.Username,
	})
	if err != nil {
		return "", fmt.Errorf("marshal an access token: %w", err)
	}
	return key.compact(key.header, payload)
}

// compact returns a signed JWT in its compact form (RFC 7515 section 7.1).
func (k SigningKey) compact(header string, payload []byte) (string, error) {
	text := make([]byte, 0, len(header)+len(payload)*4/3+maxSignature)
	text = append(append(text, header...), '.')
	text = base64.RawURLEncoding.AppendEncode(text, payload)
	signature, err := k.sign(text)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	text = append(text, '.')
	return string(base64.RawURLEncoding.AppendEncode(text, signature)), nil
}

func ceilSecond(t time.Time) time.Time {
	if whole := t.Truncate(time.Second); !whole.Equal(t) {
		return whole.Add(time.Second)
	}
	return t
}
