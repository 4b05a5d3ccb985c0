package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// contract is what the demo's ready file says that is needed here.
type contract struct {
	Issuer string `json:"issuer"`
	Staff  struct {
		APIKey string `json:"api_key"`
	} `json:"staff"`
	Clients []struct {
		Name         string   `json:"name"`
		ClientID     string   `json:"client_id"`
		ClientSecret string   `json:"client_secret"`
		RedirectURIs []string `json:"redirect_uris"`
	} `json:"clients"`
	LoadPassword string `json:"load_password"`
}

// server is a running process.
type server struct {
	cmd   *exec.Cmd
	done  chan struct{}
	ended error       // once done is closed
	asked atomic.Bool // to end
	base  string
	ready time.Duration // from the start to the first 200
	used  time.Duration // processor time until then
	c     contract
}

func (s *server) pid() int { return s.cmd.Process.Pid }

// stop ends the process as an operator does, and kills it if it lingers.
func (s *server) stop() {
	s.asked.Store(true)
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(20 * time.Second):
		s.kill()
	}
}

// kill ends the process as a power cut does.
func (s *server) kill() {
	s.asked.Store(true)
	_ = s.cmd.Process.Kill()
	<-s.done
}

func launch(cmd *exec.Cmd) (*server, error) {
	cmd.Stderr = os.Stderr
	s := &server{cmd: cmd, done: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.ended = cmd.Wait()
		if !s.asked.Load() {
			log.Printf("%s ended without being asked to: %v", cmd.Path, cmd.ProcessState)
		}
		close(s.done)
	}()
	return s, nil
}

// startAnchor runs this program again as the anchor.
func startAnchor(ctx context.Context) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "anchor")
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd.Stdout = w
	s, err := launch(cmd)
	w.Close()
	if err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		s.kill()
		return nil, fmt.Errorf("the anchor did not start: %w", err)
	}
	s.base = "http://" + strings.TrimSpace(line)
	return s, nil
}

// startDemo starts the product on a folder and waits for its first 200.
func startDemo(ctx context.Context, binary, dir string, args ...string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "ready.json")
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	args = append([]string{"demo", "--addr", "127.0.0.1:" + strconv.Itoa(port), "--data", filepath.Join(dir, "data"), "--ready", file}, args...)
	start := time.Now()
	s, err := launch(exec.CommandContext(ctx, binary, args...))
	if err != nil {
		return nil, err
	}
	s.base = "http://localhost:" + strconv.Itoa(port)
	probe := newClient(1)
	probe.Timeout = time.Second
	probe.Transport.(*http.Transport).DisableKeepAlives = true
	// The port listens before everything is up: a client that waits is
	// answered at that moment, one that is refused asks again.
	for {
		res, err := probe.Get(s.base + "/.well-known/openid-configuration")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				break
			}
		}
		select {
		case <-s.done:
			return nil, fmt.Errorf("%s demo ended before it was ready: %v", binary, s.ended)
		case <-ctx.Done():
			s.kill()
			return nil, ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
	s.ready = time.Since(start)
	if s.used, err = cpuTime(s.pid()); err != nil {
		return nil, err
	}
	for { // the file is written just after the first answer is possible
		b, err := os.ReadFile(file)
		if err == nil {
			if err := json.Unmarshal(b, &s.c); err != nil {
				s.kill()
				return nil, err
			}
			return s, nil
		}
		select {
		case <-s.done:
			return nil, fmt.Errorf("%s demo ended before it was ready: %v", binary, s.ended)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// cpuTime is the processor time that a process has used so far (proc(5), stat,
// fields 14 and 15, in hundredths of a second). pid 0 is nobody.
func cpuTime(pid int) (time.Duration, error) {
	if pid == 0 {
		return 0, nil
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(string(b))
}

func parseStat(stat string) (time.Duration, error) {
	// The second field is the name, in parentheses, and may hold anything.
	_, rest, ok := cutLast(stat, ") ")
	f := strings.Fields(rest)
	if !ok || len(f) < 13 {
		return 0, errors.New("/proc stat is not understood")
	}
	user, err1 := strconv.ParseInt(f[11], 10, 64)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// memory is what a process holds, in MiB: all, and without files' pages.
func memory(pid int) (resident, anonymous float64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	return statusMiB(string(b), "VmRSS:"), statusMiB(string(b), "RssAnon:"), nil
}

// statusMiB reads one line of /proc/PID/status, such as "VmRSS:  1024 kB".
func statusMiB(status, field string) float64 {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			if err == nil {
				return kb / 1024
			}
		}
	}
	return 0
}
