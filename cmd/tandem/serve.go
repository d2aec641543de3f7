package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/tandem-auth/tandem/internal/daemon"
)

type serveCommand struct {
	serveFlags `embed:""`
}

// Run serves until the context ends, and reads the settings again at SIGHUP.
func (cmd *serveCommand) Run(ctx context.Context, c console) error {
	logger := cmd.logger(c)
	warnOfVariables(ctx, logger)
	config, err := cmd.daemonConfig()
	if err != nil {
		return err
	}
	config.Logger, config.OnEvent = logger, logEvents(logger)
	tune(config.Store.Path() != "")
	d, err := daemon.Open(ctx, config)
	if err != nil {
		return nameFlag(err)
	}
	stop := onHangup(ctx, func() { reload(ctx, c, logger, d) })
	defer stop()
	logger.InfoContext(ctx, "listening", "address", d.Address(), "url", d.URL(), "store", config.Store.String())
	if address := d.MetricsAddress(); address != "" {
		logger.InfoContext(ctx, "metrics", "url", "http://"+address+"/metrics")
	}
	err = d.Serve(ctx)
	logger.InfoContext(ctx, "stopped")
	return err
}

// onHangup calls do at each SIGHUP, until the context ends or stop is called.
func onHangup(ctx context.Context, do func()) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-signals:
				do()
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		cancel()
		<-ended
	}
}

// reload reads the settings again and takes over what a running server can change. A
// mistake changes nothing.
func reload(ctx context.Context, c console, logger *slog.Logger, d *daemon.Daemon) {
	next, err := c.settings()
	if err != nil {
		logger.ErrorContext(ctx, "the settings were not reloaded: the server goes on with those before", "error", err)
		return
	}
	config, err := next.daemonConfig()
	if err == nil {
		var fields []string
		if fields, err = d.Reload(config); err == nil {
			c.log.level.Set(next.LogLevel)
			logger.InfoContext(ctx, "reloaded the settings", "restart_needed_for", strings.Join(flagsOf(fields), " "))
			return
		}
	}
	logger.ErrorContext(ctx, "the settings were not reloaded: the server goes on with those before", "error", nameFlag(err))
}
