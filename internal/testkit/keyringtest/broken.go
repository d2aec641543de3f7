package keyringtest

import (
	"errors"
	"os"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"
)

// Names of the Secret Service API.
const (
	secretService = "org.freedesktop.secrets"
	serviceName   = "org.freedesktop.Secret.Service"
	servicePath   = dbus.ObjectPath("/org/freedesktop/secrets")
	loginPath     = servicePath + "/collection/login"
	promptPath    = servicePath + "/prompt/1"
)

// connect returns a connection to the test's bus.
func connect(t *testing.T) *dbus.Conn {
	t.Helper()
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func own(t *testing.T, conn *dbus.Conn) {
	t.Helper()
	if reply, err := conn.RequestName(secretService, dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(reply, err)
	}
}

// Empty starts a message bus without a keyring, with the environment of [Start].
func Empty(t *testing.T) {
	t.Helper()
	startBus(t)
}

// Silent starts a keyring that accepts every call and answers none, with the
// environment of [Start].
func Silent(t *testing.T) {
	t.Helper()
	startBus(t)
	conn := connect(t)
	own(t, conn)
	conn.Eavesdrop(make(chan *dbus.Message)) // nobody reads the messages that arrive
}

// Prompting starts a locked keyring whose prompt nobody answers, with the environment
// of [Start]. It returns the process of the bus.
func Prompting(t *testing.T) *os.Process {
	t.Helper()
	bus := startBus(t)
	conn := connect(t)
	_, serviceErr := prop.Export(conn, servicePath, prop.Map{serviceName: {
		"Collections": {Value: []dbus.ObjectPath{loginPath}},
	}})
	_, loginErr := prop.Export(conn, loginPath, prop.Map{"org.freedesktop.Secret.Collection": {
		"Locked": {Value: true},
	}})
	err := errors.Join(serviceErr, loginErr,
		conn.ExportMethodTable(map[string]any{
			"Unlock": func([]dbus.ObjectPath) ([]dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) { return nil, promptPath, nil },
		}, servicePath, serviceName),
		conn.ExportMethodTable(map[string]any{
			"Prompt": func(string) *dbus.Error { return nil },
		}, promptPath, "org.freedesktop.Secret.Prompt"))
	if err != nil {
		t.Fatal(err)
	}
	own(t, conn)
	return bus
}

// LockKeyring locks the keyring that [Start] has started.
func LockKeyring(t *testing.T) {
	t.Helper()
	err := connect(t).Object(secretService, servicePath).Call(serviceName+".Lock", 0, []dbus.ObjectPath{loginPath}).Err
	if err != nil {
		t.Fatal(err)
	}
}
