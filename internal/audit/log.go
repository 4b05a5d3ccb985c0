package audit

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/tlog"
)

// ErrClosed is returned by everything that writes or signs before Open.
var ErrClosed = errors.New("audit: the log is not open")

// Log is all logs of an installation, and the journal of its main database.
// Exported fields are set once by app; the rest has owners of its own.
type Log struct {
	Store   *store.DB // main
	Now     clock.Now
	Ready   func(ctx context.Context, owners ...keyring.Owner) (*keyring.Ring, error)
	Process *slog.Logger // what the log itself has to report
	Host    string       // of the base URL, with its port; counts at the first start only
	Node    string       // name of this node
	Version string       // of the software

	host string // of the origins, fixed when the installation was made; set by Open

	// mu guards heads and touched. Only the writer (SQLite) or the sequencer
	// (PostgreSQL) changes them; nobody reads proofs from them.
	mu      sync.Mutex
	heads   map[string]*head
	touched []string
	fence   int64 // of this node's sequencer; 0: not taken

	sequencing sync.Mutex // held while Sequence runs
	signing    sync.Mutex // held while Checkpoint or Epoch runs; guards signers
	signers    *signers

	idMu   sync.Mutex
	lastID [16]byte // of the last entry made here

	rateMu sync.Mutex
	rates  map[rateKey]int64

	dayMu sync.Mutex
	day   string
	dayK  []byte
}

// Open opens the log at start: the first time it fixes the origins to Host and
// makes the keys that sign checkpoints, on record.
func (l *Log) Open(ctx context.Context) error {
	if err := l.findHost(ctx); err != nil {
		return err
	}
	if l.host == "" {
		if !tlog.ValidOrigin(l.Host) || strings.Contains(l.Host, "/") {
			return fmt.Errorf("audit: %q can't be the host of the log's origin", l.Host)
		}
		err := l.Store.Maintain(ctx, store.System("audit.open"), func(tx *store.Tx) error {
			for _, r := range []ref{installation, platform} {
				if _, err := l.create(tx, r, l.Host); err != nil {
					return err
				}
			}
			return nil
		})
		// Another node may have been first: then its host holds.
		if ferr := l.findHost(ctx); ferr != nil || l.host == "" {
			return errors.Join(err, ferr)
		}
	}
	s, err := l.loadSigners(ctx)
	if err != nil {
		return err
	}
	if s.current != nil {
		return nil
	}
	return l.rotate(ctx, caller.ForSystem("audit.open"), eventOpened)
}

// findHost reads the host from the installation's log, if there is one.
func (l *Log) findHost(ctx context.Context) error {
	return l.Store.View(ctx, store.System("audit.open"), func(tx *store.Tx) error {
		h, err := readHead(tx, installation)
		if errors.Is(err, store.ErrNone) {
			return nil
		}
		if err == nil {
			l.host, _, _ = strings.Cut(h.origin, "/")
		}
		return err
	})
}

func (l *Log) ready() error {
	if l.host == "" {
		return ErrClosed
	}
	return nil
}

// origin is the name of a log in its checkpoints and leaves.
func (l *Log) origin(r ref) string { return l.host + "/log/" + r.key }

// Origin is the name of an organization's log, of the installation's if org is
// zero.
func (l *Log) Origin(org id.Org) string { return l.origin(refOf(org)) }

// PlatformOrigin is the name of the platform log.
func (l *Log) PlatformOrigin() string { return l.origin(platform) }

// Refuse writes the entry of a refusal in a transaction of its own, after the
// refused one was rolled back. Its outcome is Denied unless it says otherwise.
func (l *Log) Refuse(ctx context.Context, who caller.Caller, org id.Org, e Entry) error {
	if e.Outcome == "" {
		e.Outcome = Denied
	}
	return l.Observe(ctx, who, org, e)
}

// Observe writes one entry in a transaction of its own: of a read that may be
// answered only if it is on record, above all by staff.
func (l *Log) Observe(ctx context.Context, who caller.Caller, org id.Org, e Entry) error {
	people := []id.User{}
	if !e.Person.IsZero() {
		people = append(people, e.Person)
	}
	pen, err := l.Pen(ctx, who, org, people...)
	if err != nil {
		return err
	}
	if len(e.Cite) > 0 {
		if err := pen.Also(ctx, e.Cite...); err != nil {
			return err
		}
	}
	return l.alone(ctx, pen, e)
}

// alone writes one entry in a transaction of its own. It is sealed before: on
// SQLite all transactions wait for the one writer.
func (l *Log) alone(ctx context.Context, pen *Pen, e Entry) error {
	drafts, err := pen.drafts(e)
	if err != nil {
		return fmt.Errorf("audit: record %s: %w", e.Kind, err)
	}
	return l.Store.Update(ctx, pen.ref.scope("audit.alone"), func(tx *store.Tx) error {
		for _, d := range drafts {
			tx.Record(d)
		}
		return nil
	})
}

