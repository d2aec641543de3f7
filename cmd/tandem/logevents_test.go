package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
)

// What the default log says of sign-ins and sessions.
func TestTheDefaultLog(t *testing.T) {
	session := rotation.SessionID{1}
	for _, c := range []struct {
		event server.Event
		want  string
	}{
		{server.Event{Kind: server.EventSignInFailed, Subject: "u-1"}, "level=INFO msg=sign_in_failed ip=192.0.2.1 subject=u-1"},
		{server.Event{Kind: server.EventSignInFailed}, "level=INFO msg=sign_in_failed ip=192.0.2.1"},
		{server.Event{Kind: server.EventSignInLimited, Subject: "u-1"}, "level=INFO msg=sign_in_limited ip=192.0.2.1 subject=u-1"},
		{server.Event{Kind: server.EventSignInRefused, Subject: "u-1"}, "level=INFO msg=sign_in_refused ip=192.0.2.1 subject=u-1"},
		{server.Event{Kind: server.EventSignedIn, Subject: "u-1", Session: session}, "level=INFO msg=signed_in ip=192.0.2.1 subject=u-1 session=" + session.String()},
		{server.Event{Kind: server.EventRefreshed, Subject: "u-1", Session: session}, ""},
	} {
		var log bytes.Buffer
		c.event.IP = "192.0.2.1"
		logEvents(slog.New(slog.NewTextHandler(&log, nil)))(c.event)
		_, got, _ := strings.Cut(strings.TrimSpace(log.String()), " ") // after the time
		if got != c.want {
			t.Errorf("%+v:\ngot  %s\nwant %s", c.event, got, c.want)
		}
	}
}
