package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite"
)

// TestMain lets the test binary be the command: scripts run it as a process of
// its own, which can be killed.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"rempart": main})
}

// TestScripts runs the stories of testdata/script, each in a folder of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Condition: func(name string) (bool, error) {
			if name == "mounts" { // whether this user may mount a file system of her own
				return exec.Command("unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt").Run() == nil, nil
			}
			return false, fmt.Errorf("there is no condition %s", name)
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("LANG", "en_GB.UTF-8")
			e.Values["processes"] = map[string]*process{}
			e.Defer(func() {
				for _, p := range e.Values["processes"].(map[string]*process) {
					_ = p.cmd.Process.Kill()
					<-p.ended
				}
			})
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start": start, "stop": stop, "crash": crash, "line": line, "row": row, "damage": damage, "port": port, "fetch": fetch, "keep": keep, "hammer": hammer, "holds": holds,
		},
	})
}

// process is a server that a script has started.
type process struct {
	cmd   *exec.Cmd
	out   *bytes.Buffer
	ended chan error
}

func processes(ts *testscript.TestScript) map[string]*process {
	return ts.Value("processes").(map[string]*process)
}

// start NAME ARGS… runs rempart until it is up: the file READY is there, or a
// line of its output says so.
func start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start NAME ARG…")
	}
	r, w := io.Pipe()
	p := &process{out: new(bytes.Buffer), ended: make(chan error, 1)}
	exe, err := exec.LookPath("rempart")
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if _, serr := os.Stat(filepath.Join(dir, "rempart")); serr == nil {
			exe, err = filepath.Join(dir, "rempart"), nil
			break
		}
	}
	ts.Check(err)
	p.cmd = exec.Command(exe, args[1:]...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = ts.MkAbs("."), w, w
	for _, name := range []string{"PATH", "HOME", "LANG", "TMPDIR", "WORK"} {
		p.cmd.Env = append(p.cmd.Env, name+"="+ts.Getenv(name))
	}
	ts.Check(p.cmd.Start())
	up := make(chan struct{})
	go func() {
		var seen bool
		b := make([]byte, 4096)
		for {
			n, err := r.Read(b)
			p.out.Write(b[:n])
			if s := p.out.String(); !seen && (strings.Contains(s, `"msg":"serving"`) || strings.Contains(s, "Stop with Ctrl-C")) {
				seen = true
				close(up)
			}
			if err != nil {
				return
			}
		}
	}()
	go func() {
		err := p.cmd.Wait()
		w.Close()
		p.ended <- err
	}()
	processes(ts)[args[0]] = p
	select {
	case <-up:
	case err := <-p.ended:
		p.ended <- err
		ts.Fatalf("%s ended: %v\n%s", args[0], err, p.out)
	case <-time.After(60 * time.Second):
		ts.Fatalf("%s is not up after a minute\n%s", args[0], p.out)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".out"), p.out.Bytes(), 0o600))
}

func end(ts *testscript.TestScript, args []string, sig os.Signal) error {
	p := processes(ts)[args[0]]
	if p == nil {
		ts.Fatalf("no process %s", args[0])
	}
	ts.Check(p.cmd.Process.Signal(sig))
	delete(processes(ts), args[0])
	err := <-p.ended
	p.ended <- err
	return err
}

// stop NAME ends a process as an operator does; it must end well.
func stop(ts *testscript.TestScript, _ bool, args []string) {
	p := processes(ts)[args[0]]
	if err := end(ts, args, syscall.SIGTERM); err != nil {
		ts.Fatalf("%s: %v\n%s", args[0], err, p.out)
	}
}

// crash NAME ends a process with kill -9.
func crash(ts *testscript.TestScript, _ bool, args []string) {
	var e *exec.ExitError
	if err := end(ts, args, syscall.SIGKILL); !errors.As(err, &e) {
		ts.Fatalf("%s: %v", args[0], err)
	}
}

