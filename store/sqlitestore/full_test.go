package sqlitestore

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// A full disk loses no data, and the store works again once there is room.
func TestAFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tandem.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	setLimit := func(pages string) {
		t.Helper()
		var now int
		if err := s.writer.conn.QueryRowContext(t.Context(), "PRAGMA max_page_count = "+pages).Scan(&now); err != nil {
			t.Fatal(err)
		}
	}
	setLimit("20") // SQLite reports this limit as a full disk

	kept := 0
	for ; kept < 10_000; kept++ {
		if err = s.Create(t.Context(), numbered(kept)); err != nil {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "the disk is full") {
		t.Fatalf("the error after %d sessions does not name the file or the cause: %v", kept, err)
	}
	for i := range kept {
		if _, err := s.Get(t.Context(), numbered(i).ID); err != nil {
			t.Fatalf("session %d of %d: %v", i, kept, err)
		}
	}
	if _, err := s.Get(t.Context(), numbered(kept).ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the session that did not fit: %v, want ErrNotFound", err)
	}
	setLimit("1000")
	if err := s.Create(t.Context(), numbered(kept)); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
}

func numbered(i int) store.Session {
	now := time.Now()
	return store.Session{
		ID:      rotation.SessionID{byte(i >> 8), byte(i)},
		State:   rotation.State{ConfirmedAt: now, ExpiresAt: now.Add(time.Hour)},
		Subject: "ann", CreatedAt: now,
	}
}
