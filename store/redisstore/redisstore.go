// Package redisstore keeps sessions, the users of the embedded directory and the
// servers' keys in Redis or Valkey. Any number of servers may share one. It works on a
// single server, behind Sentinel and on a Cluster.
//
// A refresh takes one round trip: one script on one key, which it writes once. Redis
// removes sessions by their time to live, 30 days after they have ended or expired;
// [Store.Sweep] looks for those that nobody uses any more.
//
// # What a crash may cost
//
// When a method returns without an error, its change is as durable as the server's
// settings make it; see [Store.Warning]. With appendfsync always, every answered change
// is on the disk. With appendfsync everysec, a crash of the machine may lose the last
// second. On Redis 7.2, Valkey 7.2 and later, the store then waits (WAITAOF, up to a
// second) until ends of sessions and changes to users and keys are on the disk; it does
// not wait for new sessions and confirmations. Without an append-only file, a restart
// loses everything since the last snapshot, or everything.
//
// Replication is asynchronous under either setting: a failover to a replica may lose
// changes of the last moments, although the server has confirmed them. A lost
// confirmation does no harm: the tokens that clients present prove the later state.
// After a lost creation the server does not know the session, and its user signs in
// again. A lost end restores a session that was signed out. On a Cluster, a subject's
// list and its sessions are on different nodes, so a session may also be missing from
// the list: List does not return it then, and [Store.EndSubject] does not end it. Where
// that matters, disable automatic failover, or keep sessions in another store.
//
// The server must not evict keys (maxmemory-policy noeviction): evicting a session
// signs its user out, and evicting a subject's list hides the subject's sessions.
package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// A Store is a set of keys with one prefix. Its methods are safe for concurrent use.
// Their errors name the server, and say what the operator can do where that is known.
type Store struct {
	name   string // for errors: host, database, user and prefix, never the password
	prefix string
	client rueidis.Client
	// connections are the client's connections.
	connections connections
	scripts     scripts
	walks       walks
	// waits is whether the store waits until ends are on the disk.
	waits     bool
	warning   string
	closed    atomic.Bool
	closeOnce sync.Once
}

// Bounds on waiting, unless the URL says otherwise (dial_timeout, write_timeout).
const (
	dialTimeout = 2 * time.Second
	// answerTimeout is how long a connection may stay silent before the client closes
	// it, which also ends the calls on it that have no deadline.
	answerTimeout = 3 * time.Second
	// sentinelInterval is how often the client asks Sentinel for the primary, in
	// addition to following Sentinel's announcements.
	sentinelInterval = 5 * time.Second
	bufferSize       = 64 << 10
)

// format is the version of the layout of the keys and values. The key "format" holds
// it.
//
// Format 2 has users who are disabled, whom a version that knows format 1 alone would let
// sign in.
const format = 2

