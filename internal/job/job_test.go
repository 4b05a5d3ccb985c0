package job_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/job"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/store/storetest"
)

func TestOneOfTwoNodesRunsAJobUntilItsLeaseEnds(t *testing.T) {
	storetest.Each(t, []capability.Manifest{job.Manifest()}, func(t *testing.T, s *store.Store) {
		if s.Main.Engine() == store.SQLite {
			t.Skip("the embedded engine has one node")
		}
		c := clock.NewFixed(time.Unix(1_790_000_000, 0))
		node := func() *job.Runner {
			return &job.Runner{Store: s.Main, Now: c.Now, Log: slog.New(slog.DiscardHandler), Node: id.NewNode(c.Now())}
		}
		a, b := node(), node()
		held := func(r *job.Runner) bool {
			ok, err := job.TakeLease(r, context.Background(), "x")
			if err != nil {
				t.Fatal(err)
			}
			return ok
		}
		if !held(a) || held(b) || !held(a) {
			t.Fatal("the first node does not hold the lease alone")
		}
		c.Advance(job.Lease + time.Second)
		if !held(b) || held(a) {
			t.Fatal("the lease did not pass on when it ended")
		}
	})
}

func TestAFailingOrPanickingJobIsReportedAndRunsAgain(t *testing.T) {
	c := clock.NewFixed(time.Unix(1_790_000_000, 0))
	var n atomic.Int64
	r := &job.Runner{Now: c.Now, Log: slog.New(slog.DiscardHandler)}
	r.Add(capability.Job{Name: "a", Every: time.Hour, Run: func(context.Context) error {
		switch n.Add(1) {
		case 1:
			return errors.New("no")
		case 2:
			panic("boom")
		}
		return nil
	}})
	for i := range 3 {
		err := r.RunNow(context.Background(), "a")
		if (err == nil) != (i == 2) {
			t.Fatalf("run %d: %v", i, err)
		}
	}
	if s := r.Statuses()[0]; s.Runs != 3 || s.Failed != 2 || s.Error != "" {
		t.Fatalf("%+v", s)
	}
}
