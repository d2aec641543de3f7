package tryit_test

import (
	"testing"

	"github.com/tandem-auth/tandem/internal/tryit"
)

// A folder keeps its demo users from one start to the next. One with a user of its own
// gets none, since everybody knows the demo users' password.
func TestTheFolder(t *testing.T) {
	config := tryit.Config{DataDir: t.TempDir(), Listen: "localhost:0"}
	for start := 1; start <= 2; start++ {
		d, err := tryit.Open(t.Context(), config)
		if err != nil {
			t.Fatalf("start %d: %v", start, err)
		}
		if start == 2 {
			if err := d.Directory().Add(t.Context(), "eve", "correct horse"); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if d, err := tryit.Open(t.Context(), config); err == nil {
		t.Error("the demo users joined eve")
		_ = d.Close()
	}
}
