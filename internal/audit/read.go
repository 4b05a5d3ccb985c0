package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/tlog"
)

var (
	errNoEntry = fault.New(fault.NotFound, "audit.error.no-entry", nil)
	errNoLog   = fault.New(fault.NotFound, "audit.error.no-log", nil)
)

// Record is an entry as its readers see it.
type Record struct {
	ID          id.Entry       `json:"id"`
	Index       *int64         `json:"index" doc:"Place in the log's tree; null until it is given, within a second."`
	Time        time.Time      `json:"time"`
	Kind        string         `json:"kind"`
	Text        string         `json:"text" doc:"The kind in the reader's language."`
	Outcome     Outcome        `json:"outcome" enum:"success,failure,denied"`
	Code        string         `json:"code,omitempty"`
	Actor       Actor          `json:"actor"`
	Target      Target         `json:"target"`
	Person      id.User        `json:"person,omitzero" doc:"Whose key seals the personal part."`
	Session     string         `json:"session,omitempty" doc:"Keyed hash: equal for entries of one session."`
	Source      string         `json:"source,omitempty"`
	Device      string         `json:"device,omitempty"`
	Destination string         `json:"destination,omitempty"`
	Request     id.Request     `json:"request_id,omitzero"`
	Node        string         `json:"node,omitempty"`
	Software    string         `json:"software,omitempty"`
	Changes     []Change       `json:"changes,omitempty"`
	Facts       map[string]any `json:"facts,omitempty"`
	Private     map[string]any `json:"private,omitempty"`
	Cites       id.Entry       `json:"cites,omitzero" doc:"The entry of origin, in another log."`
	Erased      []string       `json:"erased,omitempty" doc:"Parts whose key was destroyed."`
}

// stored is a row of audit_entries.
type stored struct {
	seq                                int64
	id                                 id.Entry
	at                                 int64
	kind, outcome, actor, target       string
	leaf                               []byte
	facts, factsKey, person, personKey []byte
}

func scanEntry(r *store.Rows) (e *stored, err error) {
	e = &stored{}
	return e, r.Scan(&e.seq, &e.id, &e.at, &e.kind, &e.outcome, &e.actor, &e.target, &e.leaf,
		&e.facts, &e.factsKey, &e.person, &e.personKey)
}

// header and parts are what the leaf of the entry is made of, from the row.
func (e *stored) header(origin string) tlog.Header {
	h := tlog.Header{Origin: origin, Entry: e.id.Bytes(), Time: e.at, Kind: e.kind, Labels: labelsFacts}
	if e.person != nil {
		h.Labels = labelsBoth
	}
	return h
}

// splitPart undoes joinPart.
func splitPart(label string, b []byte) (p tlog.Part, ciphertext []byte, err error) {
	if len(b) < partHead {
		return p, nil, errDamaged
	}
	p.Label = label
	copy(p.KeyID[:], b)
	copy(p.KeyCommitment[:], b[16:])
	ciphertext = b[partHead:]
	p.CiphertextHash = sum(ciphertext)
	return p, ciphertext, nil
}

var errDamaged = errors.New("audit: the stored entry is damaged")

// opener opens entries of one log. It loads the keys of the people as they
// come, and keeps them for the next entry.
type opener struct {
	l     *Log
	r     ref
	ring  *keyring.Ring
	rings map[keyring.Owner]*keyring.Ring
}

func (l *Log) opener(ctx context.Context, r ref) (*opener, error) {
	ring, err := l.Ready(ctx, keyring.Installation(), r.owner())
	if err != nil {
		return nil, fmt.Errorf("audit: load keys: %w", err)
	}
	return &opener{l: l, r: r, ring: ring}, nil
}

// maxRings bounds the people whose keys an opener keeps.
const maxRings = 4096

func (o *opener) ringOf(ctx context.Context, owner keyring.Owner) (*keyring.Ring, error) {
	if r := o.rings[owner]; r != nil {
		return r, nil
	}
	r, err := o.l.Ready(ctx, owner)
	if err != nil {
		return nil, fmt.Errorf("audit: load keys: %w", err)
	}
	if o.rings == nil || len(o.rings) >= maxRings {
		o.rings = map[keyring.Owner]*keyring.Ring{}
	}
	o.rings[owner] = r
	return r, nil
}