// line VARIABLE FILE REGEXP keeps the first group of what the expression finds.
func line(ts *testscript.TestScript, _ bool, args []string) {
	m := regexp.MustCompile(args[2]).FindStringSubmatch(ts.ReadFile(args[1]))
	if len(m) < 2 {
		ts.Fatalf("%s is not in\n%s", args[2], ts.ReadFile(args[1]))
	}
	ts.Setenv(args[0], m[1])
}

// keep VARIABLE FILE PATH keeps a member of a JSON file: organizations.0.owner.email.
func keep(ts *testscript.TestScript, _ bool, args []string) {
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &v))
	for _, name := range strings.Split(args[2], ".") {
		switch w := v.(type) {
		case map[string]any:
			v = w[name]
		case []any:
			var i int
			_, err := fmt.Sscan(name, &i)
			ts.Check(err)
			v = w[i]
		}
	}
	s, ok := v.(string)
	if !ok {
		ts.Fatalf("%s is no text: %v", args[2], v)
	}
	ts.Setenv(args[0], s)
}

// row FILE SQL changes a database file by hand, as an intruder would.
func row(ts *testscript.TestScript, _ bool, args []string) {
	db, err := sql.Open("sqlite", "file:"+ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	r, err := db.Exec(args[1])
	ts.Check(err)
	if n, _ := r.RowsAffected(); n != 1 {
		ts.Fatalf("%d rows changed, want 1", n)
	}
}

// damage FILE overwrites the first kilobyte.
func damage(ts *testscript.TestScript, _ bool, args []string) {
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY, 0)
	ts.Check(err)
	defer f.Close()
	_, err = f.WriteAt(bytes.Repeat([]byte("damaged "), 128), 0)
	ts.Check(err)
}

// port VARIABLE takes a free port and gives it back; port -hold VARIABLE keeps
// it until the script ends.
func port(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	name := args[len(args)-1]
	ts.Setenv(name, fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
	if args[0] == "-hold" {
		ts.Defer(func() { l.Close() })
		return
	}
	l.Close()
}

// fetch STATUS URL [HEADER] asks and keeps the answer in the file answer.
func fetch(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, args[1], nil)
	ts.Check(err)
	if len(args) > 2 {
		name, value, _ := strings.Cut(args[2], ": ")
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("answer"), body, 0o600))
	if fmt.Sprint(res.StatusCode) != args[0] {
		ts.Fatalf("%s answered %s, want %s\n%s", args[1], res.Status, args[0], body)
	}
}

// hammer NAME URL TOKEN FILE has eight callers make workspaces as fast as they
// can, kills the process with kill -9 in the middle of it, and writes the slugs
// of those that were acknowledged.
func hammer(ts *testscript.TestScript, _ bool, args []string) {
	var mu sync.Mutex
	var acked []string
	enough, once := make(chan struct{}), sync.Once{}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				slug := fmt.Sprintf("h-%d-%d", w, i)
				req, err := http.NewRequest(http.MethodPost, args[1], strings.NewReader(fmt.Sprintf(`{"name":"H","slug":%q}`, slug)))
				if err != nil {
					return
				}
				req.Header.Set("Authorization", "Bearer "+args[2])
				req.Header.Set("Content-Type", "application/json")
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					return // it was killed
				}
				_, err = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if res.StatusCode >= 300 || err != nil {
					once.Do(func() { close(enough) })
					return
				}
				mu.Lock()
				acked = append(acked, slug)
				if len(acked) == 100 {
					once.Do(func() { close(enough) })
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	crash(ts, false, args[:1])
	wg.Wait()
	if len(acked) < 100 {
		ts.Fatalf("only %d were acknowledged", len(acked))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[3]), []byte(strings.Join(acked, "\n")+"\n"), 0o600))
}

// holds FILE LIST finds every line of the list in the file.
func holds(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	for _, l := range strings.Fields(ts.ReadFile(args[1])) {
		if !strings.Contains(text, `"`+l+`"`) {
			ts.Fatalf("%s is lost", l)
		}
	}
}
