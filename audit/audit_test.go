package audit_test

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tandem-auth/tandem/audit"
	"github.com/tandem-auth/tandem/internal/testkit/inproc"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
	"github.com/tandem-auth/tandem/store/sqlitestore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An unsteady store is a real one that can be taken away.
type unsteady struct {
	*sqlitestore.Store
	mu   sync.Mutex
	away bool
}

func (u *unsteady) set(away bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.away = away
}

func (u *unsteady) AppendAudit(ctx context.Context, records []store.AuditRecord) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.away {
		return errors.New("the database is away")
	}
	return u.Store.AppendAudit(ctx, records)
}

func openStore(t *testing.T) *unsteady {
	t.Helper()
	s, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "tandem.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &unsteady{Store: s}
}

func open(t *testing.T, config audit.Config) *audit.Log {
	t.Helper()
	l, err := audit.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func actions(t *testing.T, s audit.Store) string {
	t.Helper()
	records, err := s.Audit(context.Background(), store.AuditQuery{})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, r := range records {
		found = append(found, r.Action)
	}
	return strings.Join(found, " ")
}

// While the store is away the records wait, in order, and none is lost or doubled.
func TestRecordsWaitForTheStore(t *testing.T) {
	s := openStore(t)
	s.set(true)
	l := open(t, audit.Config{Store: s})
	for _, action := range []string{"a", "b", "c"} {
		r := audit.New(action, audit.ActorServer)
		r.Time = time.UnixMilli(int64(action[0]))
		l.Add(r)
	}
	s.set(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := actions(t, s); got != "a b c" {
		t.Errorf("the store has %q", got)
	}
	l.Add(audit.New("late", audit.ActorServer)) // does nothing
	if err := l.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

// Close does not wait for ever, and says what is missing.
func TestCloseSaysWhatWasNotPassedOn(t *testing.T) {
	s := openStore(t)
	s.set(true)
	synctest.Test(t, func(t *testing.T) {
		l := open(t, audit.Config{Store: s, Keep: time.Hour})
		l.Add(audit.New("a", audit.ActorServer))
		began := time.Now()
		err := l.Close()
		if err == nil || !strings.Contains(err.Error(), "1 records of the audit log did not reach the store") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("Close took %v", took)
		}
	})
}

// A sink that fails for long holds 20,000 records; older ones are dropped and counted.
func TestThereIsRoomForSoMany(t *testing.T) {
	s := openStore(t)
	s.set(true)
	synctest.Test(t, func(t *testing.T) {
		l := open(t, audit.Config{Store: s})
		for range 20_003 {
			l.Add(audit.New("a", audit.ActorServer))
		}
		if p := l.Pending(); len(p) != 1 || p[0] != (audit.Pending{Sink: "store", Waiting: 20_000, Dropped: 3}) {
			t.Errorf("%+v", p)
		}
		_ = l.Close()
	})
}

// An attack of a thousand sign-ins from one address is one record every ten seconds, and so
// is a client that sends the same refresh token again and again. Failed passwords, which the
// limits bound, are recorded each.
func TestAnAttackDoesNotFillTheLog(t *testing.T) {
	s := openStore(t)
	l := open(t, audit.Config{Store: s})
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	add := func(kind server.EventKind, ip string, at time.Time) {
		r, ok := audit.Of(server.Event{Kind: kind, IP: ip, Time: at, RequestID: "differs"})
		if !ok {
			t.Fatal("no record")
		}
		l.Add(r)
	}
	for i := range 1000 {
		add(server.EventSignInLimited, "192.0.2.1", at.Add(time.Duration(i)*time.Millisecond))
	}
	for range 1000 {
		add(server.EventRefreshRetried, "192.0.2.1", at)
		add(server.EventRefreshStale, "192.0.2.1", at)
	}
	add(server.EventSignInLimited, "192.0.2.2", at)
	add(server.EventSignInLimited, "192.0.2.1", at.Add(11*time.Second))
	for range 3 {
		add(server.EventSignInFailed, "192.0.2.1", at)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(strings.Fields(actions(t, s))); n != 8 {
		t.Errorf("%d records, want 8", n)
	}
}

// The file has one record a line, and follows logrotate.
func TestTheFileIsRotated(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.log")
	lines := func(path string) (found []string) {
		t.Helper()
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for scanner := bufio.NewScanner(f); scanner.Scan(); {
			var r store.AuditRecord
			if err := json.Unmarshal(scanner.Bytes(), &r); err != nil {
				t.Fatal(err)
			}
			found = append(found, r.Action)
		}
		return found
	}
	l := open(t, audit.Config{File: path})
	written := func(n int) {
		t.Helper()
		for l.Pending()[0].Waiting > 0 {
			time.Sleep(time.Millisecond)
		}
		if got := len(lines(path)); got != n {
			t.Errorf("%s has %d lines, want %d", path, got, n)
		}
	}
	l.Add(audit.New("first", audit.ActorServer))
	written(1)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	l.Add(audit.New("second", audit.ActorServer))
	written(1)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := lines(path + ".1"); len(got) != 1 || got[0] != "first" {
		t.Errorf("the older file has %q", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	l = open(t, audit.Config{File: path}) // appends
	l.Add(audit.New("third", audit.ActorServer))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(lines(path), " "); got != "second third" {
		t.Errorf("the file has %q", got)
	}
	if _, err := audit.Open(audit.Config{File: filepath.Join(dir, "nowhere", "audit.log")}); err == nil || !strings.Contains(err.Error(), "the audit file: ") {
		t.Errorf("a file that cannot be made: %v", err)
	}
}

// The receiver is away, then answers 500, then has the record: with the same ID each time,
// and a signature that fits.
func TestTheWebhookTriesAgain(t *testing.T) {
	secret := []byte(strings.Repeat("s", 24))
	synctest.Test(t, func(t *testing.T) {
		var ids []string
		var tries []time.Time
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			ids, tries = append(ids, r.Header.Get("webhook-id")), append(tries, time.Now())
			mac := hmac.New(sha256.New, secret)
			fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp"), body)
			want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
			if got := r.Header.Get("webhook-signature"); got != want {
				t.Errorf("signature %q, want %q", got, want)
			}
			switch len(tries) {
			case 1:
				http.Redirect(w, r, "https://elsewhere.example.com/", http.StatusFound)
			case 2:
				w.WriteHeader(http.StatusInternalServerError)
			default:
				w.WriteHeader(http.StatusNoContent)
			}
		})
		client := &http.Client{Transport: inproc.Transport{Handler: handler}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		l := open(t, audit.Config{Webhook: audit.Webhook{URL: "https://siem.example.com/", Secret: secret, Client: client}})
		r := audit.New("user_add", "command:root")
		l.Add(r)
		time.Sleep(time.Minute)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if len(ids) != 3 || ids[0] != r.ID || ids[2] != r.ID {
			t.Fatalf("IDs %q, want three times %q", ids, r.ID)
		}
		if tries[1].Sub(tries[0]) != 250*time.Millisecond || tries[2].Sub(tries[1]) != 500*time.Millisecond {
			t.Errorf("tries at %v", tries)
		}
	})
}

func TestAWebhookIsChecked(t *testing.T) {
	secret := []byte(strings.Repeat("s", 24))
	for _, c := range []struct {
		url    string
		secret []byte
		want   string
	}{
		{"https://siem.example.com/tandem", secret, ""},
		{"http://localhost:9000/", secret, ""},
		{"http://siem.example.com/", secret, "not https"},
		{"siem.example.com", secret, "not one such as https://siem.example.com/tandem"},
		{"https://siem.example.com/", []byte("short"), "has 5 bytes, want at least 24"},
	} {
		err := audit.Webhook{URL: c.url, Secret: c.secret}.Check()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.url, err, c.want)
		}
	}
	for text, want := range map[string]string{
		"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3\n": "0123456789abcdef01234567",
		"0123456789abcdef01234567":                 "0123456789abcdef01234567",
	} {
		if got, err := audit.ParseSecret(text); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "short", "whsec_!", "whsec_c2hvcnQ="} {
		if _, err := audit.ParseSecret(text); err == nil || strings.Contains(err.Error(), "short") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Each event has its record, but for those that are routine.
func TestEventsBecomeRecords(t *testing.T) {
	id := rotation.SessionID{1}
	for _, c := range []struct {
		event server.Event
		want  string
	}{
		{server.Event{Kind: server.EventSignedIn, Session: id}, "sign_in ok user "},
		{server.Event{Kind: server.EventSignInFailed}, "sign_in failed user "},
		{server.Event{Kind: server.EventSignInLimited}, "sign_in limited user "},
		{server.Event{Kind: server.EventSignInRefused}, "sign_in refused user "},
		{server.Event{Kind: server.EventSessionEnded, Session: id, Reason: rotation.SignedOut}, "session_end ok user signed_out"},
		{server.Event{Kind: server.EventSessionEnded, Session: id, Reason: rotation.ReuseDetected}, "session_end ok server reuse_detected"},
		{server.Event{Kind: server.EventReuseDetected, Session: id}, "reuse_detected refused server "},
		{server.Event{Kind: server.EventRefreshRetried, Session: id}, "refresh_retry ok user "},
		{server.Event{Kind: server.EventRefreshStale, Session: id}, "refresh_stale refused user "},
		{server.Event{Kind: server.EventStoreWentBack, Session: id}, "store_went_back ok server "},
		{server.Event{Kind: server.EventRefreshed, Session: id}, ""},
		{server.Event{Kind: server.EventRefreshRefused}, ""},
	} {
		r, ok := audit.Of(c.event)
		got := ""
		if ok {
			got = strings.Join([]string{r.Action, r.Outcome, r.Actor, r.Reason}, " ")
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.event.Kind, got, c.want)
		}
	}
}
