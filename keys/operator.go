package keys

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tandem-auth/tandem/accesstoken"
)

// An Operator lists and changes the keys in a store by hand, whether or not servers are
// running on the store. The servers notice its changes within their [Config] PollEvery.
type Operator struct {
	// Store keeps the document. Required.
	Store Store

	// MasterKeys are those of the servers. Required.
	MasterKeys []MasterKey

	// PublishAhead is how long a key that [Operator.Rotate] makes is published before
	// its first use. Defaults to [DefaultPublishAhead].
	PublishAhead time.Duration

	// Now is the clock. Defaults to [time.Now].
	Now func() time.Time
}

// The values of [Key] Use.
const (
	SigningKey = "signing"
	RefreshKey = "refresh"
)

// A Key describes a key without its secret. Times that do not apply are zero.
type Key struct {
	// ID is the "kid" of a signing key, or eight hexadecimal digits for a refresh key.
	ID string
	// Use is [SigningKey] or [RefreshKey].
	Use string
	// Algorithm is set for a signing key only.
	Algorithm accesstoken.Algorithm
	// InUse reports whether the key makes tokens now. If servers sign with different
	// algorithms, one key of each algorithm is in use.
	InUse bool
	// ActiveFrom is when the key begins to make tokens. It is published before that.
	ActiveFrom time.Time
	// KeepUntil is when every token that the key made has expired. It is zero while
	// the key has no successor.
	KeepUntil time.Time
	// RevokedAt is when the key was revoked.
	RevokedAt time.Time
}

// ErrNoKeys is wrapped by the errors of an [Operator] for a store without keys. The
// first server that opens the store makes them.
var ErrNoKeys = errors.New("there are no keys in the store yet; the first server makes them")

// ErrUnknownKey is wrapped by the errors of [Operator.Revoke] and [Operator.Find] for an
// ID that no key has, or that more than one key begins with.
var ErrUnknownKey = errors.New("there is no such key")

// List returns the keys: first the signing keys, then the refresh keys, the newest first
// in each group. An error is the store's, or wraps [ErrNoKeys] or [ErrMasterKey].
func (o Operator) List(ctx context.Context) ([]Key, error) {
	d, _, err := o.load(ctx)
	if err != nil {
		return nil, err
	}
	return d.public(o.now()), nil
}

// Rotate makes the next key of every use and algorithm ahead of the schedule, and returns
// these keys. The servers use them after PublishAhead, and keep the keys before them until
// every token that those made has expired; users and clients notice nothing. If a key is
// already published but not yet in use, Rotate returns that key and makes no new one. The
// errors are those of [Operator.List].
func (o Operator) Rotate(ctx context.Context) ([]Key, error) {
	var next document
	now := o.now()
	err := o.change(ctx, func(d document) (document, error) {
		next = nil
		for _, line := range d.lines() {
			newest := *d.newest(sameLine(line.Use, line.Algorithm))
			if !newest.ActiveFrom.After(now) {
				var err error
				if newest, err = newKey(line.Use, line.Algorithm, now.Add(cmp.Or(o.PublishAhead, DefaultPublishAhead))); err != nil {
					return nil, err
				}
				d = append(d, newest)
			}
			next = append(next, newest)
		}
		return d, nil
	})
	if err != nil {
		return nil, err
	}
	return next.public(now), nil
}

// Revoke takes a key out of use permanently, and returns its new description. id is the
// key's ID, or a beginning of it that no other key has.
//
// The servers remove a revoked signing key from the key set and refuse the access tokens
// that it signed; the clients refresh. The servers refuse the refresh tokens that a
// revoked refresh key made; users whose client holds such a token have to sign in again.
// If the key was in use, another takes its place at once: the next key if it is already
// published, otherwise a new one. No server puts a revoked key back. Revoking a revoked
// key changes nothing.
//
// The error wraps [ErrUnknownKey] if no key or more than one has the ID; the others are
// those of [Operator.List].
func (o Operator) Revoke(ctx context.Context, id string) (Key, error) {
	var revoked document
	now := o.now()
	err := o.change(ctx, func(d document) (document, error) {
		i, err := d.find(id)
		if err != nil {
			return nil, err
		}
		if !d[i].isRevoked() {
			if d, err = d.revoke(i, now); err != nil {
				return nil, err
			}
		}
		revoked = d[i : i+1]
		return d, nil
	})
	if err != nil {
		return Key{}, err
	}
	return revoked.public(now)[0], nil
}