// opened is an entry with what could be opened of it.
type opened struct {
	facts     facts
	person    person
	factsKey  *tlog.PartKey // nil: erased
	personKey *tlog.PartKey // nil: erased, or there is no such part
}

// open opens both parts. A part whose key was destroyed stays closed; anything
// else that does not open is an error.
func (o *opener) open(ctx context.Context, e *stored) (out opened, err error) {
	h := e.header(o.l.origin(o.r))
	row := e.id.String()
	out.factsKey, err = openPart(&h, row, partFacts, labelFactsKey, o.ring, o.r.owner(), e.facts, e.factsKey, &out.facts)
	if err != nil || e.person == nil || out.factsKey == nil {
		return out, err
	}
	owner := personOwner(o.r, out.facts.Person, out.facts.Global)
	ring, err := o.ringOf(ctx, owner)
	if err != nil {
		return out, err
	}
	out.personKey, err = openPart(&h, row, partPerson, labelPersonKey, ring, owner, e.person, e.personKey, &out.person)
	return out, err
}

func openPart(h *tlog.Header, row, label, field string, ring *keyring.Ring, owner keyring.Owner, part, wrapped []byte, into any) (*tlog.PartKey, error) {
	raw, err := ring.Open(owner, field, row, wrapped)
	if errors.Is(err, keyring.ErrErased) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("audit: %s of %s: %w", label, row, err)
	}
	key, err := tlog.ParsePartKey(raw)
	if err != nil {
		return nil, fmt.Errorf("audit: %s of %s: %w", label, row, err)
	}
	p, ciphertext, err := splitPart(label, part)
	if err != nil {
		return nil, err
	}
	plain, err := tlog.OpenPart(h.Origin, h.Entry, &p, ciphertext, &key)
	if err != nil {
		return nil, fmt.Errorf("audit: %s of %s: %w", label, row, err)
	}
	if err := json.Unmarshal(plain, into); err != nil {
		return nil, fmt.Errorf("audit: %s of %s: %w", label, row, err)
	}
	return &key, nil
}

func (o *opener) record(ctx context.Context, e *stored) (Record, error) {
	out := Record{ID: e.id, Time: store.Time(e.at), Kind: e.kind, Outcome: Outcome(e.outcome)}
	if e.seq >= 0 {
		out.Index = &e.seq
	}
	x, err := o.open(ctx, e)
	if err != nil {
		return out, err
	}
	if x.factsKey == nil {
		out.Erased = append(out.Erased, partFacts)
	}
	if e.person != nil && x.personKey == nil {
		out.Erased = append(out.Erased, partPerson)
	}
	f, p := &x.facts, &x.person
	out.Code, out.Actor, out.Target, out.Person, out.Session = f.Code, f.Actor, f.Target, f.Person, f.Session
	out.Destination, out.Request, out.Node, out.Software = f.Destination, f.Request, f.Node, f.Software
	out.Source, out.Device = f.Source+p.Source, f.Device+p.Device // one of each
	out.Changes = append(slices.Clip(f.Changes), p.Changes...)
	out.Facts, out.Private, out.Cites = f.Facts, p.Facts, f.Cites
	return out, nil
}

// Query narrows a search; what is zero does not narrow.
type Query struct {
	Actor   string // "user:usr_…", "job:…", "system:…"
	Target  string // "user:usr_…"
	Kind    string // whole, or what it begins with, ended by a dot
	Outcome Outcome
	From    time.Time // first instant
	Until   time.Time // instant after the last
	Before  id.Entry  // entries older than this one: where the page before ended
	Limit   int
}

// Search gives the entries of an organization's log (zero: of the
// installation's) that the query asks for, newest first.
func (l *Log) Search(ctx context.Context, org id.Org, query Query) ([]Record, error) {
	if err := l.ready(); err != nil {
		return nil, err
	}
	r := refOf(org)
	o, err := l.opener(ctx, r)
	if err != nil {
		return nil, err
	}
	list, err := l.find(ctx, o, query)
	if err != nil {
		return nil, err
	}
	out := make([]Record, 0, len(list))
	for _, e := range list {
		rec, err := o.record(ctx, e)
		if err != nil {
			return nil, err
		}
		out = append(out, rec)
	}
	return out, nil
}

