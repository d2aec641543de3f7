package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"time"
)

// cpuUse is the CPU time used, in seconds of one core; per second of time, it is how
// many cores were busy.
type cpuUse struct{ server, load, machine float64 }

// watchCPU measures the CPU use from one time to another, and returns after the second.
func watchCPU(ctx context.Context, from, to time.Time, server *process) (cpuUse, error) {
	if err := until(ctx, from); err != nil {
		return cpuUse{}, err
	}
	began := time.Now()
	before, err := readCPU(server)
	if err != nil {
		return cpuUse{}, err
	}
	if err := until(ctx, to); err != nil {
		return cpuUse{}, err
	}
	took := time.Since(began).Seconds()
	after, err := readCPU(server)
	return cpuUse{
		server:  (after.server - before.server) / took,
		load:    (after.load - before.load) / took,
		machine: (after.machine - before.machine) / took,
	}, err
}

func readCPU(server *process) (cpuUse, error) {
	ofServer, err := cpuTime(server.pid())
	if err != nil {
		return cpuUse{}, err
	}
	ofLoad, err := cpuTime(os.Getpid())
	if err != nil {
		return cpuUse{}, err
	}
	ofMachine, err := machineTime()
	return cpuUse{ofServer.Seconds(), ofLoad.Seconds(), ofMachine.Seconds()}, err
}

func until(ctx context.Context, t time.Time) error {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tick is the unit of the times in /proc, the same on every Linux.
const tick = time.Second / 100

// cpuTime returns how much CPU time a process has used; zero on a system without /proc.
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the CPU time of a process: %w", err)
	}
	// The process's name is in brackets and may contain blanks. After it come the state
	// and then numbers; utime and stime are the 12th and 13th fields after the name.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, errors.New("read the CPU time of a process: /proc has another form here")
	}
	busy, err := addTicks(fields[11:13])
	if err != nil {
		return 0, fmt.Errorf("read the CPU time of a process: %w", err)
	}
	return busy, nil
}

// machineTime returns how long the cores were busy in total, including time that the
// hypervisor gave to other machines; zero on a system without /proc.
func machineTime() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/stat")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the CPU time of the machine: %w", err)
	}
	// cpu user nice system idle iowait irq softirq steal
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 9 {
		return 0, errors.New("read the CPU time of the machine: /proc has another form here")
	}
	busy, err := addTicks(slices.Concat(fields[1:4], fields[6:9]))
	if err != nil {
		return 0, fmt.Errorf("read the CPU time of the machine: %w", err)
	}
	return busy, nil
}

func addTicks(fields [][]byte) (time.Duration, error) {
	var ticks int64
	for _, field := range fields {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}
