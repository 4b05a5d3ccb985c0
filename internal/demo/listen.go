package demo

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// listen opens the address's port on 127.0.0.1 and, where there is one, on
// [::1]. Port 0 takes the former port if it is free, else any.
func listen(addr string, former int) (ls []net.Listener, port int, err error) {
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, 0, fmt.Errorf("%q is no address with a port, such as 127.0.0.1:8080", addr)
	}
	if a := net.ParseIP(host); host != "localhost" && (a == nil || !a.IsLoopback()) {
		return nil, 0, fmt.Errorf("the demo listens on this machine only; %s is not a loopback address", host)
	}
	port, err = strconv.Atoi(p)
	if err != nil || port < 0 || port > 65535 {
		return nil, 0, fmt.Errorf("%q is no port", p)
	}
	try := []int{port}
	if port == 0 {
		try = []int{former, 0}
		if former == 0 {
			try = []int{0}
		}
	}
	for _, want := range try {
		for range 20 { // an unnamed port may be taken on [::1] by somebody else
			ls, port, err = both(want)
			if err == nil || want != 0 {
				break
			}
		}
		if err == nil {
			return ls, port, nil
		}
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, 0, fmt.Errorf("port %s is in use by another program; give another with --addr 127.0.0.1:PORT (0 picks one)", p)
	}
	return nil, 0, fmt.Errorf("listen on %s: %w", addr, err)
}

func both(port int) ([]net.Listener, int, error) {
	l4, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, 0, err
	}
	port = l4.Addr().(*net.TCPAddr).Port
	l6, err := net.Listen("tcp6", net.JoinHostPort("::1", strconv.Itoa(port)))
	switch {
	case err == nil:
		return []net.Listener{l4, l6}, port, nil
	case errors.Is(err, syscall.EADDRINUSE):
		l4.Close()
		return nil, 0, err
	}
	return []net.Listener{l4}, port, nil // no IPv6 here
}

// writeFile writes atomically: a reader sees the whole file or none of it.
func writeFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".rempart-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := f.Chmod(0o600); err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
