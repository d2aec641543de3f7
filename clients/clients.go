// Package clients is the registry of OAuth 2 clients that comes with the server: programs
// that have a name, and a secret unless they are public. It is one document in the store.
package clients

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tandem-auth/tandem/server"
)

// A Store keeps the document. The stores that come with Tandem implement it.
type Store interface {
	// LoadClients returns the document and its version, or nil and 0 if there is none yet.
	LoadClients(ctx context.Context) (document []byte, version int64, err error)

	// SaveClients replaces the document and increments its version, in one atomic
	// compare-and-set, if the version is still from. It reports whether it did so.
	SaveClients(ctx context.Context, document []byte, from int64) (bool, error)
}

var (
	// ErrExists is returned by [Registry.Add] for an ID that is taken.
	ErrExists = errors.New("there is a client with that ID already; remove it first, or choose another ID")
	// ErrNotFound is returned by [Registry.Remove] for an ID that is no client's.
	ErrNotFound = errors.New("there is no client with that ID")
	// ErrNewer is returned for a document that a newer version has written.
	ErrNewer = errors.New("a newer version of Tandem has written the registry of clients: use that version")
)

const (
	// Format 2 has keys of the API for administrators, which a version that knows format 1
	// alone would drop.
	format     = 2
	maxClients = 1000
	attempts   = 10 // at a change that others get in the way of
)

// A Client is an entry of the registry.
type Client struct {
	ID string `json:"id"`
	// Public clients have no secret: whoever names one is taken for it.
	Public bool `json:"public,omitempty"`
	// Audiences are the URLs of the APIs that the client may ask for access tokens for, or
	// whose tokens it may ask about.
	Audiences []string `json:"audiences,omitempty"`
	// MayIntrospect is whether the client may ask about tokens: it is an API.
	MayIntrospect bool      `json:"mayIntrospect,omitempty"`
	CreatedAt     time.Time `json:"createdAt"`

	SecretHash []byte `json:"secretHash,omitempty"`
}

// A Registry reads and changes the clients. It implements [server.Clients]. It reads the
// store at each call, so what one process changes, all servers know at once. It is safe for
// concurrent use.
type Registry struct {
	store Store
	now   func() time.Time
}

// New returns the registry in a store.
func New(store Store) *Registry { return &Registry{store: store, now: time.Now} }

// Client implements [server.Clients].
func (r *Registry) Client(ctx context.Context, id string) (server.Client, error) {
	d, _, err := r.load(ctx)
	if err != nil {
		return server.Client{}, err
	}
	for _, c := range d.Clients {
		if c.ID == id {
			known := server.Client{ID: c.ID, Audiences: c.Audiences, MayIntrospect: c.MayIntrospect}
			if !c.Public && copy(known.SecretHash[:], c.SecretHash) != sha256.Size {
				return server.Client{}, fmt.Errorf("the client %q has a damaged secret", id)
			}
			return known, nil
		}
	}
	return server.Client{}, server.ErrUnknownClient
}

// List returns all clients by ID, without their secrets' hashes.
func (r *Registry) List(ctx context.Context) ([]Client, error) {
	d, _, err := r.load(ctx)
	for i := range d.Clients {
		d.Clients[i].SecretHash = nil
	}
	return d.Clients, err
}

// Add adds a client and returns its secret, which the registry does not keep; "" for a
// public client. It returns [ErrExists] if the ID is taken, and an error that says what is
// wrong for a client that cannot be.
func (r *Registry) Add(ctx context.Context, c Client) (secret string, err error) {
	if err := c.check(); err != nil {
		return "", err
	}
	c.CreatedAt = r.now().UTC().Truncate(time.Second)
	c.SecretHash = nil
	if !c.Public {
		secret = "tandem_cs_" + rand.Text() + rand.Text() // 260 random bits
		hash := server.HashClientSecret(secret)
		c.SecretHash = hash[:]
	}
	err = r.change(ctx, func(all []Client) ([]Client, error) {
		if slices.ContainsFunc(all, func(old Client) bool { return old.ID == c.ID }) {
			return nil, ErrExists
		}
		if len(all) >= maxClients {
			return nil, fmt.Errorf("there are %d clients, and may be no more", maxClients)
		}
		return append(all, c), nil
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// Remove removes a client. From then on its secret is wrong. It returns [ErrNotFound] if
// there is none with that ID.
func (r *Registry) Remove(ctx context.Context, id string) error {
	return r.change(ctx, func(all []Client) ([]Client, error) {
		left := slices.DeleteFunc(slices.Clone(all), func(c Client) bool { return c.ID == id })
		if len(left) == len(all) {
			return nil, ErrNotFound
		}
		return left, nil
	})
}

// idForm is what an ID may be: it goes into headers, logs and shells as it is.
var idForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$`)

func (c Client) check() error {
	if !idForm.MatchString(c.ID) {
		return fmt.Errorf("%q cannot be an ID: want 1 to 64 letters, digits, dots, hyphens and underscores", c.ID)
	}
	if c.ID == server.DefaultClientID {
		return fmt.Errorf("%q is the server's own public client", c.ID)
	}
	if c.Public && c.MayIntrospect {
		return errors.New("a client that may ask about tokens needs a secret, so it cannot be public")
	}
	for _, audience := range c.Audiences {
		u, err := url.Parse(audience)
		if err != nil || u.Scheme == "" || u.Fragment != "" || strings.ContainsAny(audience, " \t\n") {
			return fmt.Errorf("%q cannot be an audience: want an absolute URL without a fragment, such as https://api.example.com", audience)
		}
	}
	return nil
}

// A document is what the store keeps.
type document struct {
	Format    int        `json:"format"`
	Clients   []Client   `json:"clients"`
	AdminKeys []AdminKey `json:"adminKeys,omitempty"`
}

func (r *Registry) load(ctx context.Context) (d document, version int64, err error) {
	text, version, err := r.store.LoadClients(ctx)
	if err != nil || text == nil {
		return document{}, version, err
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return document{}, 0, fmt.Errorf("the registry of clients is damaged: %w", err)
	}
	if d.Format > format {
		return document{}, 0, ErrNewer
	}
	return d, version, nil
}

// change replaces the clients by what to returns.
func (r *Registry) change(ctx context.Context, to func(all []Client) ([]Client, error)) error {
	return r.changeDocument(ctx, func(d *document) (err error) {
		if d.Clients, err = to(d.Clients); err != nil {
			return err
		}
		slices.SortFunc(d.Clients, func(a, b Client) int { return strings.Compare(a.ID, b.ID) })
		return nil
	})
}

// changeDocument has do change the document. If somebody else has changed it meanwhile, it
// tries again.
func (r *Registry) changeDocument(ctx context.Context, do func(*document) error) error {
	for range attempts {
		d, version, err := r.load(ctx)
		if err != nil {
			return err
		}
		if err := do(&d); err != nil {
			return err
		}
		d.Format = 1 // as long as a version that knows no other loses nothing
		if len(d.AdminKeys) > 0 {
			d.Format = format
		}
		text, err := json.Marshal(d)
		if err != nil {
			return err
		}
		saved, err := r.store.SaveClients(ctx, text, version)
		if err != nil || saved {
			return err
		}
	}
	return errors.New("others keep changing the registry of clients; try again")
}
