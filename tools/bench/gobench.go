package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// results are the metrics of Go benchmarks by name: unit to the values of the
// runs.
type results map[string]map[string][]float64

// get is the median of a metric, 0 where there is none.
func (r results) get(name, unit string) float64 { return median(r[name][unit]) }

// parseBench reads the lines of `go test -bench`, such as
//
//	BenchmarkSeal-2   100   713.1 ns/op   112 B/op
//
// into r, under the name without Benchmark and without the number of cores.
func (r results) parseBench(out []byte) {
	sc := bufio.NewScanner(bytes.NewReader(out))
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(f[0], "Benchmark")
		if i := strings.LastIndexByte(name, '-'); i > 0 {
			name = name[:i]
		}
		for i := 2; i+1 < len(f); i += 2 {
			v, err := strconv.ParseFloat(f[i], 64)
			if err != nil {
				break
			}
			if r[name] == nil {
				r[name] = map[string][]float64{}
			}
			r[name][f[i+1]] = append(r[name][f[i+1]], v)
		}
	}
}

// testBinary builds the tests of a package once.
func testBinary(ctx context.Context, dir, pkg string) (string, error) {
	out := filepath.Join(dir, filepath.Base(pkg)+".test")
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", out, pkg)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build the benchmarks of %s: %w", pkg, err)
	}
	return out, nil
}

// bench runs one benchmark of a test binary in its package's folder.
func (r results) bench(ctx context.Context, binary, pkg, pattern, forTime, temp string) error {
	cmd := exec.CommandContext(ctx, binary, "-test.run", "^$", "-test.bench", pattern, "-test.benchtime", forTime, "-test.timeout", "90s")
	cmd.Dir = pkg
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", pkg, pattern, err, out)
	}
	r.parseBench(out)
	return nil
}

// fsyncs writes and syncs blocks of 4 KiB for d and answers the median and the
// 99th percentile of one: what any durable answer costs here, this minute.
func fsyncs(dir string, d time.Duration) (p50, p99 time.Duration, err error) {
	f, err := os.CreateTemp(dir, "fsync-*")
	if err != nil {
		return 0, 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 4096)
	var took []time.Duration
	for start := time.Now(); time.Since(start) < d; {
		t := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, 0, err
		}
		took = append(took, time.Since(t))
	}
	slices.Sort(took)
	return quantile(took, 0.5), quantile(took, 0.99), nil
}