func (l *Log) find(ctx context.Context, o *opener, query Query) (list []*stored, err error) {
	before, after := maxEntry, minEntry
	if !query.Until.IsZero() {
		before = floorID(query.Until)
	}
	if !query.Before.IsZero() && query.Before.String() < before {
		before = query.Before.String()
	}
	if !query.From.IsZero() {
		after = floorID(query.From)
	}
	// Kinds are words of a-z, 0-9, "_" and "-" with dots between: a blank
	// sorts before all of these, a slash right behind the dot.
	low, high := query.Kind, query.Kind+" "
	if n := len(query.Kind); n == 0 {
		high = "~"
	} else if query.Kind[n-1] == '.' {
		high = query.Kind[:n-1] + "/"
	}
	limit := query.Limit
	if limit <= 0 {
		limit = 50
	}
	err = l.Store.View(ctx, o.r.scope("audit.search"), func(tx *store.Tx) error {
		list, err = rows(tx, o.r, scanEntry, search, before, after, low, high, string(query.Outcome),
			l.hash(o.ring, o.r, labelActor, query.Actor), l.hash(o.ring, o.r, labelTarget, query.Target), limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("audit: search: %w", err)
	}
	return list, nil
}

// Bounds of every identifier of an entry.
const (
	minEntry = "ent_"
	maxEntry = "ent_~"
)

// floorID is below every identifier made at t or later, and above all made
// before: they begin with the time.
func floorID(t time.Time) string {
	ms := t.UnixMilli()
	if ms <= 0 {
		return minEntry
	}
	var b [16]byte
	for i := range 6 {
		b[i] = byte(ms >> (8 * (5 - i)))
	}
	return entryID(b).String()
}

// Find gives one entry; the error is a fault of kind NotFound when the log has
// none with this identifier.
func (l *Log) Find(ctx context.Context, org id.Org, entry id.Entry) (Record, error) {
	if err := l.ready(); err != nil {
		return Record{}, err
	}
	r := refOf(org)
	o, err := l.opener(ctx, r)
	if err != nil {
		return Record{}, err
	}
	e, err := l.entry(ctx, r, entry)
	if err != nil {
		return Record{}, err
	}
	return o.record(ctx, e)
}

func (l *Log) entry(ctx context.Context, r ref, entry id.Entry) (*stored, error) {
	var list []*stored
	err := l.Store.View(ctx, r.scope("audit.find"), func(tx *store.Tx) (err error) {
		list, err = rows(tx, r, scanEntry, selectEntry, entry)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("audit: find entry: %w", err)
	}
	if len(list) == 0 {
		return nil, errNoEntry
	}
	return list[0], nil
}

// Walk hands the entries of a log to fn, opened, oldest first, of the time from
// from to before until (zero: no bound), and tells the log of it as an export.
func (l *Log) Walk(ctx context.Context, who caller.Caller, org id.Org, format string, from, until time.Time, fn func(Record) error) error {
	r := refOf(org)
	facts := map[string]any{"format": format}
	if !from.IsZero() {
		facts["from"] = from.Format(time.RFC3339)
	}
	if !until.IsZero() {
		facts["until"] = until.Format(time.RFC3339)
	}
	if err := l.exported(ctx, who, org, facts); err != nil {
		return err
	}
	size, err := l.sizeOf(ctx, r)
	if err != nil && !errors.Is(err, store.ErrNone) {
		return fmt.Errorf("audit: walk: %w", err)
	}
	o, err := l.opener(ctx, r)
	if err != nil {
		return err
	}
	return l.each(ctx, r, size, func(e *stored) error {
		at := store.Time(e.at)
		if at.Before(from) || !until.IsZero() && !at.Before(until) {
			return nil
		}
		rec, err := o.record(ctx, e)
		if err != nil {
			return err
		}
		return fn(rec)
	})
}
