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

// cpuUse is how long cores were busy, or per second, how many were.
type cpuUse struct{ server, load, machine float64 }

// watchCPU returns when the measurement is over.
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

// tick is the unit of the times in /proc, on every Linux.
const tick = time.Second / 100

// cpuTime returns how long a process has kept a core busy: zero where there is no
// /proc.
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the CPU time of a process: %w", err)
	}
	// The name is in brackets and may have blanks. The state comes next, then
	// numbers; utime and stime are the 12th and 13th after the name.
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

// machineTime returns how long all cores were busy, or taken by another machine:
// zero where there is no /proc.
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
