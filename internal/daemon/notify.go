package daemon

import systemd "github.com/coreos/go-systemd/v22/daemon"

// What the daemon tells systemd (sd_notify(3)), if systemd has started it.
const (
	notifyReady    = systemd.SdNotifyReady
	notifyStopping = systemd.SdNotifyStopping
)

// notifyReloading returns the state for Type=notify-reload, which needs the time.
func notifyReloading() string {
	return systemd.SdNotifyReloading + "\n" + systemd.SdNotifyMonotonicUsec()
}

// notify tells systemd a state. Without systemd it does nothing.
func (d *Daemon) notify(state string) {
	if _, err := systemd.SdNotify(false, state); err != nil {
		d.config.Logger.Warn("cannot tell systemd the state of the server", "state", state, "error", err)
	}
}
