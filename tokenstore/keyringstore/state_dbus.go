//go:build (dragonfly && cgo) || (freebsd && cgo) || linux || netbsd || openbsd

package keyringstore

import (
	"context"
	"errors"
	"strings"

	"github.com/godbus/dbus/v5"
)

// Names of the Secret Service API.
const (
	secretService = "org.freedesktop.secrets"
	servicePath   = "/org/freedesktop/secrets"
	loginPath     = servicePath + "/collection/login"
	defaultPath   = servicePath + "/aliases/default"

	collectionsProperty = "org.freedesktop.Secret.Service.Collections"
	lockedProperty      = "org.freedesktop.Secret.Collection.Locked"
)

// ask asks the Secret Service for its state on a connection of its own, until ctx ends.
// It uses only calls that open no prompt.
func ask(ctx context.Context) state {
	conn, err := dbus.SessionBusPrivateNoAutoStartup(dbus.WithContext(ctx)) // closed when ctx ends
	if err != nil {
		return absent
	}
	defer conn.Close()
	if err := conn.Auth(nil); err != nil {
		return stateOf(ctx, err)
	}
	if err := conn.Hello(); err != nil {
		return stateOf(ctx, err)
	}
	collections, err := property(ctx, conn, servicePath, collectionsProperty)
	if err != nil {
		return stateOf(ctx, err)
	}
	path := dbus.ObjectPath(defaultPath) // the library's default if there is no other
	if paths, _ := collections.([]dbus.ObjectPath); len(paths) > 0 {
		for _, p := range paths {
			if p == loginPath {
				path = p
			}
		}
	}
	isLocked, err := property(ctx, conn, path, lockedProperty)
	if err != nil {
		return stateOf(ctx, err)
	}
	if isLocked == true {
		return locked
	}
	return answering
}

func property(ctx context.Context, conn *dbus.Conn, path dbus.ObjectPath, name string) (any, error) {
	dot := strings.LastIndexByte(name, '.')
	var value dbus.Variant
	err := conn.Object(secretService, path).
		CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, name[:dot], name[dot+1:]).Store(&value)
	return value.Value(), err
}

// stateOf returns the state of the keyring that an error implies. An error that the
// keyring itself returned is an answer.
func stateOf(ctx context.Context, err error) state {
	if ctx.Err() != nil {
		return silent
	}
	var reply dbus.Error
	if !errors.As(err, &reply) {
		return absent // there is no bus
	}
	const prefix = "org.freedesktop.DBus.Error."
	switch name := strings.TrimPrefix(reply.Name, prefix); {
	case name == "ServiceUnknown", name == "NameHasNoOwner", strings.HasPrefix(name, "Spawn."):
		return absent
	case name == "NoReply", name == "TimedOut", name == "Timeout":
		return silent
	}
	return answering
}
