package app

import "sync"

// Tail keeps the last part of the process log of this node, for the control
// that searches it for secrets. It is an io.Writer to log into, beside the
// real one; safe for concurrent use.
type Tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 256 << 10

// Write implements io.Writer and never fails.
func (t *Tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - tailSize; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(b), nil
}

// Bytes is what is kept.
func (t *Tail) Bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]byte(nil), t.buf...)
}
