package redisstore

import (
	"strings"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/internal/testkit/engines/enginetest"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

func TestDecide(t *testing.T) {
	for name, c := range map[string]struct {
		facts facts
		waits bool
		want  []string // parts of the warning; none if there must be no warning
	}{
		"every answer is on the disk":      {facts: facts{appendOnly: "1", appendFsync: "always", maxMemory: "0"}},
		"so it is where it could wait":     {facts: facts{appendOnly: "1", appendFsync: "always", canWait: true}},
		"ends can wait for the disk":       {facts: facts{appendOnly: "1", appendFsync: "everysec", canWait: true}, waits: true},
		"ends cannot wait":                 {facts: facts{appendOnly: "1", appendFsync: "everysec"}, want: []string{"everysec", "last second", "appendfsync always"}},
		"it is left to the system":         {facts: facts{appendOnly: "1", appendFsync: "no", canWait: true}, want: []string{"appendfsync is no"}},
		"there is no append-only file":     {facts: facts{appendOnly: "0", appendFsync: "always", canWait: true}, want: []string{"appendonly is off", "lose everything"}},
		"it may not be asked":              {facts: facts{}, want: []string{"does not tell"}},
		"it may be asked for one":          {facts: facts{appendOnly: "1", canWait: true}, want: []string{"does not tell"}},
		"it evicts":                        {facts: facts{appendOnly: "1", appendFsync: "always", maxMemory: "100", policy: "volatile-lru"}, want: []string{"maxmemory-policy is volatile-lru", "noeviction"}},
		"it would evict, without a limit":  {facts: facts{appendOnly: "1", appendFsync: "always", maxMemory: "0", policy: "allkeys-lru"}},
		"it refuses when its memory fills": {facts: facts{appendOnly: "1", appendFsync: "always", maxMemory: "100", policy: "noeviction"}},
		"both":                             {facts: facts{appendOnly: "0", maxMemory: "100", policy: "allkeys-lru"}, want: []string{"appendonly", "; maxmemory-policy"}},
	} {
		waits, warning := decide(c.facts)
		if waits != c.waits || (warning == "") != (len(c.want) == 0) {
			t.Errorf("%s: %v, %q", name, waits, warning)
		}
		for _, part := range c.want {
			if !strings.Contains(warning, part) {
				t.Errorf("%s: the warning does not say %q: %s", name, part, warning)
			}
		}
	}
}

func TestWarnings(t *testing.T) {
	for settings, want := range map[string]string{
		"--appendonly yes --appendfsync always": "",
		"--appendonly no":                       "appendonly is off",
		"--appendonly yes --appendfsync no":     "appendfsync is no",
		"--appendonly yes --appendfsync always --maxmemory 1gb --maxmemory-policy allkeys-lru": "maxmemory-policy is allkeys-lru",
	} {
		e := enginetest.Redis(t, strings.Fields(settings)...)
		s, err := Open(t.Context(), e.URL())
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Warning(); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: %q, want %q", settings, got, want)
		}
		_ = s.Close()
	}
}

// The test reads the server's own counters: the store waits for the disk after an end
// of a session, but not after a refresh or a new session.
func TestAnEndWaitsForTheDisk(t *testing.T) {
	e := enginetest.Redis(t, "--appendonly", "yes", "--appendfsync", "everysec")
	s, err := Open(t.Context(), e.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !s.waits {
		t.Skip("this server does not know WAITAOF")
	}
	if s.Warning() != "" {
		t.Errorf("Warning: %q", s.Warning())
	}
	waits := func() string {
		t.Helper()
		_, calls, _ := strings.Cut(info(t.Context(), s.client, "commandstats")["cmdstat_waitaof"], "calls=")
		calls, _, _ = strings.Cut(calls, ",")
		return calls
	}
	asked := waits() // calls so far: Open asks whether the server knows WAITAOF
	now := time.Now()
	session := store.Session{State: rotation.State{ConfirmedAt: now, ExpiresAt: now.Add(time.Hour)}, Subject: "ann", CreatedAt: now}
	if err := s.Create(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Confirm(t.Context(), session.ID, session.Successor(7), now); err != nil || !got.Confirmed {
		t.Fatalf("Confirm: %+v, %v", got, err)
	}
	if got := waits(); got != asked {
		t.Errorf("a new session and a refresh: %s calls of WAITAOF, want %s", got, asked)
	}
	for range 2 { // the second end changes nothing, and must be on the disk nevertheless
		before := waits()
		if _, err := s.End(t.Context(), session.ID, store.End{Reason: rotation.SignedOut, At: now}); err != nil {
			t.Fatal(err)
		}
		if got := waits(); got == before {
			t.Errorf("an end: still %s calls of WAITAOF", got)
		}
	}
}

// If the store cannot wait for the disk, End returns an error although the server
// executed it. Here the server does not know WAITAOF.
func TestAnEndThatMayBeUndone(t *testing.T) {
	e := enginetest.Redis(t, "--appendonly", "yes")
	s, err := Open(t.Context(), e.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.waits {
		t.Skip("this server knows WAITAOF")
	}
	s.waits = true
	now := time.Now()
	session := store.Session{State: rotation.State{ConfirmedAt: now, ExpiresAt: now.Add(time.Hour)}, Subject: "ann", CreatedAt: now}
	if err := s.Create(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	if _, err := s.End(t.Context(), session.ID, store.End{Reason: rotation.SignedOut, At: now}); err == nil || !strings.Contains(strings.ToUpper(err.Error()), "WAITAOF") {
		t.Errorf("End: %v, want an error about WAITAOF", err)
	}
	if got, err := s.Get(t.Context(), session.ID); err != nil || got.EndReason != rotation.SignedOut {
		t.Errorf("Get: %+v, %v", got, err)
	}
}
