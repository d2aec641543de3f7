package redisstore

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// waitTimeout bounds how long the store waits until an end is on the disk. With
// appendfsync everysec the server takes up to a second, or two if its disk is slow.
const waitTimeout = 3 * time.Second

// facts are the settings that a server reports. A setting that it does not report is
// "".
type facts struct {
	appendOnly  string // "1" or "0"
	appendFsync string // "always", "everysec" or "no"
	canWait     bool   // the server knows WAITAOF, and the user may call it
	maxMemory   string // "0" means no limit
	policy      string // what the server does when the memory is full
}

// decide returns whether the store has to wait until ends are on the disk, and a
// warning for the operator.
func decide(f facts) (waits bool, warning string) {
	var warnings []string
	const lost = "so a crash may bring back sessions that were signed out"
	switch {
	case f.appendOnly == "1" && f.appendFsync == "always":
	case f.appendOnly == "1" && f.appendFsync == "everysec" && f.canWait:
		waits = true
	case f.appendOnly == "1" && f.appendFsync == "everysec":
		warnings = append(warnings, "appendfsync is everysec, and there is no WAITAOF (Redis 7.2, Valkey 7.2), "+lost+
			" in the last second, and lose those that began; set appendfsync always, or take a newer version")
	case f.appendOnly == "1" && f.appendFsync == "no":
		warnings = append(warnings, "appendfsync is no, "+lost+" half a minute ago, and lose those that began; set appendfsync always")
	case f.appendOnly == "0":
		warnings = append(warnings, "appendonly is off, "+lost+" since the last snapshot, or lose everything; set appendonly yes and appendfsync always")
	default:
		warnings = append(warnings, "it does not tell whether its writes are durable (INFO persistence, CONFIG GET appendfsync); "+
			"unless appendonly is yes and appendfsync is always, a crash may bring back sessions that were signed out")
	}
	if f.maxMemory != "0" && f.policy != "" && f.policy != "noeviction" {
		warnings = append(warnings, fmt.Sprintf("maxmemory-policy is %s, so people are signed out when its memory is full; set it to noeviction", f.policy))
	}
	return waits, strings.Join(warnings, "; ")
}

// findDurability asks all nodes. The store waits after an end if any node requires it
// and every node supports it.
func (s *Store) findDurability(ctx context.Context) (waits bool, warning string, _ error) {
	var warnings []string
	canWait := true
	for _, node := range s.client.Nodes() {
		facts := ask(ctx, node)
		wait, warning := decide(facts)
		if err := ctx.Err(); err != nil {
			return false, "", s.explain(ctx, "read the settings", err)
		}
		waits = waits || wait
		canWait = canWait && facts.canWait && facts.appendOnly == "1"
		if warning != "" && !slices.Contains(warnings, warning) {
			warnings = append(warnings, warning)
		}
	}
	waits = waits && canWait
	if len(warnings) == 0 {
		return waits, "", nil
	}
	return waits, s.name + ": " + strings.Join(warnings, "; "), nil
}

// ask reads the settings of a node. Managed servers do not report all of them.
func ask(ctx context.Context, node rueidis.Client) (f facts) {
	persistence := info(ctx, node, "persistence")
	memory := info(ctx, node, "memory")
	f.appendOnly, f.maxMemory, f.policy = persistence["aof_enabled"], memory["maxmemory"], memory["maxmemory_policy"]
	if setting, err := node.Do(ctx, node.B().ConfigGet().Parameter("appendfsync").Build()).AsStrMap(); err == nil {
		f.appendFsync = setting["appendfsync"]
	}
	// Asking for zero copies makes WAITAOF return at once, so that the call may share a
	// connection; where WAITAOF cannot be used, it is an error here as it would be
	// later.
	f.canWait = node.Do(ctx, node.B().Arbitrary("WAITAOF", "0", "0", "1").Build()).Error() == nil
	return f
}

func info(ctx context.Context, node rueidis.Client, section string) map[string]string {
	found := map[string]string{}
	text, _ := node.Do(ctx, node.B().Info().Section(section).Build()).ToString() // "" if the user may not call INFO
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok {
			found[name] = value
		}
	}
	return found
}

// execAndWait executes a script and waits until its writes are on the disk. Both
// commands use one connection, because WAITAOF covers only the writes of its own
// connection.
func (s *Store) execAndWait(ctx context.Context, one *script, keys, args []string, read func(rueidis.RedisResult) error) error {
	return s.client.Dedicated(func(c rueidis.DedicatedClient) error {
		if err := read(c.Do(ctx, c.B().Eval().Script(one.text).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build())); err != nil {
			return err
		}
		counts, err := c.Do(ctx, c.B().Waitaof().Numlocal(1).Numreplicas(0).Timeout(waitTimeout.Milliseconds()).Build()).AsIntSlice()
		switch {
		case err != nil:
			return err
		case len(counts) == 0 || counts[0] < 1:
			return errNotOnDisk
		}
		return nil
	})
}
