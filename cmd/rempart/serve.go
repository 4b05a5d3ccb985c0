package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strconv"
	"time"

	"github.com/alecthomas/kong"

	"github.com/rempart/rempart/internal/app"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/setup"
	"github.com/rempart/rempart/internal/web"
)

// drain is how long a stopping server still accepts requests while readiness
// says no: what a load balancer needs to notice.
const drain = 3 * time.Second

// settings are the keys of the configuration, each as a flag.
type settings struct{ values reflect.Value }

// flags makes the flags: one optional string for each key.
func (s *settings) flags() kong.Plugins {
	var fields []reflect.StructField
	for i, k := range new(app.Config).List() {
		fields = append(fields, reflect.StructField{
			Name: "K" + strconv.Itoa(i), Type: reflect.TypeFor[*string](),
			Tag: reflect.StructTag(`name:` + strconv.Quote(k.Flag) + ` help:` + strconv.Quote(k.Doc) + ` placeholder:"VALUE" group:"Configuration"`),
		})
	}
	s.values = reflect.New(reflect.StructOf(fields))
	return kong.Plugins{s.values.Interface()}
}

// given are the flags that were given, by name.
func (s *settings) given() map[string]string {
	out := map[string]string{}
	for i, k := range new(app.Config).List() {
		if v, _ := s.values.Elem().Field(i).Interface().(*string); v != nil {
			out[k.Flag] = *v
		}
	}
	return out
}

type serveCommand struct {
	Config      string `help:"Configuration file (TOML)." placeholder:"FILE"`
	CheckConfig bool   `help:"Explain each problem of the configuration, and serve nothing."`

	kong.Plugins
	settings settings
}

// Run serves until it is interrupted.
func (c *serveCommand) Run(ctx context.Context, s streams) error {
	cfg, err := app.LoadConfig(c.Config, os.Environ(), c.settings.given())
	if err != nil {
		return err
	}
	if err := readable(cfg); err != nil {
		return err
	}
	if c.CheckConfig {
		fmt.Fprintf(s.out, "The configuration is right: %s on %s.\n", cfg.HTTP.BaseURL, cfg.HTTP.Addr)
		return nil
	}
	return serve(ctx, cfg, s)
}

// readable looks at the files that the configuration names.
func readable(c app.Config) error {
	var problems []error
	if c.HTTP.TLS == "files" {
		if _, err := tls.LoadX509KeyPair(c.HTTP.CertFile, c.HTTP.KeyFile); err != nil {
			problems = append(problems, fmt.Errorf("http.cert_file, http.key_file: %w", err))
		}
	}
	if info, err := os.Stat(c.Data); err == nil && !info.IsDir() {
		problems = append(problems, fmt.Errorf("data: %s is no folder", c.Data))
	}
	return errors.Join(problems...)
}

func serve(ctx context.Context, c app.Config, s streams) (err error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Log.Level)); err != nil {
		return err
	}
	tail := &app.Tail{}
	log := web.NewLogger(io.MultiWriter(s.err, tail), c.Log.Format == "text", level)
	front, err := open(c, log)
	if err != nil {
		return err
	}
	defer front.Close()
	var sight net.Listener
	if c.HTTP.MetricsAddr != "" {
		if sight, err = net.Listen("tcp", c.HTTP.MetricsAddr); err != nil {
			return fmt.Errorf("the metrics listener: %w", err)
		}
		defer sight.Close()
	}
	a, err := app.Open(ctx, app.Options{Config: c, Kind: setup.Real, Version: version, Log: log, Transport: transport(c), Tail: tail})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	a.Listener, a.LocalAddr = front, reach(c, front.Port())
	hear, err := listen(a)
	if err != nil {
		return err
	}
	if err := first(ctx, a, s); err != nil {
		return err
	}
	log.Info("serving", "base_url", c.HTTP.BaseURL, "port", front.Port(), "version", version)

	// Jobs and the operator's listeners outlive the last request.
	work, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	until, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 3)
	run := func(f func() error) {
		go func() {
			err := f()
			stop() // whatever ends by itself ends the server
			ended <- err
		}()
	}
	run(func() error { a.Run(work); return nil })
	run(func() error { return hear(work) })
	waiting := 2
	if sight != nil {
		server := &http.Server{Handler: web.SightHandler(a.Metrics, a.Ready), ReadHeaderTimeout: 5 * time.Second}
		defer context.AfterFunc(work, func() { _ = server.Close() })()
		run(func() error {
			if err := server.Serve(sight); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
		waiting++
	}
	err = front.Serve(until, a.Handler)
	end()
	for range waiting {
		err = errors.Join(err, <-ended)
	}
	log.Info("stopped")
	return err
}

// open takes the listeners before anything else is touched.
func open(c app.Config, log *slog.Logger) (*web.Listener, error) {
	base, err := url.Parse(c.HTTP.BaseURL)
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(c.HTTP.Addr)
	if err != nil {
		return nil, err
	}
	lc := web.ListenConfig{Addr: c.HTTP.Addr, Redirect: c.HTTP.RedirectAddr, BaseURL: base, Drain: drain, Log: log,
		// Browsers try both addresses of localhost.
		Loopback: base.Hostname() == "localhost" && (host == "127.0.0.1" || host == "localhost")}
	switch c.HTTP.TLS {
	case "files":
		lc.TLS = web.TLS{CertFile: c.HTTP.CertFile, KeyFile: c.HTTP.KeyFile}
	case "acme":
		lc.TLS = web.TLS{ACME: web.ACME{Hosts: []string{base.Hostname()}, Email: c.HTTP.ACMEEmail, Folder: c.Data + "/acme"}}
	}
	l, err := web.Open(lc)
	if err != nil {
		return nil, fmt.Errorf("the port can't be used: %w", err)
	}
	return l, nil
}

// reach is where this node's controls find its own listener. Behind a proxy
// that ends TLS they go by the base URL, like everyone else.
func reach(c app.Config, port int) string {
	if base, err := url.Parse(c.HTTP.BaseURL); err != nil || base.Scheme == "https" && c.HTTP.TLS == "off" {
		return ""
	}
	host, _, err := net.SplitHostPort(c.HTTP.Addr)
	if ip := net.ParseIP(host); err != nil || host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// first prints the one-time link until set-up is complete.
func first(ctx context.Context, a *app.App, s streams) error {
	state, err := a.Setup.Find(ctx)
	if err != nil || state.Completed() {
		return err
	}
	link, err := a.Setup.NewLink(ctx, caller.ForSystem("setup"))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "\nSet up this installation with this link. It works once, in one browser, for 30 minutes:\n\n  %s\n\n", link)
	return err
}

// setupCommand is what an operator needs when the link was not used in time.
type setupCommand struct {
	Link setupLinkCommand `cmd:"" help:"Make a new one-time link; the one before ends."`
}

type setupLinkCommand struct{ place }

func (c *setupLinkCommand) operate(ctx context.Context, o *operation) error {
	link, err := o.app.Setup.NewLink(ctx, o.who)
	if err != nil {
		return err
	}
	return o.say(map[string]string{"url": link}, "%s", link)
}
