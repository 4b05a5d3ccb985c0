package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// limit is a floor or a goal.
type limit struct {
	value float64
	least bool // the value must reach it, else it must stay below
	set   bool
}

func atLeast(v float64) limit { return limit{v, true, true} }
func atMost(v float64) limit  { return limit{v, false, true} }
func none() limit             { return limit{} }

func (l limit) met(v float64) bool {
	if l.least {
		return v >= l.value
	}
	return v <= l.value
}

func (l limit) String() string {
	switch {
	case !l.set:
		return ""
	case l.least:
		return fmt.Sprintf("≥ %.2f×", l.value)
	default:
		return fmt.Sprintf("≤ %.0f", l.value)
	}
}

// row is one measured quantity.
type row struct {
	number             int // of the goal
	what, ours, anchor string
	ratio              string
	floor, goal        limit
	value              float64 // what floor and goal are held against
	cpu                string
}

// met says which of the two limits hold.
func (r row) met() string {
	yes := func(l limit) string {
		switch {
		case !l.set:
			return "–"
		case l.met(r.value):
			return "yes"
		default:
			return "**no**"
		}
	}
	return yes(r.floor) + " / " + yes(r.goal)
}

// report gathers what was measured.
type report struct {
	o     options
	begun time.Time
	took  time.Duration
	rows  []row
	notes []string
	facts []string
	load  string // the machine's, at the end
}

func (r *report) add(x row) { r.rows = append(r.rows, x) }

// rate adds a rate against its anchor.
func (r *report) rate(number int, what string, ours, anchor series, floor, goal float64) {
	v := ratio(ours, anchor)
	r.add(row{number, what, fmt.Sprintf("%.0f/s", ours.rate()), fmt.Sprintf("%.0f/s", anchor.rate()), times(v), atLeast(floor), atLeast(goal), v,
		fmt.Sprintf("%.0f µs (anchor %.0f)", micros(ours.cpu()), micros(anchor.cpu()))})
	r.failures(what, ours)
	r.failures("anchor of "+what, anchor)
}

func (r *report) note(format string, a ...any) { r.notes = append(r.notes, fmt.Sprintf(format, a...)) }

func (r *report) wrong(what string) { r.note("**WRONG: %s.**", what) }

// failures says what was not answered as it should be.
func (r *report) failures(what string, s series) {
	for _, b := range s.bad() {
		r.wrong(what + ": " + b)
	}
}

// machine names what the figures were taken on.
func (r *report) machine() error {
	cpu, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return err
	}
	model := "unknown processor"
	for line := range strings.Lines(string(cpu)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			model = strings.TrimSpace(v)
			break
		}
	}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return err
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	r.facts = []string{
		fmt.Sprintf("%s; %s, %d cores; Linux %s; %s", r.begun.UTC().Format("2006-01-02 15:04 MST"), model, runtime.NumCPU(), bytes.TrimSpace(kernel), runtime.Version()),
		fmt.Sprintf("%d users, %d workers, median of %d rounds of %v", r.o.users, r.o.workers, r.o.rounds, r.o.burst),
	}
	r.load = strings.Join(strings.Fields(string(load))[:3], " ")
	return nil
}

// write prints the table, in the order of the goals.
func (r *report) write(w io.Writer) error {
	var b strings.Builder
	for _, f := range r.facts {
		fmt.Fprintf(&b, "- %s\n", f)
	}
	fmt.Fprintf(&b, "- load average at the end %s, of which the run is a part; the run took %.0f s\n", r.load, r.took.Seconds())
	b.WriteString("\n| # | quantity | ours | anchor | ratio | floor | goal | met | server CPU a request |\n|---|---|---|---|---|---|---|---|---|\n")
	slices.SortStableFunc(r.rows, func(a, b row) int { return a.number - b.number })
	for _, x := range r.rows {
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s | %s | %s | %s | %s |\n", x.number, x.what, x.ours, x.anchor, x.ratio, x.floor, x.goal, x.met(), x.cpu)
	}
	b.WriteByte('\n')
	for _, n := range r.notes {
		fmt.Fprintf(&b, "- %s\n", n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func times(v float64) string { return fmt.Sprintf("%.2f×", v) }

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
