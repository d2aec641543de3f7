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

// maxSignature is how long the signature of a usual key is in base64.
const maxSignature = 350

// Claims are what an access token says (RFC 9068 section 2.2).
type Claims struct {
	Subject string
	// Username is what the user likes to be called. It may be empty.
	Username  string
	SessionID rotation.SessionID
	// Scope is what the token may be used for, separated by spaces.
	Scope    string
	ClientID string
	// ExpiresAt is when the access token does. The session may well go on.
	ExpiresAt time.Time
}

// A Signer makes access tokens. Both fields are required.
type Signer struct {
	// Issuer names the authorization server: the "iss" claim.
	Issuer string
	// Audience is whom the tokens are meant for: the "aud" claim.
	Audience string
}

// writtenClaims are the claims as they are made: without the library's types, which
// cost a third of a refresh's processor time besides the signature.
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

// Sign returns an access token that is issued now and says what claims say. Its
// expiry is rounded up to the second that the claim can express. It fails for
// the zero key, and when the system has no randomness for the token's ID.
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
	text := make([]byte, 0, len(key.header)+len(payload)*4/3+maxSignature)
	text = append(append(text, key.header...), '.')
	text = base64.RawURLEncoding.AppendEncode(text, payload)
	signature, err := key.sign(text)
	if err != nil {
		return "", fmt.Errorf("sign an access token: %w", err)
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
