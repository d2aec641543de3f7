package accesstoken_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tandem-auth/tandem/accesstoken"
)

const ticketTTL = 30 * time.Second

func signTicket(t testing.TB, key accesstoken.SigningKey) string {
	t.Helper()
	text, err := signer.SignTicket(key, alice(), now.Add(ticketTTL), now)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestAVerifierReadsATicket(t *testing.T) {
	for _, alg := range algorithms {
		t.Run(string(alg), func(t *testing.T) {
			key := generate(t, alg)
			v := verifier(t, &source{set: keySet(t, key)}, now)
			got, err := v.VerifyTicket(t.Context(), signTicket(t, key))
			if err != nil {
				t.Fatal(err)
			}
			want := alice()
			want.ExpiresAt, got.Access.ExpiresAt = want.ExpiresAt.Truncate(time.Second).UTC(), got.Access.ExpiresAt.UTC()
			got.Access.IssuedAt = time.Time{} // that of the ticket
			if got.Access != want {
				t.Errorf("access %+v, want %+v", got.Access, want)
			}
			if end := now.Add(ticketTTL); got.ExpiresAt.Before(end) || got.ExpiresAt.After(end.Add(time.Second)) {
				t.Errorf("expires at %v, want %v, rounded up", got.ExpiresAt, end)
			}
			again, err := v.VerifyTicket(t.Context(), signTicket(t, key))
			if err != nil || again.ID == got.ID || len(got.ID) < 22 {
				t.Errorf("the next ticket: ID %q after %q, %v", again.ID, got.ID, err)
			}
		})
	}
}

// A ticket is no access token, not even for an API that does not look at the type of a
// token, and the other way round.
func TestATicketIsNoAccessToken(t *testing.T) {
	key := generate(t, accesstoken.ES256)
	keys := &source{set: keySet(t, key)}
	v := verifier(t, keys, now)
	ticket, access := signTicket(t, key), sign(t, key, alice())
	if claims, err := v.Verify(t.Context(), ticket); err == nil {
		t.Errorf("the ticket passed as the access token %+v", claims)
	}
	if ticket, err := v.VerifyTicket(t.Context(), access); err == nil {
		t.Errorf("the access token passed as the ticket %+v", ticket)
	}
	for _, aud := range []string{audience, issuer} {
		_, err := jwt.Parse(ticket, func(token *jwt.Token) (any, error) {
			return readKeySet(t, keys.set.JSON())[token.Header["kid"].(string)], nil
		}, jwt.WithAudience(aud), jwt.WithTimeFunc(func() time.Time { return now }))
		if !errors.Is(err, jwt.ErrTokenInvalidAudience) {
			t.Errorf("an API with the audience %s: %v", aud, err)
		}
	}
}

func TestTicketsThatAreRefused(t *testing.T) {
	key, stranger := generate(t, accesstoken.ES256), generate(t, accesstoken.ES256)
	keys := &source{set: keySet(t, key)}
	good := signTicket(t, key)
	parts := strings.Split(good, ".")
	elsewhere, err := accesstoken.Signer{Issuer: "https://other.example.com", Audience: audience}.SignTicket(key, alice(), now.Add(ticketTTL), now)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, ticket string
		at           time.Time
		want         error
	}{
		{"expired", good, now.Add(ticketTTL + time.Second), accesstoken.ErrExpired},
		{"expired and of a stranger", signTicket(t, stranger), now.Add(time.Hour), accesstoken.ErrUnknownKey},
		{"of a stranger", signTicket(t, stranger), now, accesstoken.ErrUnknownKey},
		{"of another issuer", elsewhere, now, nil},
		{"without its signature", parts[0] + "." + parts[1] + ".", now, nil},
		{"with another's claims", parts[0] + "." + strings.Split(signTicket(t, key), ".")[1] + "." + parts[2], now, nil},
		{"nothing", "", now, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := verifier(t, keys, c.at).VerifyTicket(t.Context(), c.ticket)
			if err == nil {
				t.Fatalf("it passed as %+v", got)
			}
			for _, known := range []error{accesstoken.ErrExpired, accesstoken.ErrUnknownKey} {
				if errors.Is(err, known) != (c.want != nil && errors.Is(c.want, known)) {
					t.Errorf("got %v, want %v", err, c.want)
				}
			}
		})
	}
	if _, err := signer.SignTicket(accesstoken.SigningKey{}, alice(), now, now); err == nil {
		t.Error("the zero key signed")
	}
}

// A verifier returns an error for every text that is not a ticket signed by its key.
func FuzzVerifyTicket(f *testing.F) {
	key := generate(f, accesstoken.EdDSA)
	good := signTicket(f, key)
	v := verifier(f, &source{set: keySet(f, key)}, now)
	parts := strings.Split(good, ".")
	for _, s := range []string{good, "", "..", good + ".", good + "=", parts[0] + "." + parts[1] + ".", sign(f, key, alice())} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if ticket, err := v.VerifyTicket(t.Context(), text); err == nil && text != good {
			t.Errorf("%q passed as %+v", text, ticket)
		}
	})
}
