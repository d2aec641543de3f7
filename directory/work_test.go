package directory

import (
	"testing"

	"github.com/alexedwards/argon2id"
)

// An operator has changed the cost of hashes. A wrong password takes equally long for a
// user with an older hash, for a user with a newer one and for an unknown user.
func TestWrongPasswordsTakeEquallyLong(t *testing.T) {
	for name, c := range map[string]struct{ before, after Config }{
		"the cost is the same":       {Config{Memory: 64, Iterations: 2}, Config{Memory: 64, Iterations: 2}},
		"dearer":                     {Config{Memory: 64, Iterations: 1}, Config{Memory: 512, Iterations: 2}},
		"cheaper":                    {Config{Memory: 512, Iterations: 4}, Config{Memory: 64, Iterations: 1}},
		"more memory, the same work": {Config{Memory: 64, Iterations: 4}, Config{Memory: 128, Iterations: 2}},
		"a little dearer":            {Config{Memory: 64, Iterations: 1}, Config{Memory: 80, Iterations: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			old, d := New(nil, c.before), New(nil, c.after)
			hash := func(d *Directory) string {
				hash, err := d.hash(t.Context(), "correct horse")
				if err != nil {
					t.Fatal(err)
				}
				return hash
			}
			worked := func(hash string, known bool) uint64 {
				result, err := d.check(t.Context(), "wrong", hash, known)
				if err != nil || result.right {
					t.Fatalf("%+v, %v", result, err)
				}
				return result.worked
			}
			before, after := hash(old), hash(d)
			worked(before, true) // the directory learns of a higher cost only from the first hash that has it
			first, second, nobody := worked(before, true), worked(after, true), worked("", false)
			most := max(first, second, nobody)
			if least := min(first, second, nobody); most-least > leastMemory {
				t.Errorf("before %d, after %d, nobody %d: want about the same", first, second, nobody)
			}
			if result, err := d.check(t.Context(), "correct horse", before, true); err != nil || !result.right {
				t.Errorf("the right password: %+v, %v", result, err)
			}
			if result, err := d.check(t.Context(), "correct horse", before, false); err != nil || result.right {
				t.Errorf("nobody's right password: %+v, %v", result, err)
			}
		})
	}
}

// fill uses no more memory than a hash does.
func TestFillingUpTakesNoMoreMemoryThanAHash(t *testing.T) {
	e := evenWork{params: argon2id.Params{Memory: 64, Iterations: 1, SaltLength: 16, KeyLength: 32}}
	dear := argon2id.Params{Memory: 1024, Iterations: 3}
	e.met(&dear)
	if did := e.fill(&e.params); did < work(&dear)-2*work(&e.params) || did > work(&dear) {
		t.Errorf("filled up by %d, want %d", did, work(&dear)-work(&e.params))
	}
}
