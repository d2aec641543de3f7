package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tandem-auth/tandem/internal/visible"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

const (
	maxUsername = 256
	maxPassword = 1024
	maxDevice   = 200
)

const (
	// busyRetryAfter is when to come back where too many wait already.
	busyRetryAfter = 2 * time.Second
	// findTimeout bounds the question who a user is that an event is about.
	findTimeout = time.Second
)

type credentials struct {
	username, password, device string
	// before is a refresh token that the device has of an earlier sign-in, or "".
	before string
}

func (s *Server) signIn(w http.ResponseWriter, r *http.Request) error {
	given, err := readCredentials(w, r)
	if err != nil {
		return err
	}
	identity, err := s.authenticate(r, given)
	if err != nil {
		return err
	}
	session, err := s.newSession(r, identity, given.device)
	if err != nil {
		return err
	}
	if err := s.cfg.Store.Create(r.Context(), session); err != nil {
		return unavailable("create a session", err)
	}
	if err := s.revalidate(r, identity, session); err != nil {
		return err
	}
	tokens, err := s.newPair(s.cfg.Keys.KeySet(), session, session.CreatedAt, time.Time{})
	if err != nil {
		return err
	}
	s.emit(r, Event{Kind: EventSignedIn, Session: session.ID, Subject: session.Subject})
	s.thinOut(r, session)
	s.respond(w, r, http.StatusOK, tokens)
	return nil
}

func readCredentials(w http.ResponseWriter, r *http.Request) (credentials, error) {
	body, err := readFields(w, r)
	if err != nil {
		return credentials{}, err
	}
	username, err := body.text("username", maxUsername)
	if err != nil {
		return credentials{}, err
	}
	if username = strings.TrimSpace(username); username == "" {
		return credentials{}, invalidRequest("username is empty")
	}
	if strings.ContainsFunc(username, unicode.IsControl) {
		return credentials{}, invalidRequest("username must not have control characters")
	}
	password, err := body.text("password", maxPassword)
	if err != nil {
		return credentials{}, err
	}
	device, err := body.optionalText("device")
	if err != nil {
		return credentials{}, err
	}
	device = label(device)
	if device == "" {
		device = label(r.UserAgent())
	}
	before, err := body.optionalText("refreshToken")
	if err != nil {
		return credentials{}, err
	}
	return credentials{username: username, password: password, device: device, before: before}, nil
}

// authenticate asks the directory when it is this sign-in's turn, unless there have
// been too many. What it answers must not tell whether the user exists.
func (s *Server) authenticate(r *http.Request, given credentials) (_ Identity, err error) {
	attempt, wait, err := s.gate.enter(r.Context(), signInOrigin{
		username: given.username,
		addr:     s.clientAddr(r),
		device:   s.knownDevice(r.Context(), given),
	})
	switch {
	case errors.Is(err, errBusy):
		s.emitAbout(r, EventSignInRefused, given.username)
		return Identity{}, &problem{
			status:      http.StatusServiceUnavailable,
			Code:        codeUnavailable,
			Description: "too many are signing in at once; try again",
			retryAfter:  busyRetryAfter,
		}
	case err != nil:
		return Identity{}, unavailable("wait to authenticate", err)
	case wait > 0:
		s.emitAbout(r, EventSignInLimited, given.username)
		return Identity{}, &problem{
			status:      http.StatusTooManyRequests,
			Code:        codeSlowDown,
			Description: "too many sign-ins; try again later",
			retryAfter:  wait,
		}
	}
	outcome := undecided // for a directory that panics, too
	defer func() { s.gate.leave(attempt, outcome) }()

	ctx, cancel := context.WithTimeout(r.Context(), directoryTimeout)
	defer cancel()
	identity, err := s.cfg.Directory.Authenticate(ctx, given.username, given.password)
	switch {
	case errors.Is(err, ErrInvalidCredentials):
		outcome = failed
		s.emitAbout(r, EventSignInFailed, given.username)
		return Identity{}, s.wrongCredentials()
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
		outcome = failed // else guesses whose client does not wait would be free
		return Identity{}, unavailable("authenticate", err)
	case err != nil:
		return Identity{}, unavailable("authenticate", err)
	case identity.Subject == "":
		return Identity{}, errors.New("the directory returned a user without a subject")
	case !isText(identity.Subject) || !isText(identity.Username) || !isText(identity.Scope):
		return Identity{}, errNoText
	}
	outcome = succeeded
	return identity, nil
}

