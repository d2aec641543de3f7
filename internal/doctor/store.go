package doctor

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/tandem-auth/tandem/internal/backup"
	"github.com/tandem-auth/tandem/internal/sqlitefile"
	"github.com/tandem-auth/tandem/keys"
)

const (
	pings = 20
	// slowPing is from when on a store is slow: each refresh waits for it once or twice.
	slowPing = 50 * time.Millisecond
)

// openStore looks at the schema of the store, whether it can be read and written, and how
// fast it is. It does not create or migrate a store.
func (e *Examination) openStore(ctx context.Context) {
	location := e.Config.Store
	if !location.Exists() {
		e.report(Info, "store", "", "%s is not there yet; tandem user recover or the first start makes it", location)
		return
	}
	switch is, known, err := location.Schema(ctx); {
	case err != nil && location.Path() != "":
		e.report(Fail, "store", "restore a backup if the file is damaged; tandem restore --check tries one", "%v", err)
		return
	case err != nil:
		e.report(Fail, "store", "see whether it runs, and whether the address, the password and the network are right", "%v", err)
		return
	case is > known:
		e.report(Fail, "store", "run the newer version, or restore a backup that this one has made", "a newer version has written %s (schema %d; this one knows %d)", location, is, known)
		return
	case is == 0:
		e.report(Info, "store", "", "%s is reached, and has no tables yet; the first start makes them", location)
		return
	case is < known:
		e.report(Warn, "store", "make a backup before the first start of this version: the older one cannot open the store after that",
			"the next start brings %s from schema %d to %d", location, is, known)
		return
	}
	began := time.Now()
	opened, err := location.Open(ctx)
	if err != nil {
		e.report(Fail, "store", "the server could not start either", "%v", err)
		return
	}
	e.store = opened
	took := make([]time.Duration, 0, pings)
	opening := time.Since(began)
	for range pings {
		began := time.Now()
		if err := opened.Ping(ctx); err != nil {
			e.report(Fail, "store", "the server answers 503 until this is mended", "%v", err)
			return
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	level, mend := OK, ""
	if took[pings/2] > slowPing {
		level, mend = Warn, "bring the store and the servers closer together, or give the store a faster disk"
	}
	e.report(level, "store", mend, "%s opens in %s and takes a write in %s (half of %d tries; the slowest %s)",
		location, round(opening), round(took[pings/2]), pings, round(took[pings-1]))
	if s, ok := opened.(interface{ Warning() string }); ok && s.Warning() != "" {
		e.report(Warn, "store", "change the settings of the database server, or accept the risk: docs/stores.md", "it may lose what it has confirmed: %s", s.Warning())
	}
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// backups looks at whether the newest backup is as new as the schedule has it.
func (e *Examination) backups(context.Context) {
	c := e.Config.Backup
	if c.Dir == "" {
		if e.Config.Store.Path() != "" {
			e.report(Info, "backups", "", "none are made on a schedule; --backup-dir makes them")
		}
		return
	}
	every := cmp.Or(c.Every, backup.DefaultEvery)
	switch at, err := backup.Newest(c.Dir); {
	case errors.Is(err, fs.ErrNotExist), err == nil && at.IsZero():
		e.report(Info, "backups", "", "there is none in %s yet; a server makes the first when it starts", c.Dir)
	case err != nil:
		e.report(Fail, "backups", "let the user of the server read and write the folder", "%v", err)
	case e.Now().Sub(at) > 2*every:
		e.report(Fail, "backups", "see in the log of the server why they fail: is the disk full, or the folder gone?", "the newest in %s is %s old, and one is due every %s", c.Dir, e.Now().Sub(at).Round(time.Minute), every)
	default:
		e.report(OK, "backups", "", "the newest in %s is of %s", c.Dir, at.Format(time.RFC3339))
	}
}

// keys looks at whether the keys can be opened, and whether they are changed on schedule.
func (e *Examination) keys(ctx context.Context) {
	if e.store == nil {
		return
	}
	if _, version, err := e.store.LoadKeys(ctx); err == nil && version == 0 {
		e.report(Info, "keys", "", "%v", keys.ErrNoKeys) // nor is there a master key before the first start
		return
	}
	masters := e.Config.MasterKeys
	if len(masters) == 0 {
		var err error
		if masters, err = sqlitefile.MasterKeysBeside(e.Config.Store.Path()); err != nil {
			e.report(Fail, "keys", "put back the file with the master key, which tandem backup keeps too; without it everybody has to sign in again", "%v", err)
			return
		}
	}
	list, err := keys.Operator{Store: e.store, MasterKeys: masters, Now: e.Now}.List(ctx)
	if err != nil {
		e.report(Fail, "keys", "give the master key that sealed the keys: all servers on a store have the same", "%v", err)
		return
	}
	every := cmp.Or(e.Config.RotateKeys, keys.DefaultRotateEvery)
	late := false
	for _, k := range list {
		age := e.Now().Sub(k.ActiveFrom)
		if k.InUse && every > 0 && age > every+every/10 {
			late = true
			e.report(Warn, "keys", "start a server: servers that run change keys by themselves; if one runs, look into its log for errors about keys",
				"the %s key %s has made tokens for %d days, and should have been replaced after %d", k.Use, k.ID, int(age.Hours()/24), int(every.Hours()/24))
		}
	}
	if !late {
		e.report(OK, "keys", "", "%d keys, none of them overdue", len(list))
	}
}
