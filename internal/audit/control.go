package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

// What the controls of package reading try on the live log.

// Canary is the kind of the entries that controls write to see what becomes of
// them.
const Canary = eventCanary

// TryUnaudited makes a change without an entry, as a mistake in a capability
// would, and returns nil when the store refused to keep it.
func (l *Log) TryUnaudited(ctx context.Context) error {
	err := l.Store.Update(ctx, store.System("audit.try-unaudited"), func(tx *store.Tx) error {
		now := l.Now()
		_, err := tx.Exec(insertKey, "canary-"+id.NewEntry(now).String(), "canary", "", []byte{}, store.Micros(now))
		return err
	})
	if errors.Is(err, store.ErrUnaudited) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("audit: try an unaudited change: %w", err)
	}
	return errors.New("audit: a change without an entry was kept")
}

// HoldsPlain reports whether the stored form of the entry holds the text in
// clear, in any of its columns.
func (l *Log) HoldsPlain(ctx context.Context, org id.Org, entry id.Entry, text string) (bool, error) {
	e, err := l.entry(ctx, refOf(org), entry)
	if err != nil {
		return false, err
	}
	for _, b := range [][]byte{[]byte(e.kind), []byte(e.actor), []byte(e.target), []byte(e.outcome), e.facts, e.factsKey, e.person, e.personKey, e.leaf} {
		if bytes.Contains(b, []byte(text)) {
			return true, nil
		}
	}
	return false, nil
}

// Sample hands the newest entries of every log, at most each of one log, to
// fn, opened.
func (l *Log) Sample(ctx context.Context, each int, fn func(org id.Org, r Record)) error {
	return l.logs(ctx, func(r ref) error {
		if r == platform {
			return nil
		}
		list, err := l.Search(ctx, r.org, Query{Limit: each})
		if err != nil {
			return err
		}
		for _, rec := range list {
			fn(r.org, rec)
		}
		return nil
	})
}

// logs calls fn for every log.
func (l *Log) logs(ctx context.Context, fn func(ref) error) error {
	after := ""
	for {
		var keys []string
		err := l.Store.View(ctx, store.System("audit.logs"), func(tx *store.Tx) (err error) {
			keys, err = store.All(tx, scanText, selectLogs, after, chunk)
			return err
		})
		if err != nil || len(keys) == 0 {
			return err
		}
		for _, key := range keys {
			r, err := parseRef(key)
			if err == nil {
				err = fn(r)
			}
			if err != nil {
				return fmt.Errorf("audit: log %s: %w", key, err)
			}
		}
		after = keys[len(keys)-1]
	}
}

// Unsigned counts the logs that have grown and were last signed longer ago
// than allowed, and the entries that wait for an index longer than that.
func (l *Log) Unsigned(ctx context.Context, allowed time.Duration) (n int64, err error) {
	before := store.Micros(l.Now().Add(-allowed))
	err = l.Store.View(ctx, store.System("audit.unsigned"), func(tx *store.Tx) error {
		var logs, entries int64
		if err := tx.Row(countUnsigned, before).Scan(&logs); err != nil {
			return err
		}
		err := tx.Row(countPending, before).Scan(&entries)
		n = logs + entries
		return err
	})
	return n, err
}
