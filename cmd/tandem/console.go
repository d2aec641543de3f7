package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/user"

	"golang.org/x/term"

	"github.com/tandem-auth/tandem/internal/admin"
	"github.com/tandem-auth/tandem/internal/visible"
)

// A console is the input and output of a command.
type console struct {
	in       *os.File
	out, err io.Writer
	// args is the command line.
	args []string
	// json makes the command print results and errors as JSON, one value a line.
	json bool
	// log is the output of the command's logger. run closes it when the command has ended.
	log *logOutput
}

// print prints a result: the text, or the value as JSON. It removes hidden characters from
// the string arguments of the text.
func (c console) print(value any, format string, args ...any) error {
	if c.json {
		return printJSON(c.out, value)
	}
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = visible.Text(text)
		}
	}
	_, err := fmt.Fprintf(c.out, format, args...)
	return err
}

// asks reports whether standard input is a terminal, so that the command can ask its user.
func (c console) asks() bool { return term.IsTerminal(int(c.in.Fd())) }

// printJSON prints a value as one line of JSON.
func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// by says who runs the command, for the audit log.
func (c console) by() admin.By {
	name := os.Getenv("SUDO_USER")
	if name == "" {
		if u, err := user.Current(); err == nil && u.Username != "" {
			name = u.Username
		} else {
			name = fmt.Sprintf("uid %d", os.Getuid())
		}
	}
	return admin.By{Actor: "command:" + name}
}
