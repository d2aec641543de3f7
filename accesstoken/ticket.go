package accesstoken

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ticketType is the "typ" header of a ticket (RFC 8725 section 3.11).
const ticketType = "tandem-ticket+jwt"

// A Ticket stands for one request that cannot carry an access token in its header: of a
// WebSocket, an iframe or a download. It is a JWT of a type and an audience of its own, so
// that nobody takes it for an access token.
type Ticket struct {
	// ID is a random string; whoever redeems the ticket remembers it, because a ticket
	// may be used only once.
	ID string
	// Access are the claims of the access token that the ticket was made with.
	Access Claims
	// ExpiresAt is when the ticket expires.
	ExpiresAt time.Time
}

// ticketClaims are the claims of a ticket that is being signed.
type ticketClaims struct {
	writtenClaims
	AccessExpiresAt int64 `json:"access_exp"`
}

// ticketAudience is the "aud" claim of tickets: the issuer redeems them itself.
func ticketAudience(issuer string) string { return issuer + "#ticket" }

// SignTicket returns a ticket for an access token with these claims, issued at the time
// now and good until expiresAt, rounded up to a whole second. It fails as Sign does.
func (s Signer) SignTicket(key SigningKey, access Claims, expiresAt, now time.Time) (string, error) {
	if key.IsZero() {
		return "", errZeroKey
	}
	payload, err := json.Marshal(ticketClaims{
		writtenClaims: writtenClaims{
			Issuer:    s.Issuer,
			Subject:   access.Subject,
			Audience:  []string{ticketAudience(s.Issuer)},
			ExpiresAt: ceilSecond(expiresAt).Unix(),
			IssuedAt:  now.Unix(),
			ID:        rand.Text(), // 130 random bits
			SessionID: access.SessionID.String(),
			ClientID:  access.ClientID,
			Scope:     access.Scope,
			Username:  access.Username,
		},
		AccessExpiresAt: access.ExpiresAt.Unix(),
	})
	if err != nil {
		return "", fmt.Errorf("marshal a ticket: %w", err)
	}
	return key.compact(key.public.header(ticketType), payload)
}

// VerifyTicket returns the contents of a valid ticket of the verifier's issuer, and an
// error for anything else, such as an access token. It knows neither whether the ticket's
// session has ended nor whether the ticket has been used. The error wraps [ErrExpired] or
// [ErrUnknownKey] in these cases.
func (v *Verifier) VerifyTicket(ctx context.Context, text string) (Ticket, error) {
	claims, err := v.verify(ctx, v.tickets, text, ticketType)
	if err != nil {
		return Ticket{}, fmt.Errorf("ticket: %w", err)
	}
	if claims.ID == "" || claims.AccessExpiresAt == nil {
		return Ticket{}, errors.New("no jti or access_exp claim")
	}
	access, err := claims.contents()
	if err != nil {
		return Ticket{}, err
	}
	ticket := Ticket{ID: claims.ID, Access: access, ExpiresAt: access.ExpiresAt}
	ticket.Access.ExpiresAt = claims.AccessExpiresAt.Time
	return ticket, nil
}
