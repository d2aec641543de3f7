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

// waitTimeout is how long an end waits for the disk. With appendfsync everysec that
// is a second, or two where the disk is slow.
const waitTimeout = 3 * time.Second

// facts are what a server says of itself; what it does not tell is "".
type facts struct {
	appendOnly  string // "1" or "0"
	appendFsync string // "always", "everysec" or "no"
	canWait     bool   // it knows WAITAOF, and the user may use it
	maxMemory   string // "0" is no limit
	policy      string // what it does where that is reached
}

// decide returns whether ends have to wait for the disk, and what the operator
// should know.
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

// findDurability asks all nodes. Ends wait if they have to on any, and can on all.
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

// ask collects the facts of a node. Managed servers do not tell them all.
func ask(ctx context.Context, node rueidis.Client) (f facts) {
	persistence := info(ctx, node, "persistence")
	memory := info(ctx, node, "memory")
	f.appendOnly, f.maxMemory, f.policy = persistence["aof_enabled"], memory["maxmemory"], memory["maxmemory_policy"]
	if setting, err := node.Do(ctx, node.B().ConfigGet().Parameter("appendfsync").Build()).AsStrMap(); err == nil {
		f.appendFsync = setting["appendfsync"]
	}
	// This waits for nothing, so that it needs no connection of its own, and is an error
	// where it would be one later.
	f.canWait = node.Do(ctx, node.B().Arbitrary("WAITAOF", "0", "0", "1").Build()).Error() == nil
	return f
}

func info(ctx context.Context, node rueidis.Client, section string) map[string]string {
	found := map[string]string{}
	text, _ := node.Do(ctx, node.B().Info().Section(section).Build()).ToString() // "" if it may not be asked
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok {
			found[name] = value
		}
	}
	return found
}

// execAndWait carries out a script and waits until what it wrote is on the disk. Both
// are on one connection: WAITAOF is about what its own connection wrote.
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
