package provider

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/provider/jwt"
	"github.com/rempart/rempart/internal/store"
)

// memory is what the hot path reads instead of the database: clients, keys and
// the grants that ended lately. It is never changed, only replaced.
type memory struct {
	clients map[string]*Client // by text of the id; removed ones are not there
	signing map[string]*jwt.Key
	set     *jwt.Set // every key whose tokens are still accepted
	jwks    document
	meta    document
}

// document is an answer whose bytes are made before anyone asks.
type document struct {
	body []byte
	etag string
}

func newDocument(v any) (document, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return document{}, fmt.Errorf("provider: %w", err)
	}
	sum := sha256.Sum256(body)
	return document{body: body, etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}, nil
}

// live keeps memory in step with the database.
type live struct {
	at    atomic.Pointer[memory]
	began atomic.Int64 // when the last good poll began, in microseconds

	mu     sync.Mutex // held by whoever polls
	loaded bool

	endedMu sync.RWMutex
	ended   map[id.Grant]time.Time // grants that ended lately, whose access tokens may still be about
	pruned  time.Time
}

func (l *live) isEnded(g id.Grant) bool {
	l.endedMu.RLock()
	defer l.endedMu.RUnlock()
	_, ok := l.ended[g]
	return ok
}

// end remembers ended grants for as long as a token of theirs could live.
func (l *live) end(now time.Time, grants map[id.Grant]time.Time) {
	l.endedMu.Lock()
	defer l.endedMu.Unlock()
	if l.ended == nil {
		l.ended = map[id.Grant]time.Time{}
	}
	maps.Copy(l.ended, grants)
	if now.Sub(l.pruned) > time.Minute {
		l.pruned = now
		maps.DeleteFunc(l.ended, func(_ id.Grant, at time.Time) bool { return now.Sub(at) > endedKept })
	}
}

// Start loads clients and keys, and makes the first signing keys where there
// are none. It is called once, before serving.
func (s *Service) Start(ctx context.Context) error {
	if err := s.poll(ctx); err != nil {
		return err
	}
	if s.live.at.Load().signing[jwt.ES256] == nil {
		return s.makeKeys(ctx, systemCaller, jwt.ES256)
	}
	return nil
}

// Follow keeps this node in step with the others until ctx ends. app runs it on
// PostgreSQL; on SQLite no other process writes.
func (s *Service) Follow(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := s.poll(ctx); err != nil && ctx.Err() == nil && s.Log != nil {
				s.Log.WarnContext(ctx, "provider: follow", slog.Any("error", err))
			}
		}
	}
}

// memory gives what is known, no older than a second: a node that cannot keep
// up asks the database, and refuses when that is away.
func (s *Service) memory(ctx context.Context) (*memory, error) {
	m := s.live.at.Load()
	if m != nil && (s.Store.Engine() == store.SQLite || s.Now().Sub(store.Time(s.live.began.Load())) <= staleAfter) {
		return m, nil
	}
	if err := s.poll(ctx); err != nil {
		return nil, fault.New(fault.Unavailable, "web.error.unavailable", err).After(time.Second)
	}
	return s.live.at.Load(), nil
}

// poll reads what changed. Rows are asked for by the time of their change, with
// an overlap longer than any transaction and any difference of clocks: a mark
// alone would miss a row that commits late.
func (s *Service) poll(ctx context.Context) error {
	l := &s.live
	l.mu.Lock()
	defer l.mu.Unlock()
	now := s.Now()
	since := now.Add(-overlap)
	if !l.loaded {
		since = time.Time{}
	}
	var clients []*Client
	var keys []keyRow
	var keysChanged int64
	ended := map[id.Grant]time.Time{}
	err := s.Store.View(ctx, store.System("provider.follow"), func(tx *store.Tx) (err error) {
		clients, err = store.All(tx, func(r *store.Rows) (*Client, error) { return scanClient(r) }, selectClients, store.Micros(since))
		if err != nil {
			return err
		}
		if err := tx.Row(changedKeys, store.Micros(since)).Scan(&keysChanged); err != nil {
			return err
		}
		if keysChanged > 0 {
			if keys, err = store.All(tx, scanKey, selectKeys, store.Micros(now.Add(-keyPublished))); err != nil {
				return err
			}
		}
		rows := tx.Query(selectEnded, store.Micros(now.Add(-endedKept)))
		for rows.Next() {
			var g id.Grant
			var at int64
			if err := rows.Scan(&g, &at); err != nil {
				return errors.Join(err, rows.Close())
			}
			ended[g] = store.Time(at)
		}
		return rows.Close()
	})
	if err != nil {
		return fmt.Errorf("provider: follow: %w", err)
	}
	if len(clients) > 0 || keysChanged > 0 || !l.loaded {
		next, err := s.merge(ctx, l.at.Load(), clients, keys, keysChanged > 0)
		if err != nil {
			return err
		}
		l.at.Store(next)
	}
	l.end(now, ended)
	l.loaded = true
	l.began.Store(store.Micros(now))
	return nil
}

// merge makes the memory that follows have.
func (s *Service) merge(ctx context.Context, have *memory, clients []*Client, keys []keyRow, keysChanged bool) (*memory, error) {
	next := &memory{clients: map[string]*Client{}, signing: map[string]*jwt.Key{}, set: jwt.NewSet()}
	if have != nil {
		*next = *have
		next.clients = maps.Clone(have.clients)
	}
	for _, c := range clients {
		if c.State == ClientRemoved {
			delete(next.clients, c.ID.String())
			continue
		}
		if old := next.clients[c.ID.String()]; old == nil || old.Revision <= c.Revision {
			next.clients[c.ID.String()] = c
		}
	}
	if keysChanged {
		ring, err := s.Keys.Ready(ctx, keyring.Installation())
		if err != nil {
			return nil, fmt.Errorf("provider: signing keys: %w", err)
		}
		if err := next.keep(ring, keys); err != nil {
			return nil, err
		}
	}
	var err error
	if have == nil {
		next.meta, err = newDocument(s.metadata())
		if err == nil && next.jwks.body == nil {
			next.jwks, err = newDocument(keySet{Keys: []json.RawMessage{}})
		}
	}
	return next, err
}

// verifyID verifies an ID token of ours.
func (m *memory) verifyID(token string) ([]byte, error) { return m.set.Verify(jwt.TypeID, token) }
