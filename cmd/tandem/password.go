package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/term"
)

// readPassword asks for a new password twice at a terminal; without a terminal it reads
// the first line of standard input.
func readPassword(ctx context.Context, c console) (string, error) {
	if !c.asks() {
		return readLine(c)
	}
	first, err := prompt(ctx, c, "Password: ")
	if err != nil {
		return "", err
	}
	again, err := prompt(ctx, c, "Again: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", errors.New("the two passwords differ; nothing was changed")
	}
	return first, nil
}

// readOnePassword is readPassword for an existing password: it asks once.
func readOnePassword(ctx context.Context, c console) (string, error) {
	if !c.asks() {
		return readLine(c)
	}
	return prompt(ctx, c, "Password: ")
}

func readLine(c console) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(c.in, 64<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password from standard input: %w", err)
	}
	line = strings.TrimPrefix(strings.TrimRight(line, "\r\n"), byteOrderMark)
	if line == "" {
		return "", errors.New("no password on standard input")
	}
	return line, nil
}

// prompt asks for a line without echo. When ctx ends, prompt restores the terminal and
// returns; its goroutine reads on until the process ends.
func prompt(ctx context.Context, c console, text string) (string, error) {
	fd := int(c.in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	fmt.Fprint(c.err, text)
	type line struct {
		text []byte
		err  error
	}
	typed := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		typed <- line{text, err}
	}()
	defer fmt.Fprintln(c.err)
	select {
	case l := <-typed:
		if l.err != nil {
			return "", fmt.Errorf("read the password: %w", l.err)
		}
		return string(l.text), nil
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), term.Restore(fd, before))
	}
}
