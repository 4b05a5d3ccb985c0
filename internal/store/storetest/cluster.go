package storetest

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"syscall"
	"time"
)

// Cluster is a running throwaway PostgreSQL cluster on a unix socket. It ends
// with the process that started it.
type Cluster struct {
	URL string // of the administrator
	dir string
	cmd *exec.Cmd
}

// Start looks for PostgreSQL on PATH and where Debian puts it, makes a cluster
// in a temporary folder and starts it. As root it runs as another user, since
// PostgreSQL refuses root.
func Start() (*Cluster, error) {
	bin, err := find()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "rempart-pg-")
	if err != nil {
		return nil, err
	}
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGINT}
	if os.Geteuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			if u, err = user.Lookup("nobody"); err != nil {
				return nil, err
			}
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(dir, int(uid), int(gid)); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "admin", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: attr.Credential}
	initdb.Dir = dir
	if out, err := initdb.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	cmd := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off",
		"-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=300", "-c", "shared_buffers=64MB", "-c", "log_min_messages=fatal")
	cmd.SysProcAttr = attr
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		os.RemoveAll(dir)
		close(ended)
	}()
	socket := filepath.Join(dir, ".s.PGSQL.5432")
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return nil, errors.New("postgres ended at once")
		case <-deadline:
			_ = cmd.Process.Kill()
			return nil, errors.New("postgres did not come up in 30 s")
		case <-tick.C:
			if _, err := os.Stat(socket); err == nil {
				ready := exec.Command(filepath.Join(bin, "pg_isready"), "-h", dir, "-q")
				if ready.Run() == nil {
					return &Cluster{URL: "postgres://admin@/postgres?host=" + url.QueryEscape(dir), dir: dir, cmd: cmd}, nil
				}
			}
		}
	}
}

// Stop ends the cluster and removes its folder.
func (c *Cluster) Stop() {
	_ = c.cmd.Process.Signal(syscall.SIGINT)
}

func find() (string, error) {
	if p, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(p); err == nil {
			if _, err := os.Stat(filepath.Join(filepath.Dir(real), "postgres")); err == nil {
				return filepath.Dir(real), nil
			}
		}
	}
	m, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	sort.Strings(m)
	for i := len(m) - 1; i >= 0; i-- {
		if _, err := os.Stat(filepath.Join(filepath.Dir(m[i]), "postgres")); err == nil {
			return filepath.Dir(m[i]), nil
		}
	}
	return "", errors.New("initdb is neither on PATH nor under /usr/lib/postgresql")
}
