package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os/signal"
	"syscall"

	"github.com/tandem-auth/tandem/internal/loglines"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
)

type logFlags struct {
	LogLevel  slog.Level `default:"info" help:"Least important lines to log: debug, info, warn or error (default ${default})."`
	LogFormat string     `enum:"text,json" default:"text" help:"text or json (default ${default})."`
}

// A logOutput holds the writer of a command's log, which is nil until the command calls
// logger, and the level of the log, which may change.
type logOutput struct {
	lines *loglines.Writer
	level slog.LevelVar
}

func (l *logOutput) close() {
	if l.lines != nil {
		_ = l.lines.Close()
	}
}

// logger returns the command's log. After this call the command keeps running if the reader
// of the log stalls or exits: the writer drops lines, and the process ignores SIGPIPE, which
// would end it.
func (f logFlags) logger(c console) *slog.Logger {
	signal.Ignore(syscall.SIGPIPE)
	c.log.level.Set(f.LogLevel)
	handler := func(to io.Writer) slog.Handler {
		options := &slog.HandlerOptions{Level: &c.log.level}
		if f.LogFormat == "json" || c.json {
			return slog.NewJSONHandler(to, options)
		}
		return slog.NewTextHandler(to, options)
	}
	c.log.lines = loglines.New(c.err, func(dropped int) []byte {
		var line bytes.Buffer
		slog.New(handler(&line)).Error("lines of this log were dropped because nobody read them", "lines", dropped)
		return line.Bytes()
	})
	return slog.New(handler(c.log.lines))
}

// logEvents returns a function that logs the server's events: routine ones at debug level,
// those that an operator should look into at warn.
func logEvents(logger *slog.Logger) func(server.Event) {
	levels := map[server.EventKind]slog.Level{
		server.EventSignedIn:      slog.LevelInfo,
		server.EventSignInFailed:  slog.LevelInfo,
		server.EventSignInLimited: slog.LevelInfo,
		server.EventSignInRefused: slog.LevelInfo,
		server.EventSessionEnded:  slog.LevelInfo,
		// If a thief does nothing but repeat a stolen token, these events are the only trace.
		server.EventRefreshRetried: slog.LevelInfo,
		server.EventRefreshStale:   slog.LevelInfo,
		server.EventRefreshRefused: slog.LevelInfo,
		server.EventReuseDetected:  slog.LevelWarn,
		server.EventStoreWentBack:  slog.LevelWarn,
	}
	return func(e server.Event) {
		level, listed := levels[e.Kind]
		if !listed {
			level = slog.LevelDebug
		}
		if !logger.Enabled(context.Background(), level) {
			return
		}
		attrs := []slog.Attr{slog.String("ip", e.IP)}
		if e.Subject != "" {
			attrs = append(attrs, slog.String("subject", e.Subject))
		}
		if e.Session != (rotation.SessionID{}) {
			attrs = append(attrs, slog.String("session", e.Session.String()))
		}
		if e.Reason != "" {
			attrs = append(attrs, slog.String("reason", string(e.Reason)))
		}
		if e.RequestID != "" {
			attrs = append(attrs, slog.String("request_id", e.RequestID))
		}
		logger.LogAttrs(context.Background(), level, string(e.Kind), attrs...) //nolint:sloglint // the kinds are a fixed set
	}
}
