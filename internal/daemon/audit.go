package daemon

import (
	"context"
	"net/http"

	"github.com/tandem-auth/tandem/audit"
	"github.com/tandem-auth/tandem/clients"
	"github.com/tandem-auth/tandem/internal/admin"
	"github.com/tandem-auth/tandem/keys"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
)

func (d *Daemon) openAudit() (err error) {
	config := d.config.Audit
	config.Store, config.Logger = d.place.Store, d.config.Logger
	d.audit, err = audit.Open(config)
	return err
}

// recordStart records that the daemon serves.
func (d *Daemon) recordStart() {
	r := audit.New(audit.ServerStart, audit.ActorServer)
	r.Target = d.Address()
	d.audit.Add(r)
	d.serving.Store(true)
}

// closeAudit records that the daemon stops, and closes the log.
func (d *Daemon) closeAudit() error {
	if d.serving.Swap(false) {
		d.audit.Add(audit.New(audit.ServerStop, audit.ActorServer))
	}
	return d.audit.Close()
}

// onEvent passes an event of the server on.
func (d *Daemon) onEvent(e server.Event) {
	if r, ok := audit.Of(e); ok {
		d.audit.Add(r)
	}
	if d.monitor != nil {
		d.monitor.server.Event(e)
	}
	if d.config.OnEvent != nil {
		d.config.OnEvent(e)
	}
}

// adminAPI returns the API for administrators.
func (d *Daemon) adminAPI() http.Handler {
	operator := admin.NewOperator(d.place.Store)
	operator.Users = d.directory
	operator.Record = func(_ context.Context, r store.AuditRecord) error {
		d.audit.Add(r)
		return nil
	}
	if d.monitor != nil {
		operator.Ended = d.monitor.server.Ended
	}
	api := &admin.API{
		Operator: operator,
		Registry: clients.New(d.place.Store),
		Keys:     keys.Operator{Store: d.place.Store, MasterKeys: d.place.MasterKeys, PublishAhead: d.config.PublishKeys},
		Server:   d.server,
		Logger:   d.config.Logger,
		Refused:  d.audit.Add,
	}
	return api.Handler()
}
