package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// measureLibrary runs the Go benchmarks of the log and of sealing; those that
// are compared take turns.
func measureLibrary(ctx context.Context, _ options, dir string, r *report) error {
	const auditPkg, keyPkg = "./internal/audit", "./internal/keyring"
	audit, err := testBinary(ctx, dir, auditPkg)
	if err != nil {
		return err
	}
	keys, err := testBinary(ctx, dir, keyPkg)
	if err != nil {
		return err
	}
	all := results{}
	for range 3 {
		if err := errors.Join(
			all.bench(ctx, audit, auditPkg, "^BenchmarkRawBatch$", "1s", dir),
			all.bench(ctx, audit, auditPkg, "^BenchmarkAppend$/^c=256$", "8000x", dir),
			all.bench(ctx, audit, auditPkg, "^BenchmarkAppend$/^c=32$", "8000x", dir),
			all.bench(ctx, keys, keyPkg, "^BenchmarkSeal$", "300ms", dir),
		); err != nil {
			return err
		}
	}
	p50, p99, err := fsyncs(dir, time.Second)
	if err != nil {
		return err
	}
	raw, wide, acked := all["RawBatch"]["ns/op"], all["Append/c=256"]["ns/op"], all.get("Append/c=32", "p99-ms")
	var ratios []float64
	for i := range min(len(raw), len(wide)) {
		ratios = append(ratios, raw[i]/wide[i])
	}
	rate := func(ns float64) string { return fmt.Sprintf("%.0f/s", 1e9/ns) }
	r.add(row{13, "append to the log, c=256, against raw batches of 256 rows", rate(median(wide)), rate(median(raw)), times(median(ratios)), atLeast(0.40), atLeast(0.60),
		median(ratios), fmt.Sprintf("%.0f µs (raw %.1f)", all.get("Append/c=256", "cpu-ns/op")/1000, all.get("RawBatch", "cpu-ns/op")/1000)})
	goal := max(10, 4*millis(p99))
	r.add(row{14, "acknowledged append, c=32, p99", fmt.Sprintf("%.1f ms", acked), fmt.Sprintf("fsync p50 %.1f, p99 %.1f ms", millis(p50), millis(p99)), "", atMost(50), atMost(goal),
		acked, fmt.Sprintf("%.0f µs", all.get("Append/c=32", "cpu-ns/op")/1000)})
	seal := all.get("Seal", "ns/op") / 1000
	r.add(row{27, "seal one field", fmt.Sprintf("%.2f µs", seal), "", "", atMost(3), atMost(1), seal, ""})
	return nil
}

// measureFirst starts the product in empty folders.
func measureFirst(ctx context.Context, o options, dir string, r *report) error {
	var took, used []time.Duration
	for range 3 {
		place := filepath.Join(dir, "first")
		if err := os.MkdirAll(place, 0o700); err != nil {
			return err
		}
		s, err := startDemo(ctx, o.binary, place)
		if err != nil {
			return err
		}
		took, used = append(took, s.ready), append(used, s.used)
		s.stop()
		if err := os.RemoveAll(place); err != nil {
			return err
		}
	}
	first := millis(median(took))
	r.add(row{20, "first start to the first answer, keys made and the demo's people seeded", fmt.Sprintf("%.0f ms", first), "", "", none(), atMost(400), first,
		fmt.Sprintf("%.0f ms", millis(median(used)))})
	info, err := os.Stat(o.binary)
	if err != nil {
		return err
	}
	mb := float64(info.Size()) / 1e6
	r.add(row{22, "binary, stripped, everything embedded", fmt.Sprintf("%.1f MB", mb), "", "", atMost(60), atMost(40), mb, ""})
	return nil
}

