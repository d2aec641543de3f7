package accesstoken

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tandem-auth/tandem/rotation"
)

// readClaims are the claims of a token that is being verified. They implement
// [jwt.Claims].
type readClaims struct {
	Issuer    string           `json:"iss"`
	Subject   string           `json:"sub"`
	Audience  jwt.ClaimStrings `json:"aud"`
	ExpiresAt *date            `json:"exp"`
	NotBefore *date            `json:"nbf"`
	IssuedAt  *date            `json:"iat"`
	SessionID string           `json:"sid"`
	ClientID  string           `json:"client_id"`
	Scope     string           `json:"scope"`
	Username  string           `json:"preferred_username"`

	// Of a ticket only.
	ID              string `json:"jti"`
	AccessExpiresAt *date  `json:"access_exp"`
}

// claimNames are the JSON names of the fields of readClaims.
var claimNames = [][]byte{
	[]byte("iss"), []byte("sub"), []byte("aud"), []byte("exp"), []byte("nbf"), []byte("iat"),
	[]byte("sid"), []byte("client_id"), []byte("scope"), []byte("preferred_username"),
	[]byte("jti"), []byte("access_exp"),
}

// UnmarshalJSON refuses ambiguous claims. encoding/json would accept "SUB" as "sub", and
// the last of two claims of the same name (RFC 8725 section 2.1, RFC 7519 section 4).
func (c *readClaims) UnmarshalJSON(text []byte) error {
	seen := make([]bool, len(claimNames))
	for name := range memberNames(text) {
		if bytes.IndexByte(name, '\\') >= 0 {
			return errors.New("a claim's name is written with escapes")
		}
		for i, claim := range claimNames {
			if len(name) != len(claim) && isASCII(name) || !bytes.EqualFold(name, claim) {
				continue
			}
			if string(name) != string(claim) || seen[i] {
				return fmt.Errorf("the claim %s appears twice or in another letter case", claim)
			}
			seen[i] = true
		}
	}
	type plain readClaims
	return json.Unmarshal(text, (*plain)(c))
}

// isASCII reports whether a text has no letter that folds into one of another length.
func isASCII(text []byte) bool {
	for _, c := range text {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// contents returns the claims of an access token, or those that a ticket has of one.
func (c *readClaims) contents() (Claims, error) {
	session, err := rotation.ParseSessionID(c.SessionID)
	if err != nil {
		return Claims{}, fmt.Errorf("sid claim: %w", err)
	}
	if c.Subject == "" {
		return Claims{}, errors.New("no sub claim")
	}
	var issuedAt time.Time
	if c.IssuedAt != nil {
		issuedAt = c.IssuedAt.Time
	}
	return Claims{
		IssuedAt:  issuedAt,
		Subject:   c.Subject,
		Username:  c.Username,
		SessionID: session,
		Scope:     c.Scope,
		ClientID:  c.ClientID,
		ExpiresAt: c.ExpiresAt.Time,
	}, nil
}

// memberNames yields the names of the members of a valid JSON object, with their escape
// sequences undecoded.
func memberNames(text []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		depth := 0
		isName := false
		for i := 0; i < len(text); i++ {
			switch text[i] {
			case '{', '[':
				depth++
				isName = depth == 1
			case '}', ']':
				depth--
			case ',':
				isName = depth == 1
			case '"':
				begin := i + 1
				for i++; i < len(text) && text[i] != '"'; i++ {
					if text[i] == '\\' {
						i++
					}
				}
				if isName && !yield(text[begin:min(i, len(text))]) {
					return
				}
				isName = false
			}
		}
	}
}

// A date is a NumericDate (RFC 7519 section 2) between the years 1970 and 9999.
type date struct{ jwt.NumericDate }

// lastDate is the last second of the year 9999. [time.Time] has no JSON form for later
// times.
const lastDate = 253402300799

// UnmarshalJSON accepts a number only. The jwt library would also accept a number in
// quotes.
func (d *date) UnmarshalJSON(text []byte) error {
	seconds, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(seconds >= 0 && seconds <= lastDate) {
		return errors.New("a date is not a number of seconds")
	}
	whole := int64(seconds)
	d.Time = time.Unix(whole, int64((seconds-float64(whole))*float64(time.Second)))
	return nil
}

func (d *date) numeric() (*jwt.NumericDate, error) {
	if d == nil {
		return nil, nil
	}
	return &d.NumericDate, nil
}

func (c *readClaims) GetExpirationTime() (*jwt.NumericDate, error) { return c.ExpiresAt.numeric() }
func (c *readClaims) GetNotBefore() (*jwt.NumericDate, error)      { return c.NotBefore.numeric() }
func (c *readClaims) GetIssuedAt() (*jwt.NumericDate, error)       { return c.IssuedAt.numeric() }
func (c *readClaims) GetAudience() (jwt.ClaimStrings, error)       { return c.Audience, nil }
func (c *readClaims) GetIssuer() (string, error)                   { return c.Issuer, nil }
func (c *readClaims) GetSubject() (string, error)                  { return c.Subject, nil }
