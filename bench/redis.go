package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-auth/tandem/internal/testkit/engines"
)

func openRedis(appendfsync string) func(context.Context, *workshop, *target) error {
	return func(ctx context.Context, w *workshop, t *target) error {
		if !w.programs.hasStore {
			return errNoStore
		}
		e, err := engines.NewRedis("--appendonly", "yes", "--appendfsync", appendfsync)
		if err != nil {
			return err
		}
		return t.openStore(ctx, w, redis{e}, e.URL())
	}
}

type redis struct{ *engines.Redis }

// count returns how often each command was called, including calls from scripts.
func (e redis) count(ctx context.Context) (map[string]int64, error) {
	info, err := e.commandStats(ctx)
	if err != nil {
		return nil, fmt.Errorf("count commands: %w", err)
	}
	counts := map[string]int64{}
	for line := range strings.Lines(info) {
		// cmdstat_hset:calls=12,usec=34,...
		name, rest, found := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		calls, _, more := strings.Cut(rest, ",")
		if !found || !more || name == "info" {
			continue
		}
		if counts[name], err = strconv.ParseInt(calls, 10, 64); err != nil {
			return nil, fmt.Errorf("count commands: %w", err)
		}
	}
	return counts, nil
}

const mostInfo = 1 << 20

func (e redis) commandStats(ctx context.Context) (_ string, err error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", e.Address())
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, "INFO commandstats\r\n"); err != nil {
		return "", err
	}
	in := bufio.NewReader(conn)
	first, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	length, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(first, "$")))
	if err != nil || length < 0 || length > mostInfo {
		return "", errors.New("redis does not answer INFO as it should")
	}
	info := make([]byte, length)
	_, err = io.ReadFull(in, info)
	return string(info), err
}