// StaffRead puts on record that staff read something of an organization (zero:
// of the installation). What was read is answered only when the error is nil.
func (l *Log) StaffRead(ctx context.Context, who caller.Caller, org id.Org, what Target, facts map[string]any) error {
	pen, err := l.Pen(ctx, who, org)
	if err != nil {
		return err
	}
	return l.alone(ctx, pen.Global(), Entry{Kind: eventStaffRead, Target: what, Facts: facts})
}

// Erased puts on record that the key of a person's parts in the log of an
// organization (zero: of the installation) was destroyed. Whoever destroys the
// key of a member or user calls it: exports and proofs name this entry as what
// became of the parts that no longer open.
func (l *Log) Erased(ctx context.Context, who caller.Caller, org id.Org, user id.User) error {
	pen, err := l.Pen(ctx, who, org)
	if err != nil {
		return err
	}
	if who.User == user {
		pen.who.User = id.User{} // her own key is the one that is gone
	}
	return l.alone(ctx, pen.Global(), Entry{Kind: eventErased, Target: Target{Kind: "user", ID: user.String()}})
}

// rateKey is one source in one minute.
type rateKey struct {
	source netip.Addr
	minute int64
	route  string
}

// maxRates bounds the sources that are counted apart; beyond it all share one.
const maxRates = 10_000

// RefuseRate counts a refusal by a rate limit. FlushRates writes the counts:
// one entry for each source, route and minute, so that a flood does not become
// a flood of entries.
func (l *Log) RefuseRate(source netip.Addr, route string) {
	k := rateKey{source, l.Now().Unix() / 60, route}
	l.rateMu.Lock()
	defer l.rateMu.Unlock()
	if l.rates == nil {
		l.rates = map[rateKey]int64{}
	}
	if _, known := l.rates[k]; !known && len(l.rates) >= maxRates {
		k = rateKey{minute: k.minute}
	}
	l.rates[k]++
}

// FlushRates writes the counts of the minutes that are over. It is called each
// minute, and with all set when the server stops.
func (l *Log) FlushRates(ctx context.Context, all bool) error {
	now := l.Now().Unix() / 60
	l.rateMu.Lock()
	due := map[rateKey]int64{}
	for k, n := range l.rates {
		if all || k.minute < now {
			due[k] = n
			delete(l.rates, k)
		}
	}
	l.rateMu.Unlock()
	if len(due) == 0 {
		return nil
	}
	pen, err := l.Pen(ctx, caller.ForSystem("audit.rates"), id.Org{})
	if err == nil {
		err = l.Store.Update(ctx, store.System("audit.rates"), func(tx *store.Tx) error {
			for k, n := range due {
				f := map[string]any{"count": n, "minute": time.Unix(k.minute*60, 0).UTC().Format(time.RFC3339), "route": k.route}
				if k.source.IsValid() {
					f["source"] = k.source.String()
				}
				if err := pen.Record(tx, Entry{Kind: eventThrottled, Outcome: Denied, Facts: f}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil { // they are counted again with the next
		l.rateMu.Lock()
		for k, n := range due {
			l.rates[k] += n
		}
		l.rateMu.Unlock()
	}
	return err
}

const labelDay = "audit.day.secret"

// daysKept is for how many days keys are kept, the present one counted: attempts
// of one night lie in two, and no more is needed.
const daysKept = 2

// Unknown gives what the log says of an address that belongs to nobody we
// know: an HMAC under the key of the day, which is destroyed two days later.
// Attempts of one day can be put together; nobody can test an address later.
func (l *Log) Unknown(ctx context.Context, address string) (string, error) {
	key, err := l.dayKey(ctx)
	if err != nil {
		return "", err
	}
	m := hmac.New(sha256.New, key)
	m.Write([]byte(address))
	return hex.EncodeToString(m.Sum(nil)[:12]), nil
}

func (l *Log) dayKey(ctx context.Context) ([]byte, error) {
	l.dayMu.Lock()
	defer l.dayMu.Unlock()
	now := l.Now().UTC()
	day := now.Format(time.DateOnly)
	if day == l.day {
		return l.dayK, nil
	}
	ring, err := l.Ready(ctx, keyring.Installation())
	if err != nil {
		return nil, err
	}
	fresh := make([]byte, 32)
	rand.Read(fresh)
	sealed, err := ring.Seal(keyring.Installation(), labelDay, day, fresh)
	if err != nil {
		return nil, err
	}
	var have []byte
	err = l.Store.Maintain(ctx, store.System("audit.day"), func(tx *store.Tx) error {
		if _, err := tx.Exec(insertDay, day, sealed, store.Micros(now)); err != nil {
			return err
		}
		if _, err := tx.Exec(deleteDays, now.AddDate(0, 0, 1-daysKept).Format(time.DateOnly)); err != nil {
			return err
		}
		return tx.Row(selectDay, day).Scan(&have)
	})
	if err != nil {
		return nil, fmt.Errorf("audit: key of the day: %w", err)
	}
	key, err := ring.Open(keyring.Installation(), labelDay, day, have)
	if err != nil {
		return nil, fmt.Errorf("audit: key of the day: %w", err)
	}
	l.day, l.dayK = day, key
	return key, nil
}
