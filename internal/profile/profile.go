// Package profile stores the servers that the command is signed in to: one folder for
// each, with the server's address and the session's file, unless the session is in the
// keyring.
package profile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/wholefile"
	"github.com/tandem-auth/tandem/tokenstore/filestore"
	"github.com/tandem-auth/tandem/tokenstore/keyringstore"
)

// Default is the name of the profile that the command uses if the user names none.
const Default = "default"

// A Profile is a server and the user's session there.
type Profile struct {
	Name string `json:"-"`
	// URL is the server's address.
	URL string `json:"url"`
	// MovedFrom contains the server's former addresses, the oldest first.
	MovedFrom []string `json:"movedFrom,omitempty"`
	// Origins are further origins that the client sends the access token to.
	Origins []string `json:"origins,omitempty"`
	// Keyring is whether the session is in the operating system's keyring instead of a
	// file.
	Keyring bool `json:"keyring,omitempty"`

	folder string
}

// ErrNone is wrapped by the error for a profile that does not exist.
var ErrNone = errors.New("there is no such profile")

// Root returns the folder that contains all profiles of this user.
func Root() (string, error) {
	base, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find the folder for settings: %w", err)
	}
	return filepath.Join(base, "tandem", "profiles"), nil
}

const (
	settingsFile = "settings.json"
	sessionFile  = "session.json"
)

var goodName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func at(root, name string) (*Profile, error) {
	if !goodName.MatchString(name) {
		return nil, fmt.Errorf("%q cannot be the name of a profile: want letters, digits, dots, dashes and underscores", name)
	}
	return &Profile{Name: name, folder: filepath.Join(root, name)}, nil
}

// Load reads a profile. If there is none, the error wraps [ErrNone].
func Load(root, name string) (*Profile, error) {
	p, err := at(root, name)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(p.folder, settingsFile)
	var text []byte
	if err = checkSettings(path); err == nil {
		text, err = os.ReadFile(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %s", ErrNone, name)
	case err != nil:
		return nil, fmt.Errorf("read the profile: %w", err)
	}
	if err := json.Unmarshal(text, p); err != nil || p.URL == "" {
		return nil, fmt.Errorf("%s is damaged: run tandem logout --forget -p %s, and sign in again", path, name)
	}
	return p, nil
}

// Reread reads the profile again. If it was removed meanwhile, the error wraps
// [ErrNone].
func (p *Profile) Reread() (*Profile, error) { return Load(filepath.Dir(p.folder), p.Name) }

// New returns a new profile for a server. Save writes it to the disk.
func New(root, name, url string) (*Profile, error) {
	p, err := at(root, name)
	if err != nil {
		return nil, err
	}
	p.URL = url
	return p, nil
}

// Save writes the settings to the disk, atomically.
func (p *Profile) Save() error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(p.folder, 0o700); err != nil {
		return fmt.Errorf("make the profile: %w", err)
	}
	if err := wholefile.Write(filepath.Join(p.folder, settingsFile), append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the profile: %w", err)
	}
	return nil
}

// Remove removes the profile and its session, even if they are damaged. It does not
// tell the server. If the keyring does not remove its entry, Remove removes the profile
// nevertheless and returns an error.
func (p *Profile) Remove() error {
	sessionErr := p.ForgetSession()
	if err := os.RemoveAll(p.folder); err != nil {
		return fmt.Errorf("remove the profile: %w", errors.Join(err, sessionErr))
	}
	if p.Keyring && sessionErr != nil {
		return fmt.Errorf("the profile is removed, but its session is still in the keyring: %w", sessionErr)
	}
	return nil // an error about the session file no longer matters: the folder is gone
}

// Remove removes a profile whose settings cannot be read, and its session file. An
// entry in the keyring stays, because only the settings have its name. If there is no
// such profile, the error wraps [ErrNone].
func Remove(root, name string) error {
	p, err := at(root, name)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(p.folder); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrNone, name)
	}
	return p.Remove()
}

// List returns the names of all profiles in alphabetical order.
func List(root string) ([]string, error) {
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the profiles: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if !goodName.MatchString(entry.Name()) {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, entry.Name(), settingsFile)); err == nil {
			names = append(names, entry.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// keyringService is the service name of the command's entries in the keyring.
const keyringService = "tandem"

// Store returns the store of the profile's pair. Without a keyring, the error wraps
// [keyringstore.ErrUnavailable]; for a session that cannot be used, see [Unusable].
func (p *Profile) Store() (tandem.Store, error) {
	if !p.Keyring {
		return filestore.Open(p.sessionPath())
	}
	return keyringstore.Open(keyringService, p.keyringUser())
}

// Unusable reports whether an error of [Profile.Store] means that the session cannot be
// used as it is: it is damaged, has the wrong owner or mode, or was written by a newer
// version. [Profile.ForgetSession] removes such a session.
func Unusable(err error) bool {
	if unsafe, ok := errors.AsType[*filestore.UnsafeError](err); ok {
		return filepath.Base(unsafe.Path) == sessionFile // not an error about its folder
	}
	return errors.Is(err, filestore.ErrUnusable) || keyringstore.Unusable(err)
}

// Newer reports whether an error of [Profile.Store] means that a newer version has
// written the session, which may be valid for that version.
func Newer(err error) bool {
	return errors.Is(err, filestore.ErrNewer) || errors.Is(err, keyringstore.ErrNewer)
}

// ForgetSession removes the session, whatever it contains. It does not tell the server.
func (p *Profile) ForgetSession() error {
	if p.Keyring {
		return keyringstore.Forget(keyringService, p.keyringUser())
	}
	return filestore.Forget(p.sessionPath())
}

func (p *Profile) sessionPath() string { return filepath.Join(p.folder, sessionFile) }

// keyringUser returns the user name of the keyring's entry: the server's first address,
// so that the entry stays when the server moves.
func (p *Profile) keyringUser() string {
	first := p.URL
	if len(p.MovedFrom) > 0 {
		first = p.MovedFrom[0]
	}
	return p.Name + " (" + first + ")"
}
