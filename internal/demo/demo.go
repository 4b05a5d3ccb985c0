package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/rempart/rempart/examples/notes"
	"github.com/rempart/rempart/internal/app"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/mail"
	"github.com/rempart/rempart/internal/setup"
	"github.com/rempart/rempart/internal/web"
)

// Options are the flags of `rempart demo`.
type Options struct {
	Addr         string   // 127.0.0.1:8080; port 0 picks one
	Data         string   // "" is a temporary folder, removed at a clean exit
	Ready        string   // file to write when everything is up; "" is none
	RedirectURIs []string // further ones of the first three clients
	Users        int      // further plain members of the first organization
	Profile      string   // of the trust page: "", dastra, kreo or talkspirit
	Database     string   // administrator's URL of a PostgreSQL cluster; "" is embedded
	KeysDatabase string   // the same for the keys database
	Pool         int      // connections a pool of the databases; 0: by the number of cores
	Version      string
	Out          io.Writer // the banner
	Log          *slog.Logger
	Tail         *app.Tail // end of what Log writes; nil: it is not kept

	// Operate gets ready to hear the commands of operators, and gives what
	// answers them until ctx ends; nil: nobody does.
	Operate func(a *app.App) (answer func(ctx context.Context) error, err error)
}

// memory is DIR/demo.json: what was seeded, for the next start.
type memory struct {
	Contract Contract `json:"contract"`
	Port     int      `json:"port"`
	AppPort  int      `json:"app_port"`
	Users    int      `json:"users"`
	Profile  string   `json:"profile"`
	Main     database `json:"main,omitzero"`
	Keys     database `json:"keys,omitzero"`
}

// database is a provisioned PostgreSQL database; its passwords stay in the
// data folder with everything else that the demo must remember.
type database struct{ URL, SystemURL, OwnerURL string }

const memoryFile = "demo.json"

// Run runs the demo until ctx ends.
func Run(ctx context.Context, o Options) (err error) {
	dir, remove, err := folder(o)
	if err != nil {
		return err
	}
	defer func() {
		if remove && err == nil {
			err = os.RemoveAll(dir)
		}
	}()
	var m memory
	seeded, err := recall(dir, &m)
	if err != nil {
		return err
	}
	if seeded && (o.Users != m.Users || o.Profile != m.Profile) {
		return fmt.Errorf("this demo was seeded with --users %d and --profile %q; give the same, or another --data folder", m.Users, m.Profile)
	}
	front, port, err := open(o.Addr, m.Port, o.Log)
	if err != nil {
		return err
	}
	defer front.Close()
	side, sidePort, err := openSide(m.AppPort)
	if err != nil {
		return err
	}
	defer side.Close()
	sight, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer sight.Close()

	d := &demo{o: o, dir: dir, m: m, base: "http://localhost:" + strconv.Itoa(port), side: "http://127.0.0.1:" + strconv.Itoa(sidePort)}
	d.m.Port, d.m.AppPort, d.m.Users, d.m.Profile = port, sidePort, o.Users, o.Profile
	if err := d.databases(ctx, seeded); err != nil {
		return err
	}
	if err := d.start(ctx, seeded, "127.0.0.1:"+strconv.Itoa(port)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.app.Close()) }()
	d.app.Listener = front

	answer := func(ctx context.Context) error { <-ctx.Done(); return nil }
	if o.Operate != nil {
		if answer, err = o.Operate(d.app); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 5)
	run := func(f func() error) {
		go func() { done <- f() }()
	}
	notesServer := &http.Server{Handler: d.relyingParty(), ReadHeaderTimeout: 5 * time.Second}
	sightServer := &http.Server{Handler: web.SightHandler(d.app.Metrics, d.app.Ready), ReadHeaderTimeout: 5 * time.Second}
	run(func() error { return front.Serve(ctx, d.app.Handler) })
	run(func() error { d.app.Run(ctx); return nil })
	run(func() error { return answer(ctx) })
	run(func() error { return closed(notesServer.Serve(side)) })
	run(func() error { return closed(sightServer.Serve(sight)) })

	c := d.contract("http://" + sight.Addr().String() + "/metrics")
	d.m.Contract = c
	if err := d.remember(); err != nil {
		return err
	}
	if o.Ready != "" {
		b, err := json.MarshalIndent(c, "", "  ")
		if err != nil {
			return err
		}
		if err := writeFile(o.Ready, append(b, '\n')); err != nil {
			return fmt.Errorf("the ready file can't be written: %w", err)
		}
	}
	d.banner()
	var failed error
	ended := 0
	select {
	case <-ctx.Done():
	case failed = <-done:
		ended++
	}
	cancel()
	_ = notesServer.Close()
	_ = sightServer.Close()
	for ; ended < 5; ended++ {
		failed = errors.Join(failed, <-done)
	}
	return failed
}

func closed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// demo is one running demo.
type demo struct {
	o    Options
	dir  string
	m    memory
	base string // origin of the product
	side string // origin of the sample application
	app  *app.App
	mail *mail.Keeper
	hook hooks
}

func folder(o Options) (dir string, remove bool, err error) {
	if o.Data == "" {
		if o.Database != "" {
			return "", false, errors.New("with --database, --data is required: it holds the root key and what the demo remembers")
		}
		dir, err = os.MkdirTemp("", "rempart-demo-")
		return dir, true, err
	}
	if err := os.MkdirAll(o.Data, 0o700); err != nil {
		return "", false, fmt.Errorf("the data folder can't be made: %w", err)
	}
	dir, err = filepath.Abs(o.Data)
	return dir, false, err
}

