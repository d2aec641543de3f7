package resource

import (
	"sync"
	"time"

	"github.com/tandem-auth/tandem/rotation"
)

// An endedSet knows sessions that have ended although their access tokens may live. Each is
// forgotten once its last access token has expired.
type endedSet struct {
	latest version // of what follows

	mu       sync.RWMutex
	sessions map[rotation.SessionID]time.Time // until when to remember
	subjects map[string]subjectEnd
}

// A subjectEnd ends all sessions of a subject whose access tokens were issued before a
// time.
type subjectEnd struct{ issuedBefore, until time.Time }

func newEndedSet() *endedSet {
	return &endedSet{sessions: map[rotation.SessionID]time.Time{}, subjects: map[string]subjectEnd{}}
}

func (s *endedSet) version() uint64 { return s.latest.Load() }

// has reports whether the session of a principal has ended.
func (s *endedSet) has(p *Principal) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if _, ended := s.sessions[p.SessionID]; ended {
		return true
	}
	end, ended := s.subjects[p.Subject]
	return ended && p.issuedAt.Before(end.issuedBefore)
}

// end notes that a session has ended; its access tokens have expired by until.
func (s *endedSet) end(id rotation.SessionID, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[id] = until
	s.latest.Add(1)
}

// endSubject notes that all sessions of a subject have ended that began before a time.
func (s *endedSet) endSubject(subject string, issuedBefore, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.subjects[subject]; old.issuedBefore.Before(issuedBefore) {
		s.subjects[subject] = subjectEnd{issuedBefore, until}
	}
	s.latest.Add(1)
}

// forget drops what counts no more.
func (s *endedSet) forget(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, until := range s.sessions {
		if !now.Before(until) {
			delete(s.sessions, id)
		}
	}
	for subject, end := range s.subjects {
		if !now.Before(end.until) {
			delete(s.subjects, subject)
		}
	}
}
