//go:build unix

package local

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	maxCall   = 1 << 20 // bytes of a call
	maxFrame  = 1 << 20 // bytes of one frame of an answer
	callTime  = 5 * time.Second
	writeTime = 30 * time.Second // a caller that reads no more is given up

	kindOut, kindErr, kindEnd = 1, 2, 3
)

// Call is a command line to be run by the owner of the folder.
type Call struct {
	Args []string `json:"args"`
	Lang string   `json:"lang,omitempty"` // of what people read

	Name     string    `json:"-"` // "uid@host" of who called, as the kernel says
	Out, Err io.Writer `json:"-"`
}

// Listener is the owner's end.
type Listener struct {
	l    *net.UnixListener
	host string
	path string
}

// Listen opens the socket of a folder that this process owns. What a process
// that was killed has left there is removed.
func Listen(dir string) (*Listener, error) {
	path := filepath.Join(dir, socketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("local: %w", err)
	}
	short, done, err := reachable(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("local: listen in %s: %w", dir, err)
	}
	l.SetUnlinkOnClose(false) // the name may be a passing one
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("local: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return &Listener{l: l, host: host, path: path}, nil
}

// reachable is a name of the folder's socket that fits into an address, which
// holds about a hundred bytes.
func reachable(dir string) (string, func(), error) {
	path := filepath.Join(dir, socketName)
	if len(path) < 100 {
		return path, func() {}, nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, fmt.Errorf("local: %w", err)
	}
	short := fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), socketName)
	return short, func() { d.Close() }, nil
}

// Serve runs the commands of callers until ctx ends, and returns when the last
// has ended. run gives the exit code.
func (l *Listener) Serve(ctx context.Context, run func(context.Context, Call) int) error {
	stop := context.AfterFunc(ctx, func() { l.l.Close() })
	defer stop()
	defer os.Remove(l.path)
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := l.l.AcceptUnix()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("local: accept: %w", err)
		}
		wg.Go(func() { l.answer(ctx, c, run) })
	}
}

// Close ends the socket of a listener that was never served.
func (l *Listener) Close() error {
	err := l.l.Close()
	_ = os.Remove(l.path)
	return err
}

func (l *Listener) answer(ctx context.Context, c *net.UnixConn, run func(context.Context, Call) int) {
	defer c.Close()
	uid, err := peer(c)
	if err != nil || uid != os.Getuid() && uid != 0 {
		return // the file's mode keeps others out already
	}
	_ = c.SetReadDeadline(time.Now().Add(callTime))
	call, err := readCall(c)
	f := &frames{c: c}
	if err != nil {
		_ = f.send(kindErr, []byte("rempart: the call can't be read: "+err.Error()+"\n"))
		_ = f.send(kindEnd, []byte("2"))
		return
	}
	call.Name = strconv.Itoa(uid) + "@" + l.host
	call.Out, call.Err = stream{f, kindOut}, stream{f, kindErr}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	_ = c.SetReadDeadline(time.Time{})
	go func() {
		// Callers send nothing more: whatever comes is the end.
		_, _ = c.Read(make([]byte, 1))
		cancel()
	}()
	code := run(ctx, call)
	_ = f.send(kindEnd, []byte(strconv.Itoa(code)))
}

func readCall(r io.Reader) (Call, error) {
	var c Call
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return c, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxCall {
		return c, errors.New("it is too long")
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return c, err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return c, errors.New("it is no JSON of a call")
	}
	return c, nil
}

// frames writes whole frames, one at a time.
type frames struct {
	mu sync.Mutex
	c  net.Conn
}

func (f *frames) send(kind byte, b []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = f.c.SetWriteDeadline(time.Now().Add(writeTime))
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(b)))
	_, err := (&net.Buffers{head, b}).WriteTo(f.c)
	return err
}

// stream is one of a command's output streams.
type stream struct {
	f    *frames
	kind byte
}

func (s stream) Write(b []byte) (int, error) {
	for sent := 0; sent < len(b); {
		n := min(len(b)-sent, maxFrame)
		if err := s.f.send(s.kind, b[sent:sent+n]); err != nil {
			return sent, err
		}
		sent += n
	}
	return len(b), nil
}

// Run has the owner of the folder run the command and gives its exit code. The
// error is ErrNobody when no process listens there.
func Run(ctx context.Context, dir string, call Call) (int, error) {
	short, done, err := reachable(dir)
	if errors.Is(err, os.ErrNotExist) {
		return 0, ErrNobody
	}
	if err != nil {
		return 0, err
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", short)
	done()
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return 0, ErrNobody
	}
	if err != nil {
		return 0, fmt.Errorf("the process that owns %s can't be reached: %w", dir, err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	b, err := json.Marshal(call)
	if err != nil {
		return 0, err
	}
	if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)); err != nil {
		return 0, fmt.Errorf("local: call: %w", err)
	}
	return follow(c, call.Out, call.Err)
}

var errCut = errors.New("the process that owns the data folder ended before the command did; run it again")

// follow copies the answer to the streams and gives the exit code.
func follow(r io.Reader, out, errs io.Writer) (int, error) {
	for {
		var head [5]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return 0, errCut
		}
		n := binary.BigEndian.Uint32(head[1:])
		if n > maxFrame {
			return 0, errors.New("local: a frame is too long")
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			return 0, errCut
		}
		var err error
		switch head[0] {
		case kindOut:
			_, err = out.Write(b)
		case kindErr:
			_, err = errs.Write(b)
		case kindEnd:
			code, cerr := strconv.Atoi(string(b))
			if cerr != nil {
				return 0, errors.New("local: the exit code is no number")
			}
			return code, nil
		default:
			return 0, fmt.Errorf("local: a frame of kind %d", head[0])
		}
		if err != nil {
			return 0, err
		}
	}
}
