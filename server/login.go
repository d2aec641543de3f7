package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
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
	// busyRetryAfter is the Retry-After of an answer to a sign-in that found too many
	// waiting.
	busyRetryAfter = 2 * time.Second
	// findTimeout bounds each call of a [SubjectFinder].
	findTimeout = time.Second
)

type credentials struct {
	username, password, device string
	// before are refresh tokens of earlier sign-ins on the device.
	before []string
}

func (s *Server) signIn(w http.ResponseWriter, r *http.Request) error {
	jar, err := s.openJar(r)
	if err != nil {
		return err
	}
	given, err := readCredentials(w, r)
	if err != nil {
		return err
	}
	given.before = append(given.before, s.earlierTokens(r, jar)...)
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
	tokens, err := s.newPair(s.cfg.Keys.KeySet(), session, s.usualTerms(), session.CreatedAt, time.Time{})
	if err != nil {
		return err
	}
	if err := s.replaceEarlier(w, r, jar); err != nil {
		return err
	}
	s.emit(r, Event{Kind: EventSignedIn, Session: session.ID, Subject: session.Subject})
	s.thinOut(r, session)
	if jar != nil {
		jar.put(w, &tokens)
	}
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
	given := credentials{username: username, password: password, device: device}
	if before != "" {
		given.before = []string{before}
	}
	return given, nil
}

// authenticate waits for the sign-in's turn and asks the directory, unless a limit
// refuses the sign-in. Its answer must not reveal whether the user exists.
func (s *Server) authenticate(r *http.Request, given credentials) (_ Identity, err error) {
	device := s.knownDevice(r.Context(), given)
	from := signInOrigin{username: given.username, addr: s.clientAddr(r), device: device}
	queued, queueOver := s.cfg.Observe.begin(r.Context(), Work{Kind: WorkQueue})
	attempt, wait, err := s.gate.enter(queued, from)
	if wait > 0 && err == nil && s.wasUnlocked(queued, given.username) {
		attempt, wait, err = s.gate.enter(queued, from)
	}
	queueOver(Result{Err: err})
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
	outcome := undecided // also if the directory panics
	defer func() { s.gate.leave(attempt, outcome) }()

	ctx, cancel := context.WithTimeout(r.Context(), directoryTimeout)
	defer cancel()
	identity, err := s.askDirectory(ctx, given)
	switch {
	case errors.Is(err, ErrInvalidCredentials):
		outcome = failed
		s.emitAbout(r, EventSignInFailed, given.username)
		return Identity{}, s.wrongCredentials()
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
		outcome = failed // otherwise an attacker who does not wait for the answer guesses for free
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

// wasUnlocked asks the directory whether an operator has lifted the limits on a user since
// the server last heard of it, and lifts them then.
func (s *Server) wasUnlocked(ctx context.Context, username string) bool {
	directory, ok := s.cfg.Directory.(Unlocker)
	if !ok {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	at, err := directory.UnlockedAt(ctx, username)
	return err == nil && !at.IsZero() && s.gate.unlock(username, at)
}

// askDirectory has the directory check the password, and the observer follow that.
func (s *Server) askDirectory(ctx context.Context, given credentials) (_ Identity, err error) {
	ctx, done := s.cfg.Observe.begin(ctx, Work{Kind: WorkPassword})
	defer func() { done(Result{Err: err}) }() // also if the directory panics
	return s.cfg.Directory.Authenticate(ctx, given.username, given.password)
}

// knownDevice returns the session of a refresh token that the client has sent with its
// sign-in, if the session is the user's. The token proves that the user has signed in on
// the device before. The session may have ended, and the token is not used up. If there is
// no such token, knownDevice returns zero.
func (s *Server) knownDevice(ctx context.Context, given credentials) rotation.SessionID {
	for _, text := range given.before {
		token, _, err := s.decode(ctx, text)
		if err != nil {
			continue
		}
		session, found, err := s.lookUp(ctx, token.Session)
		if err == nil && found && s.isUser(ctx, given.username, session) {
			return session.ID
		}
	}
	return rotation.SessionID{}
}

// earlierTokens returns a refresh token of each session in the jar of a sign-in. Errors of
// the keys do not matter: the sign-in does without the tokens that it cannot decode.
func (s *Server) earlierTokens(r *http.Request, jar *jar) []string {
	if jar == nil {
		return nil
	}
	_, _ = s.decodeHeld(r.Context(), jar.held)
	var texts []string
	for _, id := range jar.sessions() {
		i := slices.IndexFunc(jar.held, func(held heldToken) bool { return held.err == nil && held.token.Session == id })
		texts = append(texts, jar.held[i].text)
	}
	return texts[:min(len(texts), maxJarSessions)]
}

// replaceEarlier ends the sessions of a jar that a new sign-in replaces, and deletes their
// cookies: one jar cannot tell one user's session from another's. If it fails, the client
// has no new session and keeps the earlier ones.
func (s *Server) replaceEarlier(w http.ResponseWriter, r *http.Request, jar *jar) error {
	if jar == nil {
		return nil
	}
	ids := jar.sessions()
	if err := s.signOutAll(r, ids[:min(len(ids), maxJarSessions)]); err != nil {
		return err
	}
	jar.deleteIf(w, func(held heldToken) bool { return held.err == nil })
	return nil
}

// isUser reports whether username names the user of the session.
func (s *Server) isUser(ctx context.Context, username string, session store.Session) bool {
	if finder, ok := s.cfg.Directory.(SubjectFinder); ok {
		ctx, cancel := context.WithTimeout(ctx, findTimeout)
		defer cancel()
		subject, err := finder.SubjectOf(ctx, username)
		return err == nil && subject == session.Subject
	}
	return foldName(username) == foldName(session.Username)
}

var errNoText = errors.New("the directory returned a user whose subject, username or scope is not text: it contains invalid UTF-8 or a NUL byte")

// isText reports whether every store can keep the string.
func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// revalidate ends a session that has just begun if the user's credentials have changed
// since the directory checked them. Whoever changed them may have ended all sessions of
// the user just before this one was created.
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

// emitAbout emits an event about a failed or refused sign-in. If the directory is a
// [SubjectFinder], the event carries the subject of the user whose name the client gave.
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

// sessionEnd returns when a session expires, rounded up to a whole second. The "exp"
// claim of an access token is rounded up too, and must not be later than that.
func sessionEnd(now time.Time, ttl time.Duration) time.Time {
	return now.Add(ttl + time.Second - 1).Truncate(time.Second)
}

// label turns a name that a client gives for itself into a short line of text that is
// safe to show.
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
