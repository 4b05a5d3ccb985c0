package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

// deadline is the time in which every request must have ended; one that has
// not counts as hung.
const deadline = 15 * time.Second

// newClient keeps one connection a worker and follows no redirect. Every name
// is this machine: localhost is not looked up.
func newClient(workers int) *http.Client {
	var d net.Dialer
	return &http.Client{
		Timeout: deadline,
		Transport: &http.Transport{
			MaxIdleConnsPerHost: workers, DisableCompression: true,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				_, port, err := net.SplitHostPort(addr)
				if err != nil {
					return nil, err
				}
				return d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// fetch sends one request and reads all of the answer.
func fetch(c *http.Client, r *http.Request, want int) ([]byte, error) {
	res, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != want {
		return nil, fmt.Errorf("%s %s: %s: %.120s", r.Method, r.URL.Path, res.Status, b)
	}
	return b, nil
}

// sample is what one burst of load saw.
type sample struct {
	rate     float64       // good answers a second
	p50, p99 time.Duration // of good answers
	cpu      time.Duration // of the server, an answer
	n        int           // good answers
	all      int           // good ones, the warm-up's among them
	bad      map[string]int
	hung     int
}

// burst keeps workers busy with do for d, after a tenth of d as warm-up that is
// not counted.
func burst(pid, workers int, d time.Duration, do func(worker int) error) (sample, error) {
	s := sample{bad: map[string]int{}}
	before, err := cpuTime(pid)
	if err != nil {
		return s, err
	}
	start := time.Now().Add(d / 10)
	end := start.Add(d)
	var (
		mu   sync.Mutex
		took []time.Duration
		wg   sync.WaitGroup
	)
	for w := range workers {
		wg.Go(func() {
			var mine []time.Duration
			bad := map[string]int{}
			hung, all := 0, 0
			for {
				t := time.Now()
				if t.After(end) {
					break
				}
				if err := do(w); err != nil {
					if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
						hung++
					}
					bad[err.Error()]++
					if errors.Is(err, errStop) {
						break
					}
					continue
				}
				all++
				// What ends within the window counts, whenever it began: else
				// slow answers of full queues would not count at all.
				if now := time.Now(); now.After(start) && !now.After(end) {
					mine = append(mine, now.Sub(t))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
			s.hung += hung
			s.all += all
			for k, v := range bad {
				s.bad[k] += v
			}
		})
	}
	wg.Wait()
	after, err := cpuTime(pid)
	if err != nil {
		return s, err
	}
	slices.Sort(took)
	s.n = len(took)
	s.rate = float64(s.n) / d.Seconds()
	s.p50, s.p99 = quantile(took, 0.5), quantile(took, 0.99)
	s.cpu = (after - before) / time.Duration(max(1, s.all))
	return s, nil
}

// errStop ends a worker that cannot go on.
var errStop = errors.New("the worker stops")

// quantile of sorted values; zero of none.
func quantile[T any](sorted []T, q float64) T {
	var zero T
	if len(sorted) == 0 {
		return zero
	}
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}

func median[T cmp.Ordered](values []T) T {
	return quantile(slices.Sorted(slices.Values(values)), 0.5)
}

// series are the samples of one quantity, a round each.
type series []sample

func (s series) rate() float64 {
	return median(each(s, func(x sample) float64 { return x.rate }))
}

func (s series) p99() time.Duration {
	return median(each(s, func(x sample) time.Duration { return x.p99 }))
}

func (s series) p50() time.Duration {
	return median(each(s, func(x sample) time.Duration { return x.p50 }))
}

func (s series) cpu() time.Duration {
	return median(each(s, func(x sample) time.Duration { return x.cpu }))
}

// good counts all good answers, those of warm-ups too.
func (s series) good() (n int) {
	for _, x := range s {
		n += x.all
	}
	return n
}

// bad lists what went wrong, in a stable order.
func (s series) bad() (out []string) {
	sum := map[string]int{}
	for _, x := range s {
		for k, v := range x.bad {
			sum[k] += v
		}
	}
	for _, k := range slices.Sorted(maps.Keys(sum)) {
		out = append(out, fmt.Sprintf("%d × %s", sum[k], k))
	}
	return out
}

func each[T any](s series, f func(sample) T) []T {
	out := make([]T, len(s))
	for i, x := range s {
		out[i] = f(x)
	}
	return out
}

// ratio is the median of the rounds' own ratios.
func ratio(ours, anchor series) float64 {
	var r []float64
	for i := range min(len(ours), len(anchor)) {
		if anchor[i].rate > 0 {
			r = append(r, ours[i].rate/anchor[i].rate)
		}
	}
	return median(r)
}
