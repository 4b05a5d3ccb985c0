//go:build unix

package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Lock is the ownership of a data folder. It ends with the process, however
// that ends.
type Lock struct{ f *os.File }

// Acquire takes the folder; the error is ErrHeld, with the other's process
// number where it is known.
func Acquire(dir string) (*Lock, error) {
	if err := foreign(dir); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("local: %w", err)
	}
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		defer f.Close()
		return nil, fmt.Errorf("%w %s%s", ErrHeld, dir, holder(f))
	case err != nil:
		f.Close()
		return nil, fmt.Errorf("local: lock %s: %w", f.Name(), err)
	}
	// The number is for people only: the lock is the kernel's.
	if err := errors.Join(f.Truncate(0), write(f, strconv.Itoa(os.Getpid()))); err != nil {
		f.Close()
		return nil, fmt.Errorf("local: %w", err)
	}
	return &Lock{f}, nil
}

// foreign refuses root in another user's folder: the files that root makes
// there are files that this user's server can't open.
func foreign(dir string) error {
	info, err := os.Stat(dir)
	if err != nil || os.Getuid() != 0 {
		return nil // whoever is not root is told by the system what she may not
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 {
		return fmt.Errorf("the data folder %s belongs to user %d; run this command as that user, not as root", dir, st.Uid)
	}
	return nil
}

func write(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s+"\n"), 0)
	return err
}

// holder says which process has written its number into the file.
func holder(f *os.File) string {
	b := make([]byte, 20)
	n, _ := f.ReadAt(b, 0)
	if pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n]))); err == nil {
		return fmt.Sprintf(" (process %d)", pid)
	}
	return ""
}

// Release gives the folder up. The file stays: removing it would let two
// processes lock two files of one name.
func (l *Lock) Release() error {
	if l == nil {
		return nil
	}
	return l.f.Close()
}
