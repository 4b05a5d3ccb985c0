package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/apikey"
	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/audit/reading"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/credential"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/directory/desk"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/job"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/local"
	"github.com/rempart/rempart/internal/mail"
	"github.com/rempart/rempart/internal/policy"
	"github.com/rempart/rempart/internal/provider"
	"github.com/rempart/rempart/internal/register"
	"github.com/rempart/rempart/internal/register/face"
	"github.com/rempart/rempart/internal/session"
	"github.com/rempart/rempart/internal/setup"
	"github.com/rempart/rempart/internal/signin"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/trust"
	"github.com/rempart/rempart/internal/web"
	"github.com/rempart/rempart/internal/web/replay"
)

// Options are what a command decides beside the configuration.
type Options struct {
	Config  Config
	Kind    setup.Stamp // demo or real: a place is one of them for ever
	Version string      // of the code
	Now     clock.Now   // nil: the machine's clock
	Log     *slog.Logger

	// Extra are manifests of the demo and of tests: pages that no
	// configuration turns on.
	Extra []capability.Manifest

	// Transport takes the mail; nil: what the configuration says.
	Transport mail.Transport

	// Tail holds the end of the process log; nil: it is not kept.
	Tail *Tail

	// Strict finds transactions inside transactions, at a price each; tests set it.
	Strict bool

	// Operate opens an installation that there is, demo or real, under the
	// issuer that it has: for the commands of operators. Where nothing has
	// begun it makes nothing, and the error is ErrNothing.
	Operate bool
}

// App is the product, put together. Its services are those that the API, the
// pages and the commands call.
type App struct {
	Config  Config
	Now     clock.Now
	Log     *slog.Logger
	Version string
	BaseURL *url.URL

	Store      *store.Store
	Keys       *keyring.Service
	Audit      *audit.Log
	Reading    *reading.Service
	Access     *access.Service
	Desk       *desk.Service
	Directory  *directory.Service
	Policy     *policy.Service
	Credential *credential.Service
	Session    *session.Service
	SignIn     *signin.Service
	Provider   *provider.Service
	APIKeys    *apikey.Service
	Mail       *mail.Outbox
	Transport  mail.Transport
	Trust      *trust.Service
	Register   *register.Service
	Face       *face.Service
	Setup      *setup.Service
	Replays    *replay.Replays
	Console    *console.Console
	Bundle     *i18n.Bundle
	Jobs       *job.Runner
	Server     *web.Server
	Cursors    *web.Cursors
	Manifests  []capability.Manifest
	Handler    http.Handler
	Tail       *Tail
	Metrics    *web.Metrics

	// Listener is the one that serves, once a command has opened it: readiness
	// says when it stops. LocalAddr is where controls reach this node.
	Listener  *web.Listener
	LocalAddr string

	canaries canaries
	lock     *local.Lock // of the data folder, on the embedded engine

	// Recovery is the recovery identity, once: when this start made the keys.
	Recovery keyring.Secret
}

// Storage gives the configurations of the two databases.
func (c *Config) Storage(strict bool) (main, keys store.Config) {
	d := c.Database
	if d.URL == "" {
		at := func(name string) store.Config {
			return store.Config{Path: filepath.Join(c.Data, name), Pool: d.Pool, Strict: strict}
		}
		return at("main.db"), at("keys.db")
	}
	return store.Config{URL: d.URL, SystemURL: d.SystemURL, OwnerURL: d.OwnerURL, Pool: d.Pool, Strict: strict},
		store.Config{URL: d.KeysURL, SystemURL: d.KeysSysURL, OwnerURL: d.KeysOwnerURL, Pool: d.Pool, Strict: strict}
}

