package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/tandem-auth/tandem/internal/admin"
	"github.com/tandem-auth/tandem/internal/sqlitefile"
	"github.com/tandem-auth/tandem/internal/storage"
	"github.com/tandem-auth/tandem/keys"
)

// storeFlags name the store in which a server keeps sessions, users and keys.
type storeFlags struct {
	Data      string `placeholder:"DIR" help:"Folder for the database and its master key; made if it is not there. Short for --store sqlite:DIR/tandem.db."`
	StoreFile string `placeholder:"FILE" help:"File with the URL of --store, for a URL with a password."`
	Store     string `placeholder:"URL" help:"Where sessions, users and keys are: sqlite:PATH, postgres://USER@HOST/DATABASE or redis://HOST:PORT/NUMBER. A URL with a password belongs into TANDEM_STORE, the config file or --store-file."`
}

// Validate refuses both flags, neither of them, and a store URL that is not valid.
func (f *storeFlags) Validate() error {
	_, err := f.location()
	return err
}

func (f *storeFlags) location() (storage.Location, error) {
	switch {
	case f.Data != "" && f.Store != "":
		return storage.Location{}, errors.New("--data and --store (TANDEM_DATA and TANDEM_STORE) name two places; give one")
	case f.StoreFile != "" && f.Data+f.Store != "":
		return storage.Location{}, errors.New("--store-file (TANDEM_STORE_FILE) names a place beside that of --data or --store; give one")
	case f.Data != "":
		return storage.Folder(f.Data), nil
	case f.StoreFile != "":
		return locationIn(f.StoreFile)
	case f.Store == "":
		return storage.Location{}, errors.New("missing flags: --data=DIR or --store=URL")
	}
	location, err := storage.Parse(f.Store)
	switch {
	case err != nil:
		return storage.Location{}, fmt.Errorf("--store: %w", err)
	case location.HasPassword() && slices.ContainsFunc(os.Args, func(arg string) bool { return strings.Contains(arg, f.Store) }):
		return storage.Location{}, errors.New("--store: there is a password in the URL, and everybody on this machine can read the arguments of a command: " +
			"put the URL into the environment variable TANDEM_STORE or into the config file")
	}
	return location, nil
}

// locationIn reads the URL of a store from a file.
func locationIn(file string) (storage.Location, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return storage.Location{}, fmt.Errorf("--store-file: %w", err)
	}
	location, err := storage.Parse(strings.TrimSpace(strings.TrimPrefix(string(text), byteOrderMark)))
	if err != nil {
		return storage.Location{}, fmt.Errorf("--store-file: in %s: %w", file, err)
	}
	return location, nil
}

// masterKeyVariable is the environment variable with master keys, in the format of the
// file that --master-key-file names.
const masterKeyVariable = "TANDEM_MASTER_KEY"

// masterKeys returns the master keys in the file or, if file is empty, in the environment.
// It returns none if neither is set.
func masterKeys(file string) ([]keys.MasterKey, error) {
	if file != "" {
		found, err := sqlitefile.ReadMasterKeys(file)
		if err != nil {
			return nil, fmt.Errorf("--master-key-file: %w", err)
		}
		return found, nil
	}
	text := os.Getenv(masterKeyVariable)
	if text == "" {
		return nil, nil
	}
	found, err := keys.ParseMasterKeys([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", masterKeyVariable, err)
	}
	return found, nil
}

type masterKeyCommand struct {
	File string `arg:"" help:"The file to write; it must not be there yet."`
}

// Run makes a master key.
func (cmd *masterKeyCommand) Run(c console) error {
	key, err := keys.NewMasterKey()
	if err != nil {
		return err
	}
	if err := sqlitefile.WriteMasterKey(cmd.File, key); err != nil {
		return err
	}
	return c.print(masterKeyAnswer{File: cmd.File, Fingerprint: key.Fingerprint()},
		"Wrote a master key to %s (fingerprint %s). Give it to every server that shares\na store, keep a copy, and keep it apart from the store's backups.\n", cmd.File, key.Fingerprint())
}

// A masterKeyAnswer is the result that --json prints.
type masterKeyAnswer struct {
	File        string `json:"file"`
	Fingerprint string `json:"fingerprint"`
}

// withOperator calls do with an operator of the store. Servers may use the store at the same
// time.
func (f *storeFlags) withOperator(ctx context.Context, do func(admin.Operator) error) error {
	return f.withStore(ctx, func(s storage.Store) error { return do(admin.NewOperator(s)) })
}

// withStore calls do with the store, which must exist.
func (f *storeFlags) withStore(ctx context.Context, do func(storage.Store) error) error {
	location, err := f.location()
	if err != nil {
		return err
	}
	if !location.Exists() {
		return fmt.Errorf("there is no database %s; is --data or --store right? tandem user add makes one", location.Path())
	}
	return openStore(ctx, location, do)
}

// withNewStore is withOperator for a command that makes the store if there is none.
func (f *storeFlags) withNewStore(ctx context.Context, do func(admin.Operator) error) error {
	location, err := f.location()
	if err != nil {
		return err
	}
	return openStore(ctx, location, func(s storage.Store) error { return do(admin.NewOperator(s)) })
}

func openStore(ctx context.Context, location storage.Location, do func(storage.Store) error) (err error) {
	s, err := location.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return do(s)
}