// recall reads what an earlier start seeded.
func recall(dir string, m *memory) (bool, error) {
	b, err := os.ReadFile(filepath.Join(dir, memoryFile))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("the demo's memory can't be read: %w", err)
	}
	if err := json.Unmarshal(b, m); err != nil {
		return false, fmt.Errorf("%s is not readable; give another --data folder: %w", filepath.Join(dir, memoryFile), err)
	}
	return true, nil
}

func (d *demo) remember() error {
	b, err := json.MarshalIndent(d.m, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(d.dir, memoryFile), append(b, '\n'))
}

// start opens the product and seeds a fresh place.
func (d *demo) start(ctx context.Context, seeded bool, local string) error {
	c, err := app.LoadConfig("", nil, map[string]string{"data": d.dir, "http-base-url": d.base, "mail-from": "Rempart <no-reply@rempart.example>"})
	if err != nil {
		return err
	}
	c.Database.URL, c.Database.SystemURL, c.Database.OwnerURL = d.m.Main.URL, d.m.Main.SystemURL, d.m.Main.OwnerURL
	c.Database.KeysURL, c.Database.KeysSysURL, c.Database.KeysOwnerURL = d.m.Keys.URL, d.m.Keys.SystemURL, d.m.Keys.OwnerURL
	c.Database.Pool = d.o.Pool
	c.Contact.Security, c.Contact.Expires = "mailto:security@rempart.example", time.Now().Add(300*24*time.Hour).UTC().Truncate(24*time.Hour)
	d.mail = &mail.Keeper{Dir: filepath.Join(d.dir, "mail")}
	d.hook = newHooks(d)
	d.app, err = app.Open(ctx, app.Options{
		Config: c, Kind: setup.Demo, Version: d.o.Version, Log: d.o.Log, Transport: d.mail, Tail: d.o.Tail,
		Extra: []capability.Manifest{d.hook.manifest()},
	})
	if err != nil {
		return err
	}
	d.app.LocalAddr = local
	d.app.Credential.SharedHashes = d.o.Users > 0 // those of the load test have one password
	if seeded {
		return d.follow(ctx)
	}
	if n, _, err := d.app.Directory.Counts(ctx); err != nil || n > 0 {
		return errors.Join(err, errors.New("this demo was left half seeded; give another --data folder, or remove this one"), d.app.Close())
	}
	return d.seed(ctx)
}

// relyingParty is the sample application, as the first client.
func (d *demo) relyingParty() http.Handler {
	c := d.m.Contract.Clients[0]
	return notes.New(notes.Config{Issuer: d.base, ClientID: c.ClientID, ClientSecret: c.ClientSecret, BaseURL: d.side})
}

// contract is what was seeded, with the addresses of this start.
func (d *demo) contract(metrics string) Contract {
	c := d.m.Contract
	c.Issuer, c.BaseURL = d.base, d.base
	c.ConsoleURL, c.AccountURL, c.TrustURL = d.base+"/console", d.base+"/account", d.base+"/trust"
	c.APIURL, c.OpenAPIURL, c.MetricsURL = d.base+"/api/v1", d.base+"/docs/openapi.json", metrics
	c.Mail.ListURL = d.base + d.hook.mailPath()
	c.RelyingParty.URL = d.side
	c.ProbeURL = d.base + probePath
	c.Rotate = Call{Method: http.MethodPost, URL: d.base + rotatePath, Authorization: "Bearer " + d.hook.secret}
	return c
}

// banner is for people.
func (d *demo) banner() {
	c := d.m.Contract
	w := func(format string, a ...any) { fmt.Fprintf(d.o.Out, format+"\n", a...) }
	w("\n  Rempart is running at %s", d.base)
	w("\n  Trust page      %s", c.TrustURL)
	w("  Sample app      %s", c.RelyingParty.URL)
	w("  Console         %s", c.ConsoleURL)
	w("  Mail            %s/view", c.Mail.ListURL)
	w("  API reference   %s/docs/api", d.base)
	for _, o := range c.Organizations {
		w("\n  %s (%s)", o.Name, o.Slug)
		w("    owner     %-28s %s", o.Owner.Email, o.Owner.Password)
		for _, p := range o.Members {
			w("    %-9s %-28s %s%s", p.Roles[0], p.Email, p.Password, totpHint(p.TOTPSecret))
		}
	}
	w("\n  Staff\n    operator  %-28s %s%s", c.Staff.Email, c.Staff.Password, totpHint(c.Staff.TOTPSecret))
	w("\n  Everything is in %s. Stop with Ctrl-C.\n", d.dir)
}

func totpHint(secret string) string {
	if secret == "" {
		return ""
	}
	return "  TOTP " + secret
}

// open takes the product's port, on both loopback addresses.
func open(addr string, former int, log *slog.Logger) (*web.Listener, int, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, 0, fmt.Errorf("%q is no address with a port, such as 127.0.0.1:8080", addr)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, 0, fmt.Errorf("the demo listens on this machine only; %s is not a loopback address", host)
	}
	if port == "0" && former != 0 {
		if l, err := web.Open(web.ListenConfig{Addr: "127.0.0.1:" + strconv.Itoa(former), Loopback: true, Log: log}); err == nil {
			return l, former, nil
		}
	}
	l, err := web.Open(web.ListenConfig{Addr: "127.0.0.1:" + port, Loopback: true, Log: log})
	if err != nil {
		return nil, 0, fmt.Errorf("port %s can't be used (%w); give another with --addr 127.0.0.1:PORT, 0 picks one", port, err)
	}
	return l, l.Port(), nil
}

// openSide takes the port of the sample application: the former one if it is free.
func openSide(former int) (net.Listener, int, error) {
	if former != 0 {
		if l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(former)); err == nil {
			return l, former, nil
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, 0, err
	}
	return l, l.Addr().(*net.TCPAddr).Port, nil
}

var seeder = caller.ForSystem("demo.seed")
