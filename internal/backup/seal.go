// Package backup makes backups of a SQLite database on a schedule, seals them, and tries
// whether one can be restored.
package backup

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"github.com/tandem-auth/tandem/internal/wholefile"
)

// ParseRecipients reads the public keys of age (age1…) to which backups are sealed.
func ParseRecipients(texts []string) ([]age.Recipient, error) {
	var recipients []age.Recipient
	for _, text := range texts {
		recipient, err := age.ParseX25519Recipient(strings.TrimSpace(text))
		if strings.HasPrefix(strings.TrimSpace(text), "AGE-SECRET-KEY-") {
			return nil, errors.New("this is a secret key, which belongs into a file that the server does not have; the recipient begins with age1")
		}
		if err != nil {
			return nil, fmt.Errorf("%q is no recipient, which begins with age1: tandem backup-key makes one", text)
		}
		recipients = append(recipients, recipient)
	}
	return recipients, nil
}

// Seal returns a function that encrypts to the recipients what is written to its result. It
// returns nil, for no encryption, if there are no recipients.
func Seal(recipients []age.Recipient) func(io.Writer) (io.WriteCloser, error) {
	if len(recipients) == 0 {
		return nil
	}
	return func(w io.Writer) (io.WriteCloser, error) { return age.Encrypt(w, recipients...) }
}

// sealedIntro is what a sealed file begins with.
const sealedIntro = "age-encryption.org/v1\n"

// Errors about sealed backups.
var (
	ErrSealed       = errors.New("the backup is sealed; name the file with the key that opens it with --identity")
	ErrWrongKey     = errors.New("the key in the file of --identity is not one that the backup was sealed for")
	errCannotDecode = errors.New("the backup is damaged or was cut short")
)

// Open returns a function that decrypts a backup with the keys in a file, or passes on one
// that is not sealed. Without a file it refuses a sealed backup with [ErrSealed].
func Open(identityFile string) (func(io.Reader) (io.Reader, error), error) {
	var identities []age.Identity
	if identityFile != "" {
		f, err := os.Open(identityFile)
		if err != nil {
			return nil, fmt.Errorf("--identity: %w", err)
		}
		defer f.Close()
		if identities, err = age.ParseIdentities(f); err != nil {
			return nil, fmt.Errorf("--identity: %s has no key that tandem backup-key or age-keygen makes", identityFile)
		}
	}
	return func(r io.Reader) (io.Reader, error) {
		buffered := bufio.NewReader(r)
		start, err := buffered.Peek(len(sealedIntro))
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if !bytes.Equal(start, []byte(sealedIntro)) {
			return buffered, nil
		}
		if len(identities) == 0 {
			return nil, ErrSealed
		}
		opened, err := age.Decrypt(buffered, identities...)
		if _, isWrong := errors.AsType[*age.NoIdentityMatchError](err); isWrong {
			return nil, ErrWrongKey
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errCannotDecode, err)
		}
		return opened, nil
	}, nil
}

// NewKey makes a key, writes it to a new file for its owner alone, and returns the recipient
// that seals for it.
func NewKey(file string) (recipient string, err error) {
	if _, err := os.Lstat(file); err == nil {
		return "", fmt.Errorf("%s is there already; choose another name", file)
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return "", err
	}
	recipient = identity.Recipient().String()
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = fmt.Fprintf(f, "# opens backups that are sealed for %s\n%s\n", recipient, identity)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(file))
	}
	return recipient, wholefile.SyncFolder(filepath.Dir(file))
}
