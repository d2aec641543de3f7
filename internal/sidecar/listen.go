package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// ListenPrivate listens on a Unix socket at path that only its owner can connect to (mode
// 0600); Close removes the socket. ListenPrivate replaces a socket that a killed process
// left at path. It returns an error if a process listens on that socket, if path is
// anything but a socket, and always on Windows.
func ListenPrivate(ctx context.Context, path string) (net.Listener, error) {
	if runtime.GOOS == "windows" {
		return nil, errors.New("on Windows the mode of a socket keeps nobody out: listen on 127.0.0.1")
	}
	if err := isFree(ctx, path); err != nil {
		return nil, err
	}
	// The folder that MkdirTemp makes keeps other users from the socket until its mode is set.
	folder, err := os.MkdirTemp(filepath.Dir(path), ".tandem")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	begun := filepath.Join(folder, "s")
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", begun)
	if err != nil {
		return nil, err
	}
	if unix, ok := listener.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false) // the socket is renamed below; privateListener removes it
	}
	if err := os.Chmod(begun, 0o600); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	if err := os.Rename(begun, path); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return &privateListener{Listener: listener, path: path}, nil
}

// isFree returns an error if path exists and is not a socket that nobody listens on.
func isFree(ctx context.Context, path string) error {
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there already, and is no socket", path)
	}
	var dialer net.Dialer
	if conn, err := dialer.DialContext(ctx, "unix", path); err == nil {
		return errors.Join(fmt.Errorf("another process listens on %s", path), conn.Close())
	}
	return nil
}

type privateListener struct {
	net.Listener
	path string

	once sync.Once
	err  error // of the first Close
}

// Close stops listening and removes the socket. Further calls return the first call's error.
func (l *privateListener) Close() error {
	l.once.Do(func() { l.err = errors.Join(os.Remove(l.path), l.Listener.Close()) })
	return l.err
}
