package store_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/store/storetest"
)

// A statement left open kept the files open and the write-ahead log beside
// them after a clean stop.
func TestAStoppedStoreLeavesOneFile(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	c := storetest.SQLite(dir)
	manifests := []capability.Manifest{manifest}
	if err := store.Migrate(ctx, c.Main, c.Keys, manifests); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(ctx, c.Main, c.Keys, manifests)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := s.Main.Maintain(ctx, store.System("test"), func(tx *store.Tx) error { _, err := tx.Exec(note, "a"); return err }); err != nil {
			t.Fatal(err)
		}
		err := s.Main.View(ctx, store.System("test"), func(tx *store.Tx) error {
			_, err := store.All(tx, func(r *store.Rows) (struct{}, error) { return struct{}{}, nil }, all)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if _, err := os.Stat(filepath.Join(dir, "main.db"+suffix)); err == nil {
			t.Errorf("main.db%s is there after a clean stop", suffix)
		}
	}
}
