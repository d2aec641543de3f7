package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/internal/testkit/engines"
	"github.com/tandem-auth/tandem/internal/testkit/engines/enginetest"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
	"github.com/tandem-auth/tandem/store/redisstore"
)

// do sends a command to a server, bypassing the store, and returns the answer.
func do(t testing.TB, e *engines.Redis, command ...string) string {
	t.Helper()
	answer, err := e.Do(t.Context(), command...)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// as inserts a user into a URL.
func as(user, url string) string { return strings.Replace(url, "//", "//"+user+"@", 1) }

// The test reads the server's own counters: a refresh is one call, and one write of one
// key.
func TestARefreshWritesOneKeyOnce(t *testing.T) {
	const sessions, refreshes = 4, 50
	e := durable(t)
	s := open(t, e.URL())
	for i := range sessions {
		if err := s.Create(t.Context(), numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
	do(t, e, "SCRIPT", "FLUSH") // as after a restart: the client has to send the script's text again
	do(t, e, "CONFIG", "RESETSTAT")
	for i := range sessions {
		if _, err := rotate(t.Context(), s, numbered(i), refreshes); err != nil {
			t.Fatal(err)
		}
	}
	calls := map[string]string{}
	for _, stat := range regexp.MustCompile(`cmdstat_(\S+):calls=(\d+)`).FindAllStringSubmatch(do(t, e, "INFO", "commandstats"), -1) {
		calls[stat[1]] = stat[2]
	}
	for command, want := range map[string]int{
		"hset": sessions * refreshes, "evalsha": sessions * refreshes, "eval": 1,
		"set": 0, "zadd": 0, "zrem": 0, "del": 0, "pexpireat": 0,
	} {
		if got := calls[command]; got != fmt.Sprint(want) && (want > 0 || got != "") {
			t.Errorf("%d refreshes: %q calls of %s, want %d", sessions*refreshes, got, command, want)
		}
	}
}

// While the server is down, calls soon return an error that names it; once it is back,
// the store works again. Every change that the store answered before the crash is
// there.
func TestAServerThatIsAway(t *testing.T) {
	e := durable(t)
	s := open(t, e.URL())
	ended, live := numbered(1), numbered(2)
	for _, session := range []store.Session{ended, live} {
		if err := s.Create(t.Context(), session); err != nil {
			t.Fatal(err)
		}
	}
	live, err := rotate(t.Context(), s, live, 10)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.End(t.Context(), ended.ID, store.End{Reason: rotation.SignedOut, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	enginetest.Do(t, e.Kill)
	for what, call := range map[string]func() error{
		"Get":     func() error { _, err := s.Get(t.Context(), live.ID); return err },
		"Confirm": func() error { _, err := rotate(t.Context(), s, live, 1); return err },
		"End": func() error {
			_, err := s.End(t.Context(), live.ID, store.End{Reason: rotation.SignedOut, At: time.Now()})
			return err
		},
		"EndSubject": func() error { _, err := s.EndSubject(t.Context(), "ann", rotation.SignedOut, time.Now()); return err },
		"List":       func() error { _, err := s.List(t.Context(), "ann", store.Page{}); return err },
		"Ping":       func() error { return s.Ping(t.Context()) },
	} {
		began := time.Now()
		if err := call(); err == nil || !strings.Contains(err.Error(), e.Address()) || !strings.Contains(err.Error(), "is it running") {
			t.Errorf("%s: %v, want an error with the address %s and advice", what, err, e.Address())
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s took %v to fail", what, took)
		}
	}
	enginetest.Do(t, e.Start)
	if got, err := s.Get(t.Context(), ended.ID); err != nil || got.EndReason != rotation.SignedOut {
		t.Errorf("a session that was signed out before the crash: %+v, %v", got, err)
	}
	if _, err := rotate(t.Context(), s, live, 10); err != nil {
		t.Errorf("once it is back: %v", err)
	}
	if listed, err := s.List(t.Context(), "ann", store.Page{}); err != nil || len(listed) != 1 || listed[0].ID != live.ID {
		t.Errorf("List: %+v, %v; want the one that lives", listed, err)
	}
}

// Callers do not notice that connections break, even if the server executed a refresh
// and only its answer was lost.
func TestConnectionsThatBreak(t *testing.T) {
	e := durable(t)
	s := open(t, e.URL())
	session := someSession()
	if err := s.Create(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		do(t, e, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
		var err error
		if session, err = rotate(t.Context(), s, session, 5); err != nil {
			t.Fatal(err)
		}
	}
}

// If the server hangs, a call returns when its context ends.
func TestAServerThatHangs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	e := durable(t)
	s := open(t, e.URL())
	session := someSession()
	if err := s.Create(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	enginetest.Do(t, e.Pause)
	for what, call := range map[string]func(ctx context.Context) error{
		"Create":  func(ctx context.Context) error { return s.Create(ctx, numbered(2)) },
		"Get":     func(ctx context.Context) error { _, err := s.Get(ctx, session.ID); return err },
		"Confirm": func(ctx context.Context) error { _, err := rotate(ctx, s, session, 1); return err },
		"End": func(ctx context.Context) error {
			_, err := s.End(ctx, session.ID, store.End{Reason: rotation.SignedOut, At: time.Now()})
			return err
		},
		"List": func(ctx context.Context) error { _, err := s.List(ctx, "ann", store.Page{}); return err },
		"Ping": s.Ping,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want context.DeadlineExceeded", what, err)
		}
		cancel()
		ctx, cancel = context.WithCancel(t.Context()) // without a deadline
		time.AfterFunc(50*time.Millisecond, cancel)
		if err := call(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", what, err)
		}
		cancel()
	}
	// A call without a deadline returns an error within a few seconds.
	if err := s.Ping(t.Context()); err == nil {
		t.Error("Ping of a server that hangs has no error")
	}
	enginetest.Do(t, e.Resume)
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("once it goes on: %v", err)
	}
}

func TestOpenNamesWhatIsInTheWay(t *testing.T) {
	e := durable(t)
	for _, rule := range []string{"reader ~* +@all -@write", "elsewhere ~other:* +@all"} {
		do(t, e, append([]string{"ACL", "SETUSER"}, strings.Fields(strings.Replace(rule, " ", " on >geheim ", 1))...)...)
	}
	do(t, e, "SET", "newer:format", "3")
	do(t, e, "SET", "foreign:format", "hello")
	do(t, e, "LPUSH", "list:format", "1")
	full := enginetest.Redis(t, "--maxmemory", "1", "--maxmemory-policy", "noeviction")
	replica := enginetest.Redis(t, "--replicaof", "127.0.0.1", "1")

	for name, c := range map[string]struct {
		url  string
		want []string
	}{
		"no URL":                      {"geheim", []string{"cannot be read", "redis://USER:PASSWORD@HOST"}},
		"a port that is none":         {"redis://ann:ge heim@host:54x/0", []string{"cannot be read"}},
		"a password that is cut":      {"redis://ann:12?geheim@host/0", []string{"cannot be read", "%3F"}},
		"another scheme":              {"http://ann:geheim@host/", []string{"cannot be read"}},
		"a database that is none":     {"redis://ann:geheim@host/first", []string{"cannot be read"}},
		"a misspelt parameter":        {e.URL() + "?prefx=geheim", []string{"cannot be read", "prefix"}},
		"a prefix with a brace":       {e.URL() + "?prefix={a}", []string{"prefix", "brace"}},
		"a server that is not there":  {"redis://ann:geheim@127.0.0.1:1/0", []string{"127.0.0.1:1", "is it running"}},
		"a database that is not":      {strings.TrimSuffix(e.URL(), "0") + "99", []string{e.Address(), "database 99", "lower database number"}},
		"a wrong password":            {as("reader:nichtgeheim", e.URL()), []string{e.Address(), `"reader"`, "check user and password"}},
		"a user who may only read":    {as("reader:geheim", e.URL()), []string{`"reader"`, "ACL SETUSER"}},
		"a user for other keys":       {as("elsewhere:geheim", e.URL()), []string{`"elsewhere"`, "~tandem:*"}},
		"a newer format":              {e.URL() + "?prefix=newer:", []string{"a newer Tandem (format 3", "newer:"}},
		"another program's format":    {e.URL() + "?prefix=foreign:", []string{"is not Tandem's", "another prefix"}},
		"another program's list":      {e.URL() + "?prefix=list:", []string{"WRONGTYPE", "name another one"}},
		"a server with a full memory": {full.URL(), []string{full.Address(), "raise maxmemory"}},
		"a replica":                   {replica.URL(), []string{replica.Address(), "name the primary"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := redisstore.Open(t.Context(), c.url)
			if err == nil {
				_ = s.Close()
				t.Fatal("Open has no error")
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, err)
				}
			}
			if strings.Contains(err.Error(), "heim") {
				t.Errorf("the password is in the error: %v", err)
			}
		})
	}
}

// The permissions that the error names are sufficient, and Open does not fail if the
// server keeps its settings secret.
func TestAUserWithTheRightsThatAreNamed(t *testing.T) {
	e := durable(t)
	rules := "~tandem:* +@read +@write +@scripting +@connection"
	do(t, e, append([]string{"ACL", "SETUSER", "few", "on", ">geheim"}, strings.Fields(rules)...)...)
	do(t, e, append([]string{"ACL", "SETUSER", "all", "on", ">geheim", "+info", "+config|get"}, strings.Fields(rules)...)...)
	if warning := open(t, as("all:geheim", e.URL())).Warning(); warning != "" {
		t.Errorf("Warning: %q", warning)
	}
	s := open(t, as("few:geheim", e.URL()))
	if warning := s.Warning(); !strings.Contains(warning, "does not tell") || strings.Contains(warning, "heim") {
		t.Errorf("Warning of a server that tells nothing: %q", warning)
	}
	session := someSession()
	if err := s.Create(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	if _, err := rotate(t.Context(), s, session, 2); err != nil {
		t.Error(err)
	}
	if n, err := s.EndSubject(t.Context(), "ann", rotation.Revoked, time.Now()); n != 1 || err != nil {
		t.Errorf("EndSubject: %d, %v", n, err)
	}
	if err := s.AddUser(t.Context(), store.User{Name: "ann", Subject: "a"}); err != nil {
		t.Error(err)
	}
}

// Ping reports a problem that begins while the store is open, and succeeds once the
// problem is gone.
func TestPingNamesWhatIsInTheWay(t *testing.T) {
	e := durable(t)
	s := open(t, e.URL())
	for _, c := range []struct{ setting, bad, good, want string }{
		{"maxmemory", "1", "0", "raise maxmemory"},
		{"min-replicas-to-write", "1", "0", "too few replicas"},
	} {
		do(t, e, "CONFIG", "SET", c.setting, c.bad)
		if err := s.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("with %s %s: %v, want %q", c.setting, c.bad, err, c.want)
		}
		do(t, e, "CONFIG", "SET", c.setting, c.good)
		if err := s.Ping(t.Context()); err != nil {
			t.Errorf("with %s %s: %v", c.setting, c.good, err)
		}
	}
}

// Redis removes sessions by itself: the store sets their time to live when it creates
// them, and shortens it when they end.
func TestSessionsGoByThemselves(t *testing.T) {
	e := durable(t)
	s := open(t, e.URL())
	session := someSession()
	session.ExpiresAt = session.CreatedAt.Add(90 * 24 * time.Hour)
	if err := s.Create(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	goesAt := func(pattern string) time.Time {
		t.Helper()
		script := `return string.format('%.0f', redis.call('PEXPIRETIME', redis.call('KEYS', ARGV[1])[1]))`
		var ms int64
		if _, err := fmt.Sscan(do(t, e, "EVAL", script, "0", pattern), &ms); err != nil {
			t.Fatal(err)
		}
		return time.UnixMilli(ms)
	}
	const month = 30 * 24 * time.Hour
	for _, pattern := range []string{"tandem:session:*", "tandem:subject:*"} {
		if got, want := goesAt(pattern), session.ExpiresAt.Add(month); !got.Equal(want) {
			t.Errorf("%s goes at %v, want %v", pattern, got, want)
		}
	}
	shorter := numbered(2)
	if err := s.Create(t.Context(), shorter); err != nil {
		t.Fatal(err)
	}
	if got, want := goesAt("tandem:subject:*"), session.ExpiresAt.Add(month); !got.Equal(want) {
		t.Errorf("with a shorter session in it, the list goes at %v, want %v", got, want)
	}
	at := session.CreatedAt.Add(time.Minute)
	if _, err := s.End(t.Context(), session.ID, store.End{Reason: rotation.SignedOut, At: at}); err != nil {
		t.Fatal(err)
	}
	if got, want := goesAt("tandem:session:{"+session.ID.String()+"}"), at.Add(month); !got.Equal(want) {
		t.Errorf("after its end the session goes at %v, want %v", got, want)
	}
	if _, err := s.End(t.Context(), shorter.ID, store.End{Reason: rotation.SignedOut, At: shorter.ExpiresAt.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if got, want := goesAt("tandem:session:{"+shorter.ID.String()+"}"), shorter.ExpiresAt.Add(month); !got.Equal(want) {
		t.Errorf("ended after its expiry, the session goes at %v, want %v", got, want)
	}
}

func TestAfterClose(t *testing.T) {
	s := open(t, durable(t).URL())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "the store is closed") {
		t.Errorf("got %v", err)
	}
}

// A subject's list loses sessions that are gone without an end, but not sessions that
// are being created.
func TestAListForgetsWhatIsGone(t *testing.T) {
	e := durable(t)
	s := open(t, e.URL())
	if err := s.Create(t.Context(), numbered(1)); err != nil {
		t.Fatal(err)
	}
	keys := do(t, e, "EVAL", "return redis.call('KEYS', 'tandem:subject:*')[1]", "0")
	do(t, e, "ZADD", keys, fmt.Sprint(time.Now().Add(-time.Hour).UnixMilli()), numbered(2).ID.String())
	do(t, e, "ZADD", keys, fmt.Sprint(time.Now().UnixMilli()), numbered(3).ID.String())
	if listed, err := s.List(t.Context(), "ann", store.Page{}); err != nil || len(listed) != 1 || listed[0].ID != numbered(1).ID {
		t.Errorf("List: %+v, %v", listed, err)
	}
	left := do(t, e, "EVAL", "return table.concat(redis.call('ZRANGE', KEYS[1], 0, -1), ' ')", "1", keys)
	if want := numbered(1).ID.String() + " " + numbered(3).ID.String(); left != want {
		t.Errorf("the list has %s, want %s", left, want)
	}
	if _, err := s.Get(t.Context(), rotation.SessionID{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of the zero ID: %v, want ErrNotFound", err)
	}
}
