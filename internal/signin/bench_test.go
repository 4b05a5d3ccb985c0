package signin_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/signin"
	"github.com/rempart/rempart/internal/store/storetest"
)

// BenchmarkSignIn is the three requests of a password sign-in that are this
// package's, with the hash: "cpu-ms" is their processor time, of which "hash-ms",
// measured in the same run, is the hash's. On a busy machine the two are noisy;
// the number of statements is not.
func BenchmarkSignIn(b *testing.B) {
	w := newWorld(b, storetest.Open(b, manifests()))
	cpu := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	begun := cpu()
	const sample = 20
	for range sample {
		if _, err := w.cred.Prehash(context.Background(), rightPassword); err != nil {
			b.Fatal(err)
		}
	}
	hash := (cpu() - begun) / sample
	b.ResetTimer()
	statements := w.store.Main.Statements()
	begun = cpu()
	for range b.N {
		c := w.browser()
		path, err := w.signin.Begin(context.Background(), signin.Ask{Return: "/oauth/continue?request=abc", ClientName: "Notes"})
		if err != nil {
			b.Fatal(err)
		}
		c.get(path).post("email", w.plain.email).post("password", rightPassword)
		if c.page.status != 303 {
			b.Fatal(c.page.status)
		}
	}
	all := (cpu() - begun) / time.Duration(b.N)
	b.ReportMetric(float64(w.store.Main.Statements()-statements)/float64(b.N), "statements")
	b.ReportMetric(float64(hash.Microseconds())/1000, "hash-ms")
	b.ReportMetric(float64(all.Microseconds())/1000, "cpu-ms")
}
