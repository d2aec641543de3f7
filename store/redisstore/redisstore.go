// Package redisstore keeps sessions, the users of the embedded directory and the
// keys of the servers in Redis or Valkey, for any number of servers. It works on a
// single server, behind Sentinel and on a Cluster.
//
// A refresh is one round trip: one script on one key, which writes that key once.
// Sessions go by themselves, by their time to live, a while after they have ended
// or expired ([Store.Sweep] has nothing to do).
//
// # What a crash may cost
//
// What a method returned without an error is as durable as the server makes it; see
// [Store.Warning]. With appendfsync always, every answer is on the disk. With
// appendfsync everysec, a crash of the machine may lose the last second. From Redis
// 7.2 and Valkey 7.2 on, ends of sessions, the users and the keys wait for the disk
// then (WAITAOF, up to a second); new sessions and confirmations do not. Without
// an append-only file, a restart loses what came after the last snapshot, or
// everything.
//
// Replication is asynchronous, and neither setting changes that: a failover to a
// replica may lose the last moments, whatever was answered. A lost confirmation does
// no harm, for the tokens that come prove the later state. A lost beginning is a
// session that is unknown: its user signs in again. A lost end brings a session back
// that was signed out. On a Cluster, where the list of a subject's sessions is
// elsewhere than they are, a session may also be missing from that list: it is not
// listed then, and [Store.EndSubject] does not end it. Where that matters, do not let
// replicas take over by themselves, or keep sessions in another store.
//
// The server must not evict (maxmemory-policy noeviction): a session that is evicted
// is signed out, and a subject's list that is evicted hides its sessions.
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

// A Store is a set of keys with one prefix. Its methods are safe for concurrent
// use. Their errors name the server, and say what to do where something can be done.
type Store struct {
	name   string // for errors: host, database, user and prefix, never the password
	prefix string
	client rueidis.Client
	// connections are those of the client.
	connections connections
	scripts     scripts
	// waits says that ends wait for the disk.
	waits     bool
	warning   string
	closed    atomic.Bool
	closeOnce sync.Once
}

// Bounds on waiting, unless the URL says otherwise (dial_timeout, write_timeout).
const (
	dialTimeout = 2 * time.Second
	// answerTimeout is after how long without a sign of life a connection is given
	// up, and with it those who wait without a deadline.
	answerTimeout = 3 * time.Second
	// sentinelInterval is how often Sentinel is asked for the primary, beside what
	// it announces.
	sentinelInterval = 5 * time.Second
	bufferSize       = 64 << 10
)

// format is the version of how things are kept, which is in the key "format".
const format = 1

// Open connects to the server that address names:
//
//	redis://USER:PASSWORD@HOST:PORT/DATABASE?prefix=tandem:
//
// rediss:// is with TLS. Further nodes of a Cluster are named by addr=HOST:PORT, a
// primary behind Sentinel by master_set=NAME. All keys begin with prefix, "tandem:"
// unless it is given.
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
	// That the server cannot be written is better known now.
	if err := s.Ping(ctx); err != nil {
		return nil, err
	}
	s.waits, s.warning, err = s.findDurability(ctx)
	return s, err
}

// errURL does not show the URL, nor any part of it: a password with a character
// that is misplaced could be anywhere.
var errURL = errors.New("the Redis URL cannot be read (it may have a password in it, and is not shown): " +
	"want redis://USER:PASSWORD@HOST:PORT/DATABASE?prefix=tandem: (or rediss:// for TLS), where @ : / ? # and % in a password " +
	"are written %40 %3A %2F %3F %23 and %25; other parameters are addr, master_set, dial_timeout, write_timeout, " +
	"skip_verify, protocol and client_name")

// parse reads the URL, and sets what it leaves open.
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
	for name := range query { // a misspelt prefix would be another, empty place
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
	option.DisableRetry = true     // we try again ourselves, with an end to it
	option.AlwaysPipelining = true // else a lone call does not end with its context
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

// checkFormat notes the format in a new place, and refuses one that is ahead of us.
func (s *Store) checkFormat(ctx context.Context) error {
	const doing = "read the format"
	key := s.key("format")
	found, err := s.getString(ctx, doing, key)
	if rueidis.IsRedisNil(err) {
		err = s.try(ctx, doing, repeatable, func(bool) error {
			// Another process may be faster.
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
		return fmt.Errorf("%s was written by a newer Tandem (format %d, this one knows up to %d); run that one, or name another prefix in the URL", s.name, version, format)
	}
	return nil
}

// Ping reports whether the server can be written and read, by doing both.
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

// Warning says what an operator should know of the server's settings, in one line.
// It is empty where there is nothing to say.
func (s *Store) Warning() string { return s.warning }

// Close closes all connections, once those in use are done. It may be called twice.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.closed.Store(true)
		s.client.Close()
	})
	return nil
}

func (s *Store) key(name string) string { return s.prefix + name }

// getString returns the value of a key, or an error that is [rueidis.Nil].
func (s *Store) getString(ctx context.Context, doing, key string) (value string, _ error) {
	err := s.try(ctx, doing, repeatable, func(bool) (err error) {
		value, err = s.client.Do(ctx, s.client.B().Get().Key(key).Build()).ToString()
		return err
	})
	return value, err
}
