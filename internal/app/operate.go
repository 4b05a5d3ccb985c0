package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/invariant"
	"github.com/rempart/rempart/internal/local"
	"github.com/rempart/rempart/internal/setup"
	"github.com/rempart/rempart/internal/store"
)

// ErrNothing is returned when an operator's command finds no installation.
var ErrNothing = errors.New("there is no installation")

// place says where the configuration keeps its rows, for sentences.
func (c *Config) place() string {
	if c.Database.URL != "" {
		return "the database of database.url"
	}
	return c.Data
}

// own takes the data folder for this process. On PostgreSQL the database is
// everybody's and the folder holds no rows.
func own(c Config) (*local.Lock, error) {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("the data folder can't be made: %w", err)
	}
	if c.Database.URL != "" {
		return nil, nil
	}
	return local.Acquire(c.Data)
}

// Find reads what the installation of the configuration is, before anything
// else is opened; the zero State where nothing has begun. It makes nothing.
func Find(ctx context.Context, c Config) (setup.State, error) {
	main, keys := c.Storage(false)
	if main.Path != "" {
		for _, path := range []string{main.Path, keys.Path} {
			if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
				return setup.State{}, nil
			}
		}
		lock, err := local.Acquire(c.Data)
		if err != nil {
			return setup.State{}, err
		}
		defer lock.Release()
	}
	s := &setup.Service{}
	st, err := store.Open(ctx, main, keys, []capability.Manifest{s.Manifest()})
	if err != nil {
		return setup.State{}, err
	}
	defer st.Close()
	names, err := st.Main.TableNames(ctx)
	if err != nil || !slices.Contains(names, "setup_installation") {
		return setup.State{}, err
	}
	s.Store = st.Main
	return s.Find(ctx)
}

// Migrate brings the databases of the configuration to the schema of this
// release and changes nothing else.
func Migrate(ctx context.Context, c Config) (err error) {
	a, err := Unopened(c)
	if err != nil {
		return err
	}
	lock, err := own(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	main, keys := c.Storage(false)
	return store.Migrate(ctx, main, keys, a.Manifests)
}

// migrated refuses databases that lack a table of this release: on PostgreSQL
// the owner of the tables makes them, and serve is not the owner.
func (a *App) migrated(ctx context.Context) error {
	for name, db := range map[string]*store.DB{"main": a.Store.Main, "keys": a.Store.Keys} {
		have, err := db.TableNames(ctx)
		if err != nil {
			return err
		}
		for _, t := range a.tables(name) {
			if !slices.Contains(have, t.Name) {
				return fmt.Errorf("the %s database lacks the schema of this release (%s); run rempart migrate", name, t.Name)
			}
		}
	}
	return nil
}

// tables are those of one database, of all manifests.
func (a *App) tables(database string) (out []capability.Table) {
	for _, m := range a.Manifests {
		for _, t := range m.Tables {
			if t.Database == database {
				out = append(out, t)
			}
		}
	}
	return out
}

// Check verifies every invariant of the stored state and hands each to report
// as soon as it is known; see package invariant.
func (a *App) Check(ctx context.Context, report func(invariant.Invariant)) error {
	c := invariant.Checker{Store: a.Store, Keys: a.Keys, Audit: a.Audit, Manifests: a.Manifests, Bundle: a.Bundle, Now: a.Now, Serving: a.Listener != nil}
	return c.Check(ctx, report)
}
