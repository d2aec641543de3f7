// Package document is the form in which stores keep a pair: one line of JSON that
// names its format.
//
// Format 1 has no issuer, no revision and no end of the refresh token; format 2 has
// them all. Format 2 is written, both are read, and a later format is refused: a
// version that does not know it would lose what it added.
package document

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-auth/tandem"
)

// version is the format that [Marshal] writes.
const version = 2

type document struct {
	Version int         `json:"version"`
	Pair    tandem.Pair `json:"pair"`
}

// Errors of [Parse]. They show nothing of the text, and read on from the name of the
// place that has it.
var (
	ErrDamaged = errors.New("is damaged: delete it, and sign in again")
	ErrNone    = errors.New("is not a session: name another place")
	ErrNewer   = errors.New("was written by a newer version")
)

// Parse is the inverse of [Marshal]. It reads format 1, too: such a pair has revision
// 0 and no issuer. The error is, or wraps, one of [ErrDamaged], [ErrNone] and
// [ErrNewer].
func Parse(text []byte) (tandem.Pair, error) {
	// The format is read by itself: a later one may have another shape.
	var format struct {
		Version int `json:"version"`
	}
	switch err := json.Unmarshal(text, &format); {
	case err != nil: // whose own text could quote it
		return tandem.Pair{}, ErrDamaged
	case format.Version > version:
		return tandem.Pair{}, fmt.Errorf("%w (format %d, this one knows up to %d): upgrade this program, or name another place", ErrNewer, format.Version, version)
	case format.Version < 1:
		return tandem.Pair{}, ErrNone
	}
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		return tandem.Pair{}, ErrDamaged
	}
	if d.Version == 1 {
		d.Pair.Issuer, d.Pair.Revision, d.Pair.RefreshExpiresAt = "", 0, time.Time{}
	}
	return d.Pair, nil
}

// Marshal returns a pair as it is kept: one line, in format 2. It is a secret.
func Marshal(pair tandem.Pair) ([]byte, error) {
	return json.Marshal(document{Version: version, Pair: pair})
}
