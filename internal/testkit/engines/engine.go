// Package engines starts real database servers for tests and measurements, from the
// programs installed on the machine. Each server has a free port and a folder of its
// own.
package engines

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// ErrNotInstalled is wrapped by the error for a missing program.
var ErrNotInstalled = errors.New("is not installed")

// An Engine is a database server that can be stopped, killed, started again and set
// back to an earlier state. Only one goroutine may use it.
type Engine struct {
	// Port is the port on 127.0.0.1 at which the server listens while it runs.
	Port int
	// Folder contains the server's files, in Folder/data.
	Folder string

	program string
	args    []string
	ready   string // part of the line with which the server reports that it is ready
	end     os.Signal
	run     *run // nil while the server is stopped
}

// A run is the process from one start to its end.
type run struct {
	cmd     *exec.Cmd
	output  sync.WaitGroup
	started chan struct{} // closed once the process reports that it is ready, or has ended
	ready   bool
	said    []string
}

// newEngine creates the folder in another one, or with "" where temporary files are. It is
// owned by the user that the process runs as.
func newEngine(parent, program, ready string, end os.Signal) (*Engine, error) {
	path, err := findProgram(program)
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp(parent, "tandem-"+program+"-")
	if err != nil {
		return nil, err
	}
	e := &Engine{Folder: folder, program: path, ready: ready, end: end}
	if err := errors.Join(os.Mkdir(e.data(), 0o700), e.own(folder), e.own(e.data())); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	if e.Port, err = freePort(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return e, nil
}

// debianPostgres is where Debian installs PostgreSQL's programs, outside of PATH.
const debianPostgres = "/usr/lib/postgresql/*/bin/"

func findProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	found, _ := filepath.Glob(debianPostgres + name)
	found = append(found, "/usr/sbin/"+name)
	for _, path := range slices.Backward(found) { // the newest version first
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s %w", name, ErrNotInstalled)
}

func freePort() (int, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

func (e *Engine) data() string { return filepath.Join(e.Folder, "data") }

// Address returns the server's host and port.
func (e *Engine) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(e.Port)) }

// own makes a file belong to the user that the process runs as.
func (e *Engine) own(path string) error {
	if os.Getuid() != 0 {
		return nil
	}
	return os.Lchown(path, nobody, nobody)
}

// command returns a command that runs as the server's user.
func (e *Engine) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...) //nolint:noctx // Stop ends it
	cmd.Dir = e.Folder
	cmd.SysProcAttr = ownGroup()
	return cmd
}

// Start starts a stopped server and waits until it accepts connections.
func (e *Engine) Start() error {
	if e.run != nil {
		return errors.New("it is running already")
	}
	r := &run{cmd: e.command(e.program, e.args...), started: make(chan struct{})}
	output, input, err := os.Pipe()
	if err != nil {
		return err
	}
	r.cmd.Stdout, r.cmd.Stderr = input, input
	err = r.cmd.Start()
	_ = input.Close()
	if err != nil {
		return errors.Join(err, output.Close())
	}
	r.output.Go(func() { r.read(output, e.ready) })
	<-r.started
	if !r.ready {
		r.output.Wait()
		return fmt.Errorf("%s did not start: %w\n%s", e.program, r.cmd.Wait(), strings.Join(r.said, "\n"))
	}
	e.run = r
	return nil
}

// read reads the process's output until the process and its children have ended.
func (r *run) read(output io.ReadCloser, ready string) {
	defer output.Close()
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if !r.ready {
			r.said = append(r.said, lines.Text())
		}
		if !r.ready && strings.Contains(lines.Text(), ready) {
			r.ready = true
			close(r.started)
		}
	}
	if !r.ready {
		close(r.started)
	}
}

// Stop stops the server in an orderly way. It may be called twice.
func (e *Engine) Stop() error { return e.signal(e.end) }

// Kill kills the process, as a crash would.
func (e *Engine) Kill() error { return e.signal(os.Kill) }

// Pause makes the server hang until Resume, like a machine under extreme load.
func (e *Engine) Pause() error { return e.run.cmd.Process.Signal(pauseSignal) }

// Resume lets a paused server continue.
func (e *Engine) Resume() error { return e.run.cmd.Process.Signal(resumeSignal) }

func (e *Engine) signal(s os.Signal) error {
	if e.run == nil {
		return nil
	}
	if err := e.run.cmd.Process.Signal(s); err != nil {
		return err
	}
	e.run.output.Wait() // its children have ended, too
	_ = e.run.cmd.Wait()
	e.run = nil
	return nil
}

// Close stops the server and removes its files. It may be called twice.
func (e *Engine) Close() error { return errors.Join(e.Stop(), os.RemoveAll(e.Folder)) }

// Save copies the server's files as they are on the disk. Stop the server before.
func (e *Engine) Save() error { return e.copyFiles(e.data(), filepath.Join(e.Folder, "saved")) }

// GoBack replaces the server's files with the copy that Save has made. Stop the server
// before.
func (e *Engine) GoBack() error { return e.copyFiles(filepath.Join(e.Folder, "saved"), e.data()) }

func (e *Engine) copyFiles(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	return filepath.WalkDir(to, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o600)
		if entry.IsDir() {
			mode = 0o700
		}
		return errors.Join(os.Chmod(path, mode), e.own(path)) //nolint:gosec // the folder is ours
	})
}
