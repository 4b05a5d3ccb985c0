package keyring

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/store/storetest"
)

func TestANewRecoveryIdentityOpensWhatTheFormerNoLongerDoes(t *testing.T) {
	storetest.Each(t, []capability.Manifest{Manifest()}, func(t *testing.T, db *store.Store) {
		ctx, dir := context.Background(), t.TempDir()
		now := clock.NewFixed(time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC))
		root, err := MakeRootFile(filepath.Join(dir, "root.key"))
		if err != nil {
			t.Fatal(err)
		}
		var acts []string
		k := &Service{Store: db, Root: root, Now: now.Now, Log: slog.New(slog.DiscardHandler), Second: Folder(filepath.Join(dir, "copy")),
			Ledgers: []Ledger{FolderLedger(filepath.Join(dir, "a")), FolderLedger(filepath.Join(dir, "b"))}}
		k.Outcome = func(ctx context.Context, _ caller.Caller, act Act, failure error) error {
			acts = append(acts, act.Kind)
			return db.Main.Maintain(ctx, system, func(tx *store.Tx) error { return OutcomeTx(tx, act, now.Now()) })
		}
		first, err := k.Setup(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.RotateKEK(ctx, caller.ForLocal("0@test")); err != nil { // two key-encryption keys to wrap again
			t.Fatal(err)
		}
		now.Advance(time.Minute)
		second, err := k.NewRecovery(ctx, caller.ForLocal("0@test"))
		if err != nil {
			t.Fatal(err)
		}
		if first.Equal(second) {
			t.Fatal("the identity did not change")
		}
		if !slices.Equal(acts, []string{ActRotateKEK, ActRecovery}) {
			t.Errorf("acts %q", acts)
		}
		if open, err := k.OpenActs(ctx); err != nil || len(open) != 0 {
			t.Errorf("open acts %v %v", open, err)
		}
		opens := func(secret Secret, wrapped, bind []byte) bool {
			t.Helper()
			identity, err := age.ParseX25519Identity(string(secret.Reveal()))
			if err != nil {
				t.Fatal(err)
			}
			_, err = unwrapByRecovery(identity, wrapped, bind)
			return err == nil
		}
		m, rows, err := k.meta(ctx)
		if err != nil || len(rows) != 2 {
			t.Fatalf("%d key-encryption keys, %v", len(rows), err)
		}
		for _, row := range rows {
			bind := wrapContext(m.Installation, "key-encryption-key", row.ID.String())
			if opens(first, row.ByRecovery, bind) || !opens(second, row.ByRecovery, bind) {
				t.Errorf("key-encryption key %d is not the new identity's alone", row.Version)
			}
		}
		names, err := k.Second.List(ctx)
		if err != nil {
			t.Fatal(err)
		}
		newest := ""
		for _, n := range names {
			if strings.HasSuffix(n, "-end.keys") {
				newest = max(newest, n)
			}
		}
		identity, err := age.ParseX25519Identity(string(second.Reveal()))
		if err != nil {
			t.Fatal(err)
		}
		end, _, err := readCopy(ctx, k.Second, nil, identity, m.Installation, newest)
		if err != nil || end.Meta.Recipient != identity.Recipient().String() {
			t.Errorf("the newest copy %s does not open with the new identity: %v", newest, err)
		}
		if err := k.Start(ctx); err != nil {
			t.Errorf("start after the change: %v", err)
		}
	})
}