// Find returns the key that [Operator.Revoke] would revoke for the same id. The errors
// are the same.
func (o Operator) Find(ctx context.Context, id string) (Key, error) {
	d, _, err := o.load(ctx)
	if err != nil {
		return Key{}, err
	}
	i, err := d.find(id)
	if err != nil {
		return Key{}, err
	}
	for _, k := range d.public(o.now()) {
		if k.ID == d[i].ID && k.Use == d[i].Use.public() {
			return k, nil
		}
	}
	return Key{}, ErrUnknownKey
}

func (o Operator) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

func (o Operator) load(ctx context.Context) (_ document, version int64, _ error) {
	if o.Store == nil || len(o.MasterKeys) == 0 {
		return nil, 0, errors.New("keys: Operator: Store and MasterKeys are required")
	}
	text, version, err := o.Store.LoadKeys(ctx)
	if err != nil {
		return nil, 0, err
	}
	if version == 0 {
		return nil, 0, ErrNoKeys
	}
	d, _, err := open(text, o.MasterKeys)
	return d, version, err
}

// change replaces the document by the result of do. It calls do again if a server has
// replaced the document in the meantime.
func (o Operator) change(ctx context.Context, do func(document) (document, error)) error {
	return save(func() (done bool, _ error) {
		d, version, err := o.load(ctx)
		if err != nil {
			return false, err
		}
		if d, err = do(d); err != nil {
			return false, err
		}
		text, err := d.seal(o.MasterKeys[0])
		if err != nil {
			return false, err
		}
		return o.Store.SaveKeys(ctx, text, version)
	})
}

// revoke revokes the key at i. If the key was in use, revoke puts another one in its
// place.
func (d document) revoke(i int, now time.Time) (document, error) {
	k := d[i]
	line := sameLine(k.Use, k.Algorithm)
	wasInUse := d.inUse(now, line) == &d[i]
	d[i] = k.revoked(now)
	if !wasInUse {
		return d, nil
	}
	if next := d.newest(line); next != nil && next.ActiveFrom.After(now) {
		next.ActiveFrom = toMillisecond(now)
		return d, nil
	}
	made, err := newKey(k.Use, k.Algorithm, now)
	return append(d, made), err
}

// find returns the index of the one key whose ID is or begins with id.
func (d document) find(id string) (int, error) {
	found := -1
	for i, k := range d {
		switch {
		case k.ID == id:
			return i, nil
		case id == "" || !strings.HasPrefix(k.ID, id):
		case found >= 0:
			return 0, fmt.Errorf("%w: more than one begins with %q", ErrUnknownKey, id)
		default:
			found = i
		}
	}
	if found < 0 {
		return 0, fmt.Errorf("%w: %q", ErrUnknownKey, id)
	}
	return found, nil
}

// lines returns one key of each line (see sameLine) that has a key which is not revoked.
func (d document) lines() document {
	var lines document
	for _, k := range d {
		if !k.isRevoked() && !slices.ContainsFunc(lines, sameLine(k.Use, k.Algorithm)) {
			lines = append(lines, k)
		}
	}
	return lines
}

func (u use) public() string {
	if u == refresh {
		return RefreshKey
	}
	return SigningKey
}

// public returns the keys without their secrets, in the order of [Operator.List].
func (d document) public(now time.Time) []Key {
	list := []Key{}
	for i := range d {
		k := &d[i]
		list = append(list, Key{
			ID: k.ID, Use: k.Use.public(), Algorithm: k.Algorithm,
			InUse:      !k.ActiveFrom.After(now) && d.inUse(now, sameLine(k.Use, k.Algorithm)) == k,
			ActiveFrom: k.ActiveFrom, KeepUntil: k.KeepUntil, RevokedAt: k.RevokedAt,
		})
	}
	slices.SortStableFunc(list, func(a, b Key) int {
		return cmp.Or(-cmp.Compare(a.Use, b.Use), b.ActiveFrom.Compare(a.ActiveFrom))
	})
	return list
}
