package main

import (
	"strings"
	"testing"
)

// What others have chosen, as a user's name and a server's message, does not play with
// the terminal.
func TestNothingHiddenGetsToATerminal(t *testing.T) {
	var out, errs strings.Builder
	c := console{out: &out, err: &errs}
	if err := c.print(nil, "Signed in as %s.\n", "ann\x1b[2J\u202e"); err != nil {
		t.Fatal(err)
	}
	c.report(failure{Message: "the server says \x1b]0;x\x07no\u200b\nand no"})
	if got := out.String(); got != "Signed in as ann[2J.\n" {
		t.Errorf("printed %q", got)
	}
	if got := errs.String(); got != "tandem: the server says ]0;xno\nand no\n" {
		t.Errorf("reported %q", got)
	}
}
