package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// maxToken bounds the field of a refresh token. It is longer than any token, so that the
// server refuses a text that is too long as malformed, like any other that is not a token.
const maxToken = maxBody

func (s *Server) refresh(w http.ResponseWriter, r *http.Request) error {
	jar, err := s.openJar(r)
	if err != nil {
		return err
	}
	token, keys, err := s.presented(w, r, jar)
	if err != nil {
		return err
	}
	tokens, err := s.exchange(r, token, keys, s.usualTerms())
	if jar != nil {
		switch {
		case err == nil:
			jar.deleteVoid(w, token)
			jar.put(w, &tokens)
		case isRefusal(err):
			jar.deleteAll(w, token.Session)
		}
	}
	if err != nil {
		return err
	}
	s.respond(w, r, http.StatusOK, tokens)
	return nil
}

// presented returns the refresh token that a client presents in the body or, in cookie
// mode, as a cookie, and the keys that it was decoded with. In cookie mode a token in the
// body is that of a client which moves from bearer mode to cookies.
func (s *Server) presented(w http.ResponseWriter, r *http.Request, jar *jar) (rotation.Token, *KeySet, error) {
	if jar == nil {
		text, err := readRefreshToken(w, r)
		if err != nil {
			return rotation.Token{}, nil, err
		}
		return s.decodePresented(r, text)
	}
	body, err := readCookieBody(w, r)
	switch {
	case err != nil:
		return rotation.Token{}, nil, err
	case body.refreshToken != "":
		return s.decodePresented(r, body.refreshToken)
	}
	return s.tokenFromJar(w, r, jar, body.session)
}

func (s *Server) decodePresented(r *http.Request, text string) (rotation.Token, *KeySet, error) {
	token, keys, err := s.decode(r.Context(), text)
	if p, ok := errors.AsType[*problem](err); ok {
		return rotation.Token{}, nil, p
	}
	if err != nil {
		return rotation.Token{}, nil, refused(decodeReason(err))
	}
	return token, keys, nil
}

// exchange returns the next pair for a refresh token, on these terms.
func (s *Server) exchange(r *http.Request, token rotation.Token, keys *KeySet, terms terms) (pair, error) {
	session, decision, err := s.rotate(r.Context(), token)
	if err != nil {
		return pair{}, err
	}
	s.report(r, session, token, decision)
	switch decision.Verdict {
	case rotation.Confirm, rotation.Retry:
		if session, err = s.asOfNow(r, session); err != nil {
			return pair{}, err
		}
		if err := terms.narrow(&session); err != nil {
			return pair{}, err
		}
		return s.newPair(keys, session, terms, s.now(), later(token.IssuedAt, session.ConfirmedAt))
	case rotation.Stale:
		return pair{}, &problem{
			status:      http.StatusConflict,
			Code:        codeStale,
			Description: "a newer refresh token was used a moment ago; the session goes on with that one",
		}
	default:
		return pair{}, refused(string(decision.Reason))
	}
}

func readRefreshToken(w http.ResponseWriter, r *http.Request) (string, error) {
	data, err := readBody(w, r)
	if err != nil {
		return "", err
	}
	if text, ok := onlyField(data, "refreshToken"); ok && isJSON(r.Header.Get("Content-Type")) {
		return text, nil
	}
	body, err := parseBody(r, data)
	if err != nil {
		return "", err
	}
	return body.text("refreshToken", maxToken)
}

// decodeReason returns the reason on the wire for an error of decode: malformed for a text
// that is not a refresh token, unknown for a token that this server did not make.
func decodeReason(err error) string {
	if errors.Is(err, rotation.ErrMalformed) {
		return reasonMalformed
	}
	return string(rotation.Unknown)
}

// rotate decides about a token and carries out the decision. It returns the session in
// the state after that. If another request changes the session before rotate can carry
// out the decision, it decides again.
func (s *Server) rotate(ctx context.Context, token rotation.Token) (store.Session, rotation.Decision, error) {
	// The loop ends: each further decision means that another request has raised the
	// session's generation, and a token that is older than the current one never expires.
	for {
		session, decision, err := s.decide(ctx, token)
		if err != nil {
			return store.Session{}, rotation.Decision{}, err
		}
		if done, err := s.carryOut(ctx, session, decision); err != nil || done {
			session.State = decision.Next
			return session, decision, err
		}
	}
}

// decide decides about a token; if the decision is to confirm the token, the store has
// done so. It returns the session that it has decided about.
func (s *Server) decide(ctx context.Context, token rotation.Token) (store.Session, rotation.Decision, error) {
	now := s.now()
	attempt, err := s.attempt(ctx, token, now)
	if errors.Is(err, store.ErrNotFound) {
		return store.Session{}, rotation.Decide(nil, token, now, s.policy), nil
	}
	if err != nil {
		return store.Session{}, rotation.Decision{}, unavailable("confirm a refresh token", err)
	}
	before := attempt.Before()
	decision := rotation.Decide(&before, token, now, s.policy)
	if attempt.Confirmed != (decision.Verdict == rotation.Confirm) {
		return store.Session{}, rotation.Decision{}, unavailable("confirm a refresh token",
			fmt.Errorf("the store does not keep to its contract: confirmed is %t, want %t", attempt.Confirmed, !attempt.Confirmed))
	}
	return attempt.Session, decision, nil
}

// carryOut ends the session if the decision says so. It returns false if the decision no
// longer holds, because another request has refreshed the session since. Only an expired
// token may turn out not to end the session then; a token that proves reuse still does.
func (s *Server) carryOut(ctx context.Context, session store.Session, decision rotation.Decision) (done bool, _ error) {
	end := store.End{Reason: decision.Next.EndReason, At: decision.Next.EndedAt}
	switch decision.Verdict {
	case rotation.Expire:
		end.If = &session.Current
	case rotation.Reuse:
	default:
		return true, nil
	}
	return s.endIf(ctx, session.ID, end)
}

// attempt has the store confirm the token, unless the token is too old for that. It reads
// the session in either case, because the answer depends on it.
func (s *Server) attempt(ctx context.Context, token rotation.Token, now time.Time) (store.Confirmation, error) {
	if s.policy.Outlived(token, now) {
		session, err := s.cfg.Store.Get(ctx, token.Session)
		return store.Confirmation{Session: session}, err
	}
	return s.cfg.Store.Confirm(ctx, token.Session, token.Position, now)
}

// report emits the events of a decision that rotate has carried out.
func (s *Server) report(r *http.Request, session store.Session, token rotation.Token, decision rotation.Decision) {
	event := Event{Session: token.Session, Subject: session.Subject}
	emit := func(kind EventKind, reason rotation.EndReason) {
		event.Kind, event.Reason = kind, reason
		s.emit(r, event)
	}
	switch decision.Verdict {
	case rotation.Confirm:
		if decision.StoreWentBack {
			s.cfg.Logger.LogAttrs(r.Context(), slog.LevelWarn,
				"the store has lost confirmations: was it restored from a backup?",
				slog.String("session", token.Session.String()))
			emit(EventStoreWentBack, "")
		}
		emit(EventRefreshed, "")
	case rotation.Retry:
		emit(EventRefreshRetried, "")
	case rotation.Stale:
		emit(EventRefreshStale, "")
	case rotation.Reuse:
		emit(EventReuseDetected, "")
		emit(EventSessionEnded, decision.Reason)
	case rotation.Expire:
		emit(EventRefreshRefused, decision.Reason)
		emit(EventSessionEnded, decision.Reason)
	case rotation.Refuse:
		emit(EventRefreshRefused, decision.Reason)
	}
}
