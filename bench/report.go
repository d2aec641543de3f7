package bench

import (
	"runtime"
	"slices"
	"time"
)

// A Report is the result of a run.
type Report struct {
	Clients int       `json:"clients"`
	Seconds float64   `json:"seconds"`
	Warmup  float64   `json:"warmupSeconds"`
	Rounds  int       `json:"rounds"`
	CPUs    int       `json:"cpus"`
	System  string    `json:"system"`
	Go      string    `json:"go"`
	Targets []Target  `json:"targets"`
	Skipped []Skipped `json:"skipped"`
}

// A Target is a server and its figures.
type Target struct {
	Key     string    `json:"key"`
	Name    string    `json:"name"`
	Durable string    `json:"durable"`
	Median  Figures   `json:"median"`
	Rounds  []Figures `json:"rounds"`
}

// Skipped is a server that the run left out.
type Skipped struct {
	Key    string `json:"key"`
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Figures are the results of one measurement, or the medians of several.
type Figures struct {
	RefreshesPerSecond float64 `json:"refreshesPerSecond"`
	P50                float64 `json:"p50Microseconds"`
	P99                float64 `json:"p99Microseconds"`
	// ServerCPU is the CPU time of the server's process per refresh, without the
	// database's.
	ServerCPU float64 `json:"serverCPUMicroseconds"`
	// LoadCPU is the CPU time of the clients per refresh.
	LoadCPU float64 `json:"loadCPUMicroseconds"`
	// OtherCores is how many cores other processes kept busy: the database, and any
	// other program, which distorts the figures.
	OtherCores float64 `json:"otherCores"`
	// ToPeer is the rate divided by the peer's rate in the same round, if the run
	// measured the peer.
	ToPeer float64 `json:"toPeer,omitempty"`
	// PerRefresh contains the engine's counts per refresh, from the server's start to
	// its end.
	PerRefresh map[string]float64 `json:"perRefresh,omitempty"`
}

func newReport(c Config) Report {
	return Report{
		Clients: c.Clients, Seconds: c.Measured.Seconds(), Warmup: c.Warmup.Seconds(), Rounds: c.Rounds,
		CPUs: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
	}
}

func (m measurement) figures() Figures {
	return Figures{
		RefreshesPerSecond: m.rate,
		P50:                microseconds(m.p50),
		P99:                microseconds(m.p99),
		ServerCPU:          microseconds(m.serverCPU),
		LoadCPU:            microseconds(m.loadCPU),
		OtherCores:         m.others,
	}
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func (f *Figures) count(counted map[string]int64, refreshes int) {
	f.PerRefresh = make(map[string]float64, len(counted))
	for name, n := range counted {
		f.PerRefresh[name] = float64(n) / float64(max(refreshes, 1))
	}
}

// finish computes the figures that need all rounds.
func (r *Report) finish() {
	for i := range r.Targets {
		if r.Targets[i].Key == PeerKey {
			r.compareWith(r.Targets[i].Rounds)
		}
	}
	for i := range r.Targets {
		r.Targets[i].Median = median(r.Targets[i].Rounds)
	}
}

func (r *Report) compareWith(peer []Figures) {
	for i := range r.Targets {
		for n := range r.Targets[i].Rounds {
			figures := &r.Targets[i].Rounds[n]
			if rate := peer[n].RefreshesPerSecond; rate > 0 {
				figures.ToPeer = figures.RefreshesPerSecond / rate
			}
		}
	}
}

// median returns the median of each figure separately.
func median(rounds []Figures) Figures {
	of := func(figure func(Figures) float64) float64 {
		var all []float64
		for _, f := range rounds {
			all = append(all, figure(f))
		}
		slices.Sort(all)
		return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
	}
	m := Figures{
		RefreshesPerSecond: of(func(f Figures) float64 { return f.RefreshesPerSecond }),
		P50:                of(func(f Figures) float64 { return f.P50 }),
		P99:                of(func(f Figures) float64 { return f.P99 }),
		ServerCPU:          of(func(f Figures) float64 { return f.ServerCPU }),
		LoadCPU:            of(func(f Figures) float64 { return f.LoadCPU }),
		OtherCores:         of(func(f Figures) float64 { return f.OtherCores }),
		ToPeer:             of(func(f Figures) float64 { return f.ToPeer }),
	}
	for _, f := range rounds {
		for name := range f.PerRefresh {
			if m.PerRefresh == nil {
				m.PerRefresh = map[string]float64{}
			}
			m.PerRefresh[name] = of(func(f Figures) float64 { return f.PerRefresh[name] })
		}
	}
	return m
}
