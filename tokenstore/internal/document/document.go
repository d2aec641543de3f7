// Package document defines the format in which stores keep a pair: one line of JSON
// with the number of the format.
//
// Format 1 has no issuer, no revision and no expiry of the refresh token; format 2 has
// them all. The package writes format 2 and reads both. It refuses a later format,
// because writing the pair again would lose the later format's fields.
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

// Errors of [Parse]. They contain nothing of the text, and continue a sentence that
// begins with the name of the file or entry.
var (
	ErrDamaged = errors.New("is damaged: delete it, and sign in again")
	ErrNone    = errors.New("is not a session: name another place")
	ErrNewer   = errors.New("was written by a newer version")
)

// Parse is the inverse of [Marshal]. It also reads format 1: such a pair has revision 0
// and no issuer. The error wraps [ErrDamaged], [ErrNone] or [ErrNewer].
func Parse(text []byte) (tandem.Pair, error) {
	// The format number is parsed by itself, because a later format may have another
	// structure.
	var format struct {
		Version int `json:"version"`
	}
	switch err := json.Unmarshal(text, &format); {
	case err != nil: // the error's own text could quote the token
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

// Marshal encodes a pair as one line in format 2. The result is a secret.
func Marshal(pair tandem.Pair) ([]byte, error) {
	return json.Marshal(document{Version: version, Pair: pair})
}
