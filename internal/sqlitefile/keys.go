package datadir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
)

// Keys are the secrets of a server.
type Keys struct {
	Signing server.SigningKey
	// Retired sign nothing, but what they signed is accepted.
	Retired []server.SigningKey
	Refresh []rotation.Key
}

// Keys returns the folder's keys; alg says which signing key is in use. In a new
// folder they are made. Where there is a database, missing refresh keys are an
// error instead: new ones would sign everybody out.
func (d *Dir) Keys(alg server.Algorithm) (Keys, error) {
	refresh, err := d.refreshKeys()
	if err != nil {
		return Keys{}, err
	}
	keys := Keys{Refresh: refresh}
	for _, a := range []server.Algorithm{server.ES256, server.EdDSA, server.RS256} {
		key, err := d.signingKey(a, a == alg)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return Keys{}, err
		case a == alg:
			keys.Signing = key
		default:
			keys.Retired = append(keys.Retired, key)
		}
	}
	if keys.Signing.Algorithm() == "" {
		return Keys{}, fmt.Errorf("signing algorithm %q is none of ES256, EdDSA and RS256", alg)
	}
	return keys, nil
}

// signingKey reads the key for alg. If there is none, it is made or missing as
// create says: a new one does no harm, clients just refresh once more.
func (d *Dir) signingKey(alg server.Algorithm, create bool) (server.SigningKey, error) {
	path := filepath.Join(d.path, "signing-"+strings.ToLower(string(alg))+".pem")
	text, err := readSecret(path)
	if err == nil {
		key, err := server.ParseSigningKey(text)
		if err == nil && key.Algorithm() != alg {
			err = fmt.Errorf("it is a key for %s", key.Algorithm())
		}
		if err != nil {
			return server.SigningKey{}, fmt.Errorf("read %s: %w", path, err)
		}
		return key, nil
	}
	if !create || !errors.Is(err, fs.ErrNotExist) {
		return server.SigningKey{}, fmt.Errorf("read the signing key: %w", err)
	}
	key, err := server.GenerateSigningKey(alg)
	if err != nil {
		return server.SigningKey{}, err
	}
	if text, err = key.MarshalPEM(); err != nil {
		return server.SigningKey{}, err
	}
	if err := writeSecret(path, text); err != nil {
		return server.SigningKey{}, fmt.Errorf("write the signing key: %w", err)
	}
	return key, nil
}

// refreshKeyFile is the text of refresh-keys.json. The first key is in use, the
// others are accepted: a new one goes in front, an old one out a refresh
// lifetime later.
type refreshKeyFile struct {
	Keys []refreshKey `json:"keys"`
}

type refreshKey struct {
	ID     uint32 `json:"id"`
	Secret []byte `json:"secret"`
}

func (d *Dir) refreshKeys() ([]rotation.Key, error) {
	path := filepath.Join(d.path, refreshFile)
	text, err := readSecret(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && d.isNew():
		return d.newRefreshKeys(path)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s is missing, but there are sessions in %s: put it back from the backup, or move the database away, which signs everybody out", path, d.Database())
	case err != nil:
		return nil, fmt.Errorf("read the refresh keys: %w", err)
	}
	var file refreshKeyFile
	if err := json.Unmarshal(text, &file); err != nil {
		// The decoder's own text could quote the file.
		return nil, fmt.Errorf("%s is damaged: put it back from the backup", path)
	}
	keys := make([]rotation.Key, len(file.Keys))
	for i, k := range file.Keys {
		keys[i] = rotation.Key(k)
	}
	if _, err := rotation.NewCodec(keys...); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
}

func (d *Dir) newRefreshKeys(path string) ([]rotation.Key, error) {
	key, err := server.NewRefreshKey()
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(refreshKeyFile{Keys: []refreshKey{refreshKey(key)}}, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := writeSecret(path, append(text, '\n')); err != nil {
		return nil, fmt.Errorf("write the refresh keys: %w", err)
	}
	return []rotation.Key{key}, nil
}
