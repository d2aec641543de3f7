// Package document is the form in which stores keep a pair.
package document

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tandem-auth/tandem"
)

const version = 1

type document struct {
	Version int         `json:"version"`
	Pair    tandem.Pair `json:"pair"`
}

// Errors of [Parse]. They show nothing of the text.
var (
	ErrDamaged = errors.New("is damaged: delete it, and sign in again")
	ErrNone    = errors.New("is not a session: name another place")
)

// Parse is the inverse of [Marshal].
func Parse(text []byte) (tandem.Pair, error) {
	var d document
	switch err := json.Unmarshal(text, &d); {
	case err != nil: // whose own text could quote it
		return tandem.Pair{}, ErrDamaged
	case d.Version > version:
		return tandem.Pair{}, fmt.Errorf("was written by a newer version (format %d, this one knows up to %d): use that one, or another place", d.Version, version)
	case d.Version < 1:
		return tandem.Pair{}, ErrNone
	}
	return d.Pair, nil
}

// Marshal returns a pair as it is kept: one line. It is a secret.
func Marshal(pair tandem.Pair) ([]byte, error) {
	return json.Marshal(document{Version: version, Pair: pair})
}
