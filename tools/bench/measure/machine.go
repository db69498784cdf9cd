package measure

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Conditions are what a measurement was taken under.
type Conditions struct {
	At     time.Time `json:"at"`
	Took   float64   `json:"seconds"`
	Load   Spread    `json:"load"` // of the last minute, sampled before and after each round
	Cores  int       `json:"cores"`
	CPU    string    `json:"cpu"`
	Go     string    `json:"go"`
	Commit string    `json:"commit"`
	Short  bool      `json:"short"`

	loads []float64
}

// Begin notes what there is to know at the start.
func Begin(ctx context.Context, short bool) *Conditions {
	c := &Conditions{
		At: time.Now().UTC().Truncate(time.Second), Cores: runtime.NumCPU(), CPU: cpu(),
		Go: runtime.Version(), Commit: commit(ctx), Short: short,
	}
	c.Sample()
	return c
}

// Sample looks at the machine's load.
func (c *Conditions) Sample() {
	if l, ok := loadAverage(); ok {
		c.loads = append(c.loads, l)
	}
}

// End notes what is known at the end.
func (c *Conditions) End() {
	c.Sample()
	c.Load = Of(c.loads)
	c.Took = time.Since(c.At).Round(time.Second).Seconds()
}

// Busy reports whether others had the machine too when the measurement began. Its own load
// does not count, so only the first sample says.
func (c *Conditions) Busy() bool { return c.Load.N > 0 && c.Load.Min > 0.5*float64(c.Cores) }

func loadAverage() (float64, bool) {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, false // not Linux
	}
	first, _, _ := strings.Cut(string(b), " ")
	l, err := strconv.ParseFloat(first, 64)
	return l, err == nil
}

func cpu() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(b)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimSpace(strings.TrimLeft(name, "\t :"))
		}
	}
	return runtime.GOARCH
}

// commit is the commit that is measured, with a plus if more has changed since.
func commit(ctx context.Context) string {
	id, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=9", "HEAD").Output()
	if err != nil {
		return ""
	}
	name := strings.TrimSpace(string(id))
	if changes, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--untracked-files=no").Output(); err == nil && len(changes) > 0 {
		name += "+"
	}
	return name
}

// CPUTime is the processor time that this process has used.
func CPUTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