// Open connects to the server that address names:
//
//	redis://USER:PASSWORD@HOST:PORT/DATABASE?prefix=tandem:
//
// rediss:// uses TLS. addr=HOST:PORT adds a node of a Cluster; master_set=NAME names a
// primary behind Sentinel. All keys begin with prefix, which defaults to "tandem:".
func Open(ctx context.Context, address string) (_ *Store, err error) {
	option, prefix, err := parse(address)
	if err != nil {
		return nil, err
	}
	s := &Store{name: describe(option, prefix), prefix: prefix, scripts: newScripts()}
	if err := ctx.Err(); err != nil {
		return nil, s.explain(ctx, "open", err)
	}
	s.connections.track(&option)
	if s.client, err = rueidis.NewClient(option); err != nil {
		return nil, s.explain(ctx, "open", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.checkFormat(ctx); err != nil {
		return nil, err
	}
	// The operator should learn now, not at the first sign-in, that the server cannot
	// be written.
	if err := s.Ping(ctx); err != nil {
		return nil, err
	}
	s.waits, s.warning, err = s.findDurability(ctx)
	return s, err
}

// errURL contains no part of the URL: in a malformed URL the password could be
// anywhere.
var errURL = errors.New("the Redis URL cannot be read (it may have a password in it, and is not shown): " +
	"want redis://USER:PASSWORD@HOST:PORT/DATABASE?prefix=tandem: (or rediss:// for TLS), where @ : / ? # and % in a password " +
	"are written %40 %3A %2F %3F %23 and %25; other parameters are addr, master_set, dial_timeout, write_timeout, " +
	"skip_verify, protocol and client_name")

// parse parses the URL, and sets defaults for what the URL leaves out.
func parse(address string) (option rueidis.ClientOption, prefix string, _ error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Fragment != "" {
		return option, "", errURL
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return option, "", errURL
	}
	known := []string{"prefix", "addr", "master_set", "dial_timeout", "write_timeout", "skip_verify", "protocol", "client_name"}
	for name := range query { // a misspelt prefix would silently select another, empty set of keys
		if !slices.Contains(known, name) {
			return option, "", errURL
		}
	}
	prefix = "tandem:"
	if query.Has("prefix") {
		prefix = query.Get("prefix")
	}
	if strings.ContainsAny(prefix, "{}") {
		return option, "", errors.New("the prefix in the Redis URL has a brace in it, which would put all keys in one slot of a Cluster; leave it out")
	}
	query.Del("prefix")
	u.RawQuery = query.Encode()
	if option, err = rueidis.ParseURL(u.String()); err != nil {
		return option, "", errURL
	}
	if option.Dialer.Timeout == 0 {
		option.Dialer.Timeout = dialTimeout
	}
	if option.ConnWriteTimeout == 0 {
		option.ConnWriteTimeout = answerTimeout
	}
	if option.ClientName == "" {
		option.ClientName = "tandem"
	}
	option.DisableCache = true
	option.DisableRetry = true     // the store repeats calls itself, a bounded number of times
	option.AlwaysPipelining = true // otherwise a call that is alone does not end with its context
	option.ReadBufferEachConn, option.WriteBufferEachConn = bufferSize, bufferSize
	option.Sentinel.TLSConfig = option.TLSConfig
	option.Sentinel.Dialer.Timeout = option.Dialer.Timeout
	option.Sentinel.TopologyRefreshInterval = sentinelInterval
	return option, prefix, nil
}

func describe(option rueidis.ClientOption, prefix string) string {
	user := ""
	if option.Username != "" {
		user = fmt.Sprintf("user %q, ", option.Username)
	}
	return fmt.Sprintf("Redis at %s, database %d (%sprefix %q)", strings.Join(option.InitAddress, ", "), option.SelectDB, user, prefix)
}

// checkFormat writes the format if there are no keys yet, and refuses a format that a
// newer version has written.
func (s *Store) checkFormat(ctx context.Context) error {
	const doing = "read the format"
	key := s.key("format")
	found, err := s.getString(ctx, doing, key)
	if rueidis.IsRedisNil(err) {
		err = s.try(ctx, doing, repeatable, func(bool) error {
			// SETNX: another process may write the format first.
			return s.client.Do(ctx, s.client.B().Setnx().Key(key).Value(strconv.Itoa(format)).Build()).Error()
		})
		if err == nil {
			found, err = s.getString(ctx, doing, key)
		}
	}
	if err != nil {
		return err
	}
	switch version, err := strconv.Atoi(found); {
	case err != nil:
		return fmt.Errorf("%s: the key %q is not Tandem's; name another prefix in the URL", s.name, key)
	case version > format:
		return fmt.Errorf("%s was written by a newer Tandem (format %d, this one knows up to %d); run the newer one, or name another prefix in the URL", s.name, version, format)
	case version < format: // what is new in this one has defaults, so there is nothing else to write
		return s.try(ctx, doing, repeatable, func(bool) error {
			return s.client.Do(ctx, s.client.B().Set().Key(key).Value(strconv.Itoa(format)).Build()).Error()
		})
	}
	return nil
}

// Ping reports whether the server can be written and read, by writing and reading a
// key.
func (s *Store) Ping(ctx context.Context) error {
	const doing = "ping"
	key, now := s.key("health"), strconv.FormatInt(time.Now().UnixMilli(), 10)
	err := s.try(ctx, doing, repeatable, func(bool) error {
		return s.client.Do(ctx, s.client.B().Set().Key(key).Value(now).Build()).Error()
	})
	if err != nil {
		return err
	}
	_, err = s.getString(ctx, doing, key)
	return err
}

// Warning returns, in one line, what an operator should know about the server's
// settings. It is empty if there is nothing to report.
func (s *Store) Warning() string { return s.warning }

// Close waits for the running calls and closes all connections. It may be called twice.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.closed.Store(true)
		s.client.Close()
	})
	return nil
}

func (s *Store) key(name string) string { return s.prefix + name }

// getString returns the value of a key. If there is no such key, the error is
// [rueidis.Nil].
func (s *Store) getString(ctx context.Context, doing, key string) (value string, _ error) {
	err := s.try(ctx, doing, repeatable, func(bool) (err error) {
		value, err = s.client.Do(ctx, s.client.B().Get().Key(key).Build()).ToString()
		return err
	})
	return value, err
}