// measureLoad seeds the users and plays the load: anchor and product in turns.
func measureLoad(ctx context.Context, o options, dir string, r *report) error {
	place := filepath.Join(dir, "load")
	if err := os.MkdirAll(place, 0o700); err != nil {
		return err
	}
	s, err := startDemo(ctx, o.binary, place, "--users", strconv.Itoa(o.users))
	if err != nil {
		return err
	}
	r.note("Seeding %d users took %.1f s, each change logged.", o.users, s.ready.Seconds())
	s.stop()
	// Started again, the product holds what serving needs, and not what seeding did.
	if s, err = startDemo(ctx, o.binary, place, "--users", strconv.Itoa(o.users)); err != nil {
		return err
	}
	defer s.stop()
	a, err := startAnchor(ctx)
	if err != nil {
		return err
	}
	defer a.kill()
	d, err := newDriver(s, o.workers, o.users)
	if err != nil {
		return err
	}
	if err := wait(ctx, 2*time.Second); err != nil { // the memory of an idle server is read at rest
		return err
	}
	idle, idleAnon, err := memory(s.pid())
	if err != nil {
		return err
	}
	chain, err := newChains(d, o.workers)
	if err != nil {
		return err
	}
	logBefore, err := settledLog(ctx, d)
	if err != nil {
		return err
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	anchor := newClient(o.workers)
	call := func(method, url string) func(int) error {
		return func(int) error {
			req, err := http.NewRequest(method, url, nil)
			if err != nil {
				return err
			}
			_, err = fetch(anchor, req, http.StatusOK)
			return err
		}
	}
	var sampleMu sync.Mutex
	var sampled []string
	steps := []struct {
		name    string
		pid     int
		workers int
		do      func(int) error
	}{
		{"hello", a.pid(), o.workers, call(http.MethodGet, a.base+"/hello")},
		{"discovery", s.pid(), o.workers, call(http.MethodGet, s.base+"/.well-known/openid-configuration")},
		{"jwks", s.pid(), o.workers, call(http.MethodGet, s.base+"/oauth/jwks")},
		{"es256", a.pid(), o.workers, call(http.MethodPost, a.base+"/es256")},
		{"client", s.pid(), o.workers, func(w int) error {
			t, err := d.token("service", form)
			if w == 0 && err == nil { // one worker's are looked at afterwards
				sampleMu.Lock()
				sampled = append(sampled, t.Access)
				sampleMu.Unlock()
			}
			return err
		}},
		{"refresh", s.pid(), o.workers, chain.next},
	}
	got := map[string]series{}
	for round := range o.rounds {
		for _, st := range steps {
			if err := ctx.Err(); err != nil {
				return err
			}
			x, err := burst(st.pid, st.workers, o.burst, st.do)
			if err != nil {
				return err
			}
			got[st.name] = append(got[st.name], x)
		}
		log.Printf("round %d of %d: tokens %.0f/s, refresh %.0f/s", round+1, o.rounds, got["client"][round].rate, got["refresh"][round].rate)
	}
	logAfter, err := settledLog(ctx, d)
	if err != nil {
		return err
	}
	grants := got["client"].good()
	r.note("%d client_credentials grants and %d refreshes were answered; the installation's log, which holds the former, grew by %d entries meanwhile.", grants, got["refresh"].good(), logAfter-logBefore)
	if int64(grants) > logAfter-logBefore {
		r.wrong("fewer entries than grants")
	}
	checked := 0
	for i := 0; i < len(sampled); i += max(1, len(sampled)/200) {
		if err := d.verify(sampled[i]); err != nil {
			return fmt.Errorf("an access token does not verify: %w", err)
		}
		checked++
	}
	for _, t := range chain.last {
		for _, one := range []string{t.Access, t.ID} {
			if err := d.verify(one); err != nil {
				return fmt.Errorf("a refreshed token does not verify: %w", err)
			}
			checked++
		}
	}
	r.note("%d tokens of the run were verified with go-jose.", checked)

	r.rate(1, "discovery against hello", got["discovery"], got["hello"], 0.80, 0.90)
	r.rate(1, "JWKS against hello", got["jwks"], got["hello"], 0.80, 0.90)
	r.rate(2, "client_credentials, logged, against es256", got["client"], got["es256"], 0.50, 0.70)
	p99 := float64(got["client"].p99()) / float64(max(1, got["es256"].p99()))
	r.add(row{2, "p99 of the same", fmt.Sprintf("%.1f ms", millis(got["client"].p99())), fmt.Sprintf("%.1f ms", millis(got["es256"].p99())), times(p99), none(), atMost(2), p99, ""})
	r.rate(5, "refresh with rotation against es256", got["refresh"], got["es256"], 0.25, 0.40)

	if err := measureSignIn(ctx, o, d, s, r); err != nil {
		return err
	}
	after, afterAnon, err := memory(s.pid())
	if err != nil {
		return err
	}
	r.add(row{21, "memory, idle", fmt.Sprintf("%.0f MiB (anonymous %.0f)", idle, idleAnon), "", "", atMost(80), atMost(50), idle, ""})
	r.add(row{21, "memory after the load", fmt.Sprintf("%.0f MiB (anonymous %.0f)", after, afterAnon), "", "", atMost(200), atMost(110), after, ""})
	return nil
}

// settledLog waits until the newest checkpoint covers all that was answered.
func settledLog(ctx context.Context, d *driver) (int64, error) {
	if err := wait(ctx, 2500*time.Millisecond); err != nil {
		return 0, err
	}
	return d.logSize()
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// measureSignIn compares whole sign-ins with what the machine can hash.
func measureSignIn(ctx context.Context, o options, d *driver, s *server, r *report) error {
	counts := []int{1, 8, o.workers}
	hash := series{}
	got := map[int]series{}
	for range o.rounds {
		if err := ctx.Err(); err != nil {
			return err
		}
		hash = append(hash, sample{rate: hashRate(o.burst)})
		for _, c := range counts {
			n := make([]int, c)
			x, err := burst(s.pid(), c, o.burst, func(w int) error {
				n[w]++
				_, err := d.signIn(w + n[w]*c)
				return err
			})
			if err != nil {
				return err
			}
			got[c] = append(got[c], x)
		}
	}
	for _, c := range counts {
		floor, goal := atLeast(0.80), atLeast(0.92)
		if c == 1 { // one sign-in at a time keeps one core busy
			floor, goal = none(), none()
		}
		v := ratio(got[c], hash)
		r.add(row{6, fmt.Sprintf("password sign-in, c=%d, against Argon2id alone on all cores", c),
			fmt.Sprintf("%.1f/s, p50 %.0f, p99 %.0f ms", got[c].rate(), millis(got[c].p50()), millis(got[c].p99())), fmt.Sprintf("%.1f/s", hash.rate()), times(v), floor, goal, v,
			fmt.Sprintf("%.1f ms", millis(got[c].cpu()))})
		r.failures(fmt.Sprintf("sign-in, c=%d", c), got[c])
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	bad := map[string]int{}
	for range 8 {
		wg.Go(func() {
			if _, err := d.signIn(0); err != nil {
				mu.Lock()
				bad[err.Error()]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if r.failures("the same user 8 times at once", series{{bad: bad}}); len(bad) == 0 {
		r.note("The same user signed in 8 times at once, without an error.")
	}
	return nil
}

// measureStarts starts the product on the data of the load: after a clean stop,
// after kill -9 in the middle of writing, and with one database connection.
func measureStarts(ctx context.Context, o options, dir string, r *report) error {
	place := filepath.Join(dir, "load")
	users := []string{"--users", strconv.Itoa(o.users)}
	var clean, killed, cleanUsed, killedUsed []time.Duration
	var wal float64
	form := url.Values{"grant_type": {"client_credentials"}}
	for range o.rounds {
		s, err := startDemo(ctx, o.binary, place, users...)
		if err != nil {
			return err
		}
		clean, cleanUsed = append(clean, s.ready), append(cleanUsed, s.used)
		d, err := newDriver(s, o.workers, o.users)
		if err != nil {
			return err
		}
		if _, err := burst(0, o.workers, o.burst/2, func(int) error {
			_, err := d.token("service", form)
			return err
		}); err != nil {
			return err
		}
		s.kill()
		if info, err := os.Stat(filepath.Join(place, "data", "main.db-wal")); err == nil {
			wal = max(wal, float64(info.Size())/1e6)
		}
		if s, err = startDemo(ctx, o.binary, place, users...); err != nil {
			return err
		}
		killed, killedUsed = append(killed, s.ready), append(killedUsed, s.used)
		s.stop()
	}
	ms := func(v []time.Duration) string {
		slices.Sort(v)
		return fmt.Sprintf("%.0f ms (%.0f to %.0f)", millis(median(v)), millis(v[0]), millis(v[len(v)-1]))
	}
	r.add(row{20, "start on existing data to the first answer", ms(clean), "", "", atMost(300), atMost(80), millis(median(clean)), fmt.Sprintf("%.0f ms", millis(median(cleanUsed)))})
	r.add(row{20, fmt.Sprintf("the same after kill -9 with a write-ahead log of up to %.0f MB", wal), ms(killed), "", "", none(), atMost(1000), millis(median(killed)), fmt.Sprintf("%.0f ms", millis(median(killedUsed)))})
	return measureOne(ctx, o, place, users, r)
}

// measureOne plays every kind of load at once, twice as many workers as usual,
// on one database connection: whatever waits for a second one waits for ever.
func measureOne(ctx context.Context, o options, place string, users []string, r *report) error {
	s, err := startDemo(ctx, o.binary, place, append(users, "--pool", "1")...)
	if err != nil {
		return err
	}
	defer s.stop()
	workers := 2 * o.workers
	d, err := newDriver(s, workers, o.users)
	if err != nil {
		return err
	}
	chain, err := newChains(d, workers)
	if err != nil {
		return err
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	x, err := burst(s.pid(), workers, 2*o.burst, func(w int) error {
		switch w % 4 {
		case 0:
			_, err := d.get("/oauth/jwks")
			return err
		case 1:
			_, err := d.token("service", form)
			return err
		case 2:
			return chain.next(w)
		default:
			_, err := d.signIn(w)
			return err
		}
	})
	if err != nil {
		return err
	}
	r.add(row{30, fmt.Sprintf("requests that hang: the whole load at once, one database connection, c=%d", workers), fmt.Sprintf("%d of %d", x.hung, x.all+x.hung), "", "", atMost(0), atMost(0), float64(x.hung), ""})
	r.failures("load on one database connection", series{x})
	return nil
}
