package sqlitestore

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Two processes start after an upgrade, and the slower one copies the database when the other
// has migrated it: that is no way back, and must not replace the copy of the other.
func TestACopyOfWhatAnotherProcessHasMigratedIsNotKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tandem.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.keepCopy(t.Context(), 4); err != nil {
		t.Error(err)
	}
	if kept, _ := filepath.Glob(path + ".before*"); len(kept) > 0 {
		t.Errorf("it kept %q", kept)
	}
}

// A server that is killed in the middle of a copy leaves a part of it. The next start makes
// its own, and only what is certainly left over goes.
func TestWhatACrashLeftOfACopyGoes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tandem.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	copied := path + ".before-schema-5"
	old, young := copied+".A.part", copied+".B.part"
	for _, part := range []string{old, young} {
		if err := os.WriteFile(part, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := s.keepCopy(t.Context(), 5); err != nil {
		t.Error(err)
	}
	if kept, _ := filepath.Glob(path + ".before*"); !slices.Equal(kept, []string{copied, young}) {
		t.Errorf("it kept %q", kept)
	}
}
