package server

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tandem-auth/tandem/accesstoken"
)

const (
	ticketTTL = 30 * time.Second
	// ticketMemory is how long the store remembers a ticket beyond its expiry: the clocks
	// of servers that share a store may differ.
	ticketMemory = 5 * time.Minute

	ticketParameter = "ticket"
)

type ticketAnswer struct {
	Ticket    string `json:"ticket"`
	ExpiresIn int64  `json:"expiresIn"`
}

// issueTicket answers with a ticket for the access token.
func (s *Server) issueTicket(w http.ResponseWriter, r *http.Request) error {
	if s.once == nil {
		return notFound("this server gives no tickets: its store cannot keep them (server.OnceStore)")
	}
	access, err := s.authorize(r)
	if err != nil {
		return err
	}
	now := s.now()
	lifetime := min(ticketTTL, access.ExpiresAt.Sub(now))
	ticket, err := s.signer.SignTicket(s.cfg.Keys.KeySet().signing, access, now.Add(lifetime), now)
	if err != nil {
		return err
	}
	s.respond(w, r, http.StatusOK, ticketAnswer{Ticket: ticket, ExpiresIn: int64(lifetime / time.Second)})
	return nil
}

// RequireSessionOrTicket guards a handler like [Server.RequireSession], and also passes a
// request on whose query has a ticket that nobody has used yet (?ticket=…). It is for
// addresses that a browser opens without an Authorization header: of WebSockets, iframes
// and downloads. A page gets a ticket with POST /auth/ticket. A ticket is good for one
// request, of any method and to any handler that is guarded this way, within 30 seconds,
// and while its session lives.
//
// The handler sees the request without the ticket, in neither URL nor RequestURI.
// [FromContext] returns the contents of the access token with which the page got the
// ticket. Answers have "Cache-Control: private" (RFC 6750 section 2.3) and
// "Referrer-Policy: no-referrer", unless the handler sets others.
//
// The guard needs a [Store] that is a [OnceStore]; without one it answers 500 to every
// ticket.
func (s *Server) RequireSessionOrTicket(next http.Handler) http.Handler {
	session := s.RequireSession(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tickets, query := cutTickets(r.URL.RawQuery)
		if len(tickets) == 0 {
			session.ServeHTTP(w, r)
			return
		}
		access, err := s.redeem(r.Context(), tickets)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		w.Header().Set("Cache-Control", "private")
		w.Header().Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, withQuery(r.WithContext(context.WithValue(r.Context(), accessKey{}, access)), query))
	})
}

// redeem uses up the ticket of a request, and returns the contents of its access token.
func (s *Server) redeem(ctx context.Context, tickets []string) (Access, error) {
	if s.once == nil {
		return Access{}, errors.New("the store cannot keep tickets: it is no server.OnceStore")
	}
	if len(tickets) > 1 {
		return Access{}, s.badTicket("the address has more than one ticket")
	}
	ticket, err := s.verifier.VerifyTicket(ctx, tickets[0])
	if p, ok := errors.AsType[*problem](err); ok {
		return Access{}, p
	}
	switch {
	case errors.Is(err, accesstoken.ErrExpired):
		return Access{}, s.badTicket("the ticket has expired; a ticket is good for 30 seconds")
	case err != nil:
		return Access{}, s.badTicket("this is not a ticket of this server")
	}
	if err := s.checkSession(ctx, ticket.Access); err != nil {
		return Access{}, err
	}
	fresh, err := s.once.PutOnce(ctx, "ticket:"+ticket.ID, ticket.ExpiresAt.Add(ticketMemory))
	switch {
	case err != nil:
		return Access{}, unavailable("use a ticket", err)
	case !fresh:
		return Access{}, s.badTicket("the ticket has been used already; a ticket is good for one request")
	}
	return ticket.Access, nil
}

func (s *Server) badTicket(description string) *problem {
	return &problem{
		status:      http.StatusUnauthorized,
		Code:        codeInvalidTicket,
		Description: description,
		challenge:   s.challenge(),
	}
}

// cutTickets returns the tickets of a query, and the query without them.
func cutTickets(query string) (tickets []string, rest string) {
	var others []string
	for field := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(field, "=")
		if name, err := url.QueryUnescape(name); err != nil || name != ticketParameter {
			others = append(others, field)
			continue
		}
		ticket, err := url.QueryUnescape(value)
		if err != nil {
			ticket = "" // which is no ticket either
		}
		tickets = append(tickets, ticket)
	}
	return tickets, strings.Join(others, "&")
}

// withQuery returns a copy of a request with another query.
func withQuery(r *http.Request, query string) *http.Request {
	changed := *r
	changed.URL = new(*r.URL)
	changed.URL.RawQuery, changed.URL.ForceQuery = query, false
	changed.RequestURI, _, _ = strings.Cut(r.RequestURI, "?")
	if query != "" {
		changed.RequestURI += "?" + query
	}
	return &changed
}
