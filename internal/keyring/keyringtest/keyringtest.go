// Package keyringtest opens a keyring for the tests of packages that seal.
package keyringtest

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
)

// New sets up a keyring in s, whose databases were migrated with the manifest
// of keyring.Manifest among others. Its root key, second place and ledgers are
// in temporary folders.
func New(t testing.TB, s *store.Store, now clock.Now) *keyring.Service {
	t.Helper()
	k := Unopened(t, s, now, t.TempDir())
	if _, err := k.Setup(context.Background()); err != nil {
		t.Fatal(err)
	}
	return k
}

// Unopened gives a keyring that was neither set up nor started, with its
// places in dir.
func Unopened(t testing.TB, s *store.Store, now clock.Now, dir string) *keyring.Service {
	t.Helper()
	path := filepath.Join(dir, "root.key")
	root, err := keyring.FileRoot("file", path)
	if err != nil {
		if root, err = keyring.MakeRootFile(path); err != nil {
			t.Fatal(err)
		}
	}
	return &keyring.Service{
		Store: s, Root: root, Now: now, Log: slog.New(slog.DiscardHandler),
		Second:  keyring.Folder(filepath.Join(dir, "keys-copy")),
		Ledgers: []keyring.Ledger{keyring.FolderLedger(filepath.Join(dir, "ledger")), keyring.FolderLedger(filepath.Join(dir, "ledger-2"))},
	}
}
