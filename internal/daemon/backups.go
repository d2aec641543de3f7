package daemon

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tandem-auth/tandem/internal/backup"
)

// startBackups starts the schedule, if there is one.
func (d *Daemon) startBackups() (err error) {
	config := d.config.Backup
	if config.Dir == "" {
		return nil
	}
	database, ok := d.place.Store.(interface {
		Backup(ctx context.Context, to string) error
	})
	if !ok {
		return errors.New("--backup-dir is for SQLite")
	}
	config.Database, config.Copy, config.Logger, config.Now = d.config.Store.Path(), database.Backup, d.config.Logger, d.config.Now
	if d.monitor != nil {
		config.Done = d.monitor.backupDone()
	}
	d.backups, err = backup.Start(config)
	return err
}

// backupDone registers the metrics of backups, and returns what keeps them.
func (m *monitor) backupDone() func(at time.Time, err error) {
	last := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tandem_backup_last_success_timestamp_seconds", Help: "When the newest backup was made, in seconds since 1970; 0 if there is none.",
	})
	failures := prometheus.NewCounter(prometheus.CounterOpts{Name: "tandem_backup_failures_total", Help: "Backups that failed."})
	m.registry.MustRegister(last, failures)
	return func(at time.Time, err error) {
		if err != nil {
			failures.Inc()
			return
		}
		last.Set(float64(at.Unix()))
	}
}
