package keyring

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Place is a second place for copies of the keys database: objects that are
// written once and removed when their term is over. Put answers nil only when
// the object will survive the loss of power; it never replaces one.
type Place interface {
	// Name says where it is, for people and the recovery kit.
	Name() string
	Put(ctx context.Context, name string, data []byte) error
	Open(ctx context.Context, name string) ([]byte, error)
	// List gives the names of complete objects, sorted.
	List(ctx context.Context) ([]string, error)
	// Remove ends an object; one that is not there is no error.
	Remove(ctx context.Context, name string) error
}

// Folder is a Place in a folder of this machine or of a mounted one.
func Folder(dir string) Place { return folder(dir) }

type folder string

func (f folder) Name() string { return string(f) }

func (f folder) Put(_ context.Context, name string, data []byte) error {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(string(f), name)); err == nil {
		return fmt.Errorf("%s: %w", name, fs.ErrExist)
	}
	return writeDurably(string(f), name, data)
}

func (f folder) Open(_ context.Context, name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(f), name))
}

func (f folder) List(context.Context) ([]string, error) {
	entries, err := os.ReadDir(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []string
	for _, e := range entries {
		if e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
			out = append(out, e.Name())
		}
	}
	slices.Sort(out)
	return out, err
}

func (f folder) Remove(_ context.Context, name string) error {
	err := os.Remove(filepath.Join(string(f), name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// writeDurably writes a file that appears whole or not at all, and that is on
// the disk, with its name, when it answers nil.
func writeDurably(dir, name string, data []byte) error {
	var r [6]byte
	_, _ = rand.Read(r[:])
	tmp := filepath.Join(dir, "."+name+"."+hex.EncodeToString(r[:]))
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, filepath.Join(dir, name))
	}
	if err != nil {
		_ = os.Remove(tmp)
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Ledger is one place of the erasure ledger: JSON Lines that only grow.
type Ledger interface {
	// Name says where it is.
	Name() string
	// Lines gives every complete line, without its end.
	Lines(ctx context.Context) ([][]byte, error)
	// Append adds line number n, counted from 1, durably. It refuses when the
	// place does not hold n-1 lines.
	Append(ctx context.Context, n int64, line []byte) error
}

// FolderLedger is a Ledger in the file ledger.jsonl of a folder.
func FolderLedger(dir string) Ledger { return ledgerFolder(dir) }

type ledgerFolder string

func (l ledgerFolder) Name() string { return string(l) }
func (l ledgerFolder) path() string { return filepath.Join(string(l), "ledger.jsonl") }

func (l ledgerFolder) Lines(context.Context) ([][]byte, error) {
	b, err := os.ReadFile(l.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	// What follows the last line end was cut short by a crash: nobody was told
	// that it is there.
	end := bytes.LastIndexByte(b, '\n')
	if end < 0 {
		return nil, nil
	}
	return bytes.Split(b[:end], []byte{'\n'}), nil
}

func (l ledgerFolder) Append(ctx context.Context, n int64, line []byte) error {
	if err := os.MkdirAll(string(l), 0o700); err != nil {
		return err
	}
	have, err := l.Lines(ctx)
	if err != nil {
		return err
	}
	if int64(len(have)) != n-1 {
		return fmt.Errorf("the ledger at %s holds %d lines and can't take line %d", l, len(have), n)
	}
	size := int64(0)
	for _, h := range have {
		size += int64(len(h)) + 1
	}
	f, err := os.OpenFile(l.path(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		return err
	}
	if _, err := f.WriteAt(append(bytes.Clone(line), '\n'), size); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return syncDir(string(l))
}