// Open builds every service, opens the databases, keys and log, and makes the
// installation where there is none. It does not listen and runs no job.
// Whatever is wrong is one sentence in the error, and nothing was changed.
func Open(ctx context.Context, o Options) (_ *App, err error) {
	var lock *local.Lock
	if o.Operate {
		state, err := Find(ctx, o.Config)
		if err != nil {
			return nil, err
		}
		if !state.Begun() {
			return nil, fmt.Errorf("%w in %s", ErrNothing, o.Config.place())
		}
		o.Kind, o.Config.HTTP.BaseURL = state.Stamp, state.Issuer
	}
	if lock, err = own(o.Config); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Release())
		}
	}()
	a := &App{lock: lock, Config: o.Config, Now: o.Now, Log: o.Log, Version: o.Version}
	if a.Now == nil {
		a.Now = clock.System
	}
	if a.Log == nil {
		a.Log = slog.New(slog.DiscardHandler)
	}
	if a.BaseURL, err = url.Parse(o.Config.HTTP.BaseURL); err != nil {
		return nil, fmt.Errorf("http.base_url: %w", err)
	}
	a.Transport, a.Tail = o.Transport, o.Tail
	a.build()
	a.Manifests = append(a.manifests(), o.Extra...)
	if err := a.texts(); err != nil {
		return nil, err
	}
	main, keys := o.Config.Storage(o.Strict)
	if main.Path != "" || main.OwnerURL != "" {
		if err := store.Migrate(ctx, main, keys, a.Manifests); err != nil {
			return nil, err
		}
	}
	if a.Store, err = store.Open(ctx, main, keys, a.Manifests); err != nil {
		return nil, err
	}
	if err := a.migrated(ctx); err != nil {
		return nil, errors.Join(err, a.Store.Close())
	}
	if err := a.start(ctx, o); err != nil {
		return nil, errors.Join(err, a.Store.Close())
	}
	return a, nil
}

// start opens what stands on the databases, in the order of the house.
func (a *App) start(ctx context.Context, o Options) error {
	a.connect()
	if err := a.complete(); err != nil {
		return err
	}
	state, err := a.Setup.Find(ctx)
	if err != nil {
		return err
	}
	if err := state.Check(o.Kind, o.Config.HTTP.BaseURL); err != nil {
		return err
	}
	if a.Keys.Root, err = a.root(state.Begun()); err != nil {
		return err
	}
	if err := a.startKeys(ctx, state.Begun()); err != nil {
		return err
	}
	a.Store.Main.SetJournal(a.Audit)
	if err := a.Audit.Open(ctx); err != nil {
		return err
	}
	if _, err := a.Setup.Begin(ctx, o.Kind, o.Config.HTTP.BaseURL); err != nil {
		return err
	}
	catalogue, err := access.NewCatalogue(a.Manifests)
	if err != nil {
		return err
	}
	*a.Access.Catalogue = *catalogue
	if err := a.Provider.Start(ctx); err != nil {
		return err
	}
	return a.serve(ctx)
}

// startKeys opens the keyring; a place where nothing has begun gets its keys.
func (a *App) startKeys(ctx context.Context, begun bool) error {
	err := a.Keys.Start(ctx)
	if errors.Is(err, keyring.ErrEmpty) && !begun {
		a.Recovery, err = a.Keys.Setup(ctx)
	}
	return err
}

// root opens the root key of the configuration; a place where nothing has
// begun gets one.
func (a *App) root(begun bool) (keyring.Root, error) {
	c := a.Config.Keys
	if c.Passphrase != "" {
		return keyring.PassphraseRoot(keyring.NewSecret([]byte(c.Passphrase)))
	}
	if _, err := os.Stat(c.File); errors.Is(err, os.ErrNotExist) && !begun {
		return keyring.MakeRootFile(c.File)
	}
	return keyring.FileRoot("file", c.File)
}

// texts loads the messages of every manifest.
func (a *App) texts() error {
	var sources []i18n.Source
	for _, m := range a.Manifests {
		if m.Messages != nil {
			sources = append(sources, i18n.Source{Name: m.Name, FS: m.Messages})
		}
	}
	b, err := i18n.Load(sources...)
	if err != nil {
		return err
	}
	b.Missing = func(lang, key string) { a.Log.Warn("a text is missing", "language", lang, "key", key) }
	a.Bundle = b
	return nil
}

// Run works until ctx ends: scheduled jobs and what follows other nodes.
func (a *App) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { a.Access.Follow(ctx, a.Log) })
	wg.Go(func() { a.Provider.Follow(ctx) })
	wg.Go(func() { a.Session.Watch(ctx) })
	wg.Go(func() { a.Keys.Watch(ctx) })
	for _, m := range a.Manifests {
		a.Jobs.Add(m.Jobs...)
	}
	a.Jobs.Run(ctx)
	wg.Wait()
}

// Close ends the databases, after Run has returned and the listeners are closed.
func (a *App) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(a.Audit.FlushRates(ctx, true), a.Store.Close(), a.lock.Release())
}

// node names this process in the log.
func (a *App) node() id.Node { return id.NewNode(a.Now()) }