// knownDevice returns the session by whose refresh token a device proves that the
// user has signed in on it before, or zero. The session may have ended, and the token
// is not used: it only says that this is no stranger. Whatever is wrong with it, the
// device is a stranger like any other.
func (s *Server) knownDevice(ctx context.Context, given credentials) rotation.SessionID {
	if given.before == "" {
		return rotation.SessionID{}
	}
	token, _, err := s.decode(ctx, given.before)
	if err != nil {
		return rotation.SessionID{}
	}
	session, found, err := s.lookUp(ctx, token.Session)
	if err != nil || !found || !s.isUser(ctx, given.username, session) {
		return rotation.SessionID{}
	}
	return session.ID
}

// isUser reports whether a name is that of a session's user.
func (s *Server) isUser(ctx context.Context, username string, session store.Session) bool {
	if finder, ok := s.cfg.Directory.(SubjectFinder); ok {
		ctx, cancel := context.WithTimeout(ctx, findTimeout)
		defer cancel()
		subject, err := finder.SubjectOf(ctx, username)
		return err == nil && subject == session.Subject
	}
	return foldName(username) == foldName(session.Username)
}

var errNoText = errors.New("the directory returned a user whose subject, username or scope is no text: invalid UTF-8, or a NUL byte in it")

// isText reports whether a store can keep a string.
func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// revalidate ends a session that has just begun if its user's credentials were
// changed while they were being checked: whoever changed them may have ended all
// sessions before this one was there.
func (s *Server) revalidate(r *http.Request, identity Identity, session store.Session) error {
	directory, ok := s.cfg.Directory.(Revalidator)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), directoryTimeout)
	defer cancel()
	valid, err := directory.StillValid(ctx, identity)
	if err == nil && valid {
		return nil
	}
	if endErr := s.end(r.Context(), session.ID, rotation.Revoked, s.now()); endErr != nil {
		return endErr
	}
	if err != nil {
		return unavailable("look at a user again", err)
	}
	s.emit(r, Event{Kind: EventSignInFailed, Subject: identity.Subject})
	return s.wrongCredentials()
}

// emitAbout tells the program of a sign-in that came to nothing, and of the user
// whose name it gave if the directory can say who that is.
func (s *Server) emitAbout(r *http.Request, kind EventKind, username string) {
	e := Event{Kind: kind}
	if finder, ok := s.cfg.Directory.(SubjectFinder); ok {
		ctx, cancel := context.WithTimeout(r.Context(), findTimeout)
		defer cancel()
		if subject, err := finder.SubjectOf(ctx, username); err == nil {
			e.Subject = subject
		}
	}
	s.emit(r, e)
}

func (s *Server) wrongCredentials() *problem {
	return &problem{
		status:      http.StatusUnauthorized,
		Code:        codeInvalidGrant,
		Description: ErrInvalidCredentials.Error(),
		Reason:      reasonInvalidCredentials,
		challenge:   s.challenge(),
	}
}

func (s *Server) newSession(r *http.Request, identity Identity, device string) (store.Session, error) {
	var id rotation.SessionID
	if _, err := rand.Read(id[:]); err != nil {
		return store.Session{}, fmt.Errorf("draw a session ID: %w", err)
	}
	branch, err := randomBranch()
	if err != nil {
		return store.Session{}, err
	}
	now := s.now()
	return store.Session{
		ID: id,
		State: rotation.State{
			Current:     rotation.Position{Branch: branch},
			ConfirmedAt: now,
			ExpiresAt:   sessionEnd(now, s.cfg.SessionTTL),
		},
		Subject:   identity.Subject,
		Username:  identity.Username,
		Scope:     identity.Scope,
		Device:    device,
		IP:        s.ip(r),
		CreatedAt: now,
	}, nil
}

// sessionEnd is a whole second, so that the "exp" claim of an access token,
// which is rounded up to one, never lies behind it.
func sessionEnd(now time.Time, ttl time.Duration) time.Time {
	return now.Add(ttl + time.Second - 1).Truncate(time.Second)
}

// label makes a short line of text that is safe to show of whatever a client
// calls itself.
func label(s string) string {
	s = strings.TrimSpace(visible.Text(strings.ToValidUTF8(s, "")))
	if len(s) <= maxDevice {
		return s
	}
	end := maxDevice
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
