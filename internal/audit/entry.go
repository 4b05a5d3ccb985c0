package audit

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/tlog"
)

// Outcome is how an act ended.
type Outcome string

// The outcomes.
const (
	Success Outcome = "success"
	Failure Outcome = "failure" // it was tried and did not work: a wrong password
	Denied  Outcome = "denied"  // it was not allowed
)

// Entry is what a capability says of an act; who, when, where and on which
// server are known to the Pen.
type Entry struct {
	ID     id.Entry // of the entry; zero: one is made
	Kind   string   // declared in a manifest's Events
	Target Target

	// Person is whose key seals the person part; zero: the caller, or nobody.
	// Where it is another than the caller, she was given to Pen too.
	Person id.User

	Changes []Change
	Facts   map[string]any // what else is known; no personal data, no secret
	Private map[string]any // what is known about the person: name, address

	Outcome Outcome // "" is Success
	Code    string  // of the error

	// Cite lists further organizations that the act concerns: the log of each
	// gets an entry that cites this one. They were given to Pen.Also.
	Cite []id.Org
}

// Target is what was acted on: "user" and "usr_…".
type Target struct {
	Kind string `json:"kind,omitempty"`
	ID   string `json:"id,omitempty"`
}

func (t Target) text() string {
	if t == (Target{}) {
		return ""
	}
	return t.Kind + ":" + t.ID
}

// Change is one field before and after. A field whose values are personal data
// says so: it is then sealed with the person part.
type Change struct {
	Field  string `json:"field"`
	Before any    `json:"before"`
	After  any    `json:"after"`
	Person bool   `json:"-"`
}

// Actor is who acted.
type Actor struct {
	Kind   string `json:"kind"`
	ID     string `json:"id,omitempty"`
	Client string `json:"client,omitempty"` // of the token that a user acted through
}

func (a Actor) text() string { return a.Kind + ":" + a.ID }

// facts is the content of the facts part, as JSON.
type facts struct {
	Version     int            `json:"v"`
	Actor       Actor          `json:"actor"`
	Target      Target         `json:"target,omitzero"`
	Outcome     Outcome        `json:"outcome"`
	Code        string         `json:"code,omitempty"`
	Session     string         `json:"session,omitempty"` // keyed hash
	Person      id.User        `json:"person,omitzero"`   // whose key seals the person part
	Global      bool           `json:"global,omitempty"`  // her user key does, not a member key
	Source      string         `json:"source,omitempty"`  // where there is no person
	Device      string         `json:"device,omitempty"`
	Destination string         `json:"destination"`
	Request     id.Request     `json:"request,omitzero"`
	Node        string         `json:"node"`
	Software    string         `json:"software"`
	Changes     []Change       `json:"changes,omitempty"`
	Facts       map[string]any `json:"facts,omitempty"`
	Cites       id.Entry       `json:"cites,omitzero"` // the entry of origin, in another log
}

// person is the content of the person part, as JSON.
type person struct {
	Source  string         `json:"source,omitempty"`
	Device  string         `json:"device,omitempty"`
	Changes []Change       `json:"changes,omitempty"`
	Facts   map[string]any `json:"facts,omitempty"`
}

// Field labels of the sealed columns and of the keyed hashes, fixed for ever.
const (
	labelFactsKey  = "audit.entry.facts_key"
	labelPersonKey = "audit.entry.person_key"
	labelActor     = "audit.entry.actor"
	labelTarget    = "audit.entry.target"
	labelSession   = "audit.entry.session"

	partFacts  = "facts"
	partPerson = "person"
)

// Errors of Record.
var (
	// ErrEntry is returned for an entry without a kind, or with one no log can hold.
	ErrEntry = errors.New("audit: malformed entry")
	// ErrPerson is returned for personal data with nobody whose key could seal it.
	ErrPerson = errors.New("audit: personal data without a person")
)

// Pen writes entries of one caller into one log. It holds the keys that were
// loaded for it, so that Record needs no database; the capability seals its own
// fields with the same ring. One goroutine uses it.
type Pen struct {
	*keyring.Ring
	log    *Log
	who    caller.Caller
	ref    ref
	people []id.User
	also   []id.Org
	global bool
	at     time.Time
}

// Pen prepares the entries of who in the log of the organization, of the
// installation if org is zero. It loads the keys of the installation, the
// organization, the caller and the people; call it before the transaction. The
// ring holds both the member and the user key of each.
func (l *Log) Pen(ctx context.Context, who caller.Caller, org id.Org, people ...id.User) (*Pen, error) {
	if err := l.ready(); err != nil {
		return nil, err
	}
	p := &Pen{log: l, who: who, ref: refOf(org), people: people, at: l.Now()}
	if !who.User.IsZero() && !slices.Contains(people, who.User) {
		p.people = append(slices.Clip(people), who.User)
	}
	return p, p.load(ctx)
}

// Also loads the keys of further organizations, which entries may then cite.
func (p *Pen) Also(ctx context.Context, orgs ...id.Org) error {
	p.also = append(p.also, orgs...)
	return p.load(ctx)
}

// Global has the person parts sealed under user keys, not member keys: for an
// act of or about somebody who is no member of the organization, such as staff.
func (p *Pen) Global() *Pen { p.global = true; return p }

// At is the instant of the pen's entries.
func (p *Pen) At() time.Time { return p.at }

func (p *Pen) load(ctx context.Context) error {
	owners := []keyring.Owner{keyring.Installation()}
	if !p.ref.org.IsZero() {
		owners = append(owners, keyring.Organization(p.ref.org))
	}
	for _, o := range p.also {
		owners = append(owners, keyring.Organization(o))
	}
	for _, u := range p.people {
		owners = append(owners, keyring.Person(u))
		if !p.ref.org.IsZero() && !p.global {
			owners = append(owners, keyring.Member(p.ref.org, u))
		}
	}
	ring, err := p.log.Ready(ctx, owners...)
	if err != nil {
		return fmt.Errorf("audit: load keys: %w", err)
	}
	p.Ring = ring
	return nil
}

// Record seals the entry and queues it: it is written with the COMMIT. Nothing
// of the transaction is kept when it fails.
func (p *Pen) Record(tx *store.Tx, e Entry) error {
	drafts, err := p.drafts(e)
	if err != nil {
		return fmt.Errorf("audit: record %s: %w", e.Kind, err)
	}
	for _, d := range drafts {
		tx.Record(d)
	}
	return nil
}

// draft is a sealed entry on its way to the database.
type draft struct {
	ref       ref
	id        id.Entry
	at        int64
	kind      string
	outcome   Outcome
	actor     string
	target    string
	leaf      tlog.Hash
	facts     []byte
	factsKey  []byte
	person    []byte
	personKey []byte
}

// drafts seals the entry of origin and a citation for each further log.
func (p *Pen) drafts(e Entry) ([]*draft, error) {
	if e.Outcome == "" {
		e.Outcome = Success
	}
	if e.ID.IsZero() {
		e.ID = p.newID()
	}
	e.Target.ID, e.Code = string(redact([]byte(e.Target.ID))), string(redact([]byte(e.Code)))
	f := facts{
		Version: 1, Actor: p.actor(), Target: e.Target, Outcome: e.Outcome, Code: e.Code,
		Destination: p.log.host, Request: p.who.Request, Node: p.log.Node, Software: p.log.Version,
		Facts: e.Facts,
	}
	if f.Person = e.Person; f.Person.IsZero() {
		f.Person = p.who.User
	}
	var src string
	if p.who.Source.IsValid() {
		src = p.who.Source.String()
	}
	var private *person
	if f.Person.IsZero() {
		f.Source, f.Device = src, p.who.Device
		if len(e.Private) > 0 {
			return nil, ErrPerson
		}
	} else {
		f.Global = p.global && !p.ref.org.IsZero()
		private = &person{Source: src, Device: p.who.Device, Facts: e.Private}
	}
	for _, c := range e.Changes {
		switch {
		case !c.Person:
			f.Changes = append(f.Changes, c)
		case private == nil:
			return nil, ErrPerson
		default:
			private.Changes = append(private.Changes, c)
		}
	}
	origin, err := p.seal(p.ref, e.ID, e.Kind, f, private)
	if err != nil {
		return nil, err
	}
	out := []*draft{origin}
	f.Cites, f.Person, f.Global = e.ID, id.User{}, false
	for _, org := range e.Cite {
		if org == p.ref.org {
			continue
		}
		if !slices.Contains(p.also, org) {
			return nil, fmt.Errorf("%w: %s", keyring.ErrNotReady, org)
		}
		d, err := p.seal(refOf(org), p.newID(), e.Kind, f, nil)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

func (p *Pen) actor() Actor {
	a := Actor{Kind: p.who.Kind.String(), ID: p.who.ID()}
	if p.who.Kind == caller.User {
		a.Client = p.who.Client.String()
	}
	return a
}

// newID makes the identifier of an entry. Within one millisecond they rise, so
// that lists, and the sequencer, keep the order in which entries were made.
func (p *Pen) newID() id.Entry {
	b := id.NewEntry(p.at).Bytes()
	l := p.log
	l.idMu.Lock()
	defer l.idMu.Unlock()
	if bytes.Equal(b[:6], l.lastID[:6]) && bytes.Compare(b[:], l.lastID[:]) <= 0 {
		b = l.lastID
		binary.BigEndian.PutUint64(b[8:], binary.BigEndian.Uint64(b[8:])+1)
	}
	l.lastID = b
	return entryID(b)
}

// entryID gives the identifier whose bits are b.
func entryID(b [16]byte) (e id.Entry) { return fromBytes(e, b) }

// fromBytes gives an identifier of the kind of the first argument.
func fromBytes[K id.Kind](_ id.ID[K], b [16]byte) id.ID[K] { return id.FromBytes[K](b) }

// seal makes the draft of one entry: each part sealed once under a key of its
// own, that key wrapped under the owner's.
func (p *Pen) seal(r ref, eid id.Entry, kind string, f facts, private *person) (*draft, error) {
	d := &draft{
		ref: r, id: eid, at: store.Micros(p.at), kind: kind, outcome: f.Outcome,
		actor:  p.log.hash(p.Ring, r, labelActor, f.Actor.text()),
		target: p.log.hash(p.Ring, r, labelTarget, f.Target.text()),
	}
	if !p.who.Session.IsZero() {
		f.Session = p.log.hash(p.Ring, r, labelSession, p.who.Session.String())
	}
	h := tlog.Header{Origin: p.log.origin(r), Entry: eid.Bytes(), Time: d.at, Kind: kind, Labels: labelsFacts}
	if private != nil {
		h.Labels = labelsBoth
	}
	if h.Validate() != nil || len(kind) == 0 {
		return nil, ErrEntry
	}
	row := eid.String()
	var parts [2]tlog.Part
	var err error
	if parts[0], d.facts, d.factsKey, err = p.sealPart(&h, row, partFacts, labelFactsKey, r.owner(), f); err != nil {
		return nil, err
	}
	n := 1
	if private != nil {
		n = 2
		owner := personOwner(r, f.Person, f.Global)
		if parts[1], d.person, d.personKey, err = p.sealPart(&h, row, partPerson, labelPersonKey, owner, private); err != nil {
			return nil, err
		}
	}
	var buf [768]byte
	data, err := tlog.AppendLeafData(buf[:0], &h, parts[:n])
	if err != nil {
		return nil, err
	}
	d.leaf = tlog.LeafHash(data)
	return d, nil
}

var (
	labelsFacts = []string{partFacts}
	labelsBoth  = []string{partFacts, partPerson}
)

// personOwner is whose key wraps the key of a person part.
func personOwner(r ref, u id.User, global bool) keyring.Owner {
	if r.org.IsZero() || global {
		return keyring.Person(u)
	}
	return keyring.Member(r.org, u)
}

// sealPart gives the record for the leaf, and the two columns: the record and
// the ciphertext in one, and the wrapped key.
func (p *Pen) sealPart(h *tlog.Header, row, part, label string, owner keyring.Owner, v any) (tlog.Part, []byte, []byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return tlog.Part{}, nil, nil, err
	}
	rec, ciphertext, key, err := tlog.SealPart(h.Origin, h.Entry, part, redact(plain))
	if err != nil {
		return rec, nil, nil, err
	}
	wrapped, err := p.Ring.Seal(owner, label, row, key.Bytes())
	if err != nil {
		return rec, nil, nil, err
	}
	return rec, joinPart(&rec, ciphertext), wrapped, nil
}

// A stored part is the key id (16), the commitment (32) and the ciphertext.
const partHead = 16 + tlog.HashSize

func joinPart(p *tlog.Part, ciphertext []byte) []byte {
	out := make([]byte, 0, partHead+len(ciphertext))
	out = append(out, p.KeyID[:]...)
	out = append(out, p.KeyCommitment[:]...)
	return append(out, ciphertext...)
}

// secretRE is the form of every secret that we make (keys, tokens, client
// secrets): should a caller hand one in by mistake, it does not reach the log.
var secretRE = regexp.MustCompile(`rmp_[a-z]+_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}`)

func redact(b []byte) []byte {
	if !bytes.Contains(b, []byte("rmp_")) {
		return b
	}
	return secretRE.ReplaceAll(b, []byte("[redacted]"))
}

// hash is the keyed hash that a search looks for, of 96 bits; "" of nothing.
func (l *Log) hash(ring *keyring.Ring, r ref, label, value string) string {
	if value == "" {
		return ""
	}
	sum := ring.Hash(r.owner(), label, value)
	if len(sum) < 12 {
		return "" // the organization's key was destroyed: nothing is found
	}
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// ref names a log: an organization's, the installation's or the platform's.
type ref struct {
	key string // as the column org_id has it
	org id.Org // zero for the two others
}

var (
	installation = ref{key: "installation"}
	platform     = ref{key: "platform"}
)

func refOf(org id.Org) ref {
	if org.IsZero() {
		return installation
	}
	return ref{key: org.String(), org: org}
}

// parseRef reads a stored key.
func parseRef(key string) (ref, error) {
	switch key {
	case installation.key, platform.key:
		return ref{key: key}, nil
	}
	org, err := id.ParseOrg(key)
	return ref{key: key, org: org}, err
}

func (r ref) owner() keyring.Owner {
	if r.org.IsZero() {
		return keyring.Installation()
	}
	return keyring.Organization(r.org)
}

// scope is that in which the log's rows are read.
func (r ref) scope(why string) store.Scope {
	if r.org.IsZero() {
		return store.System(why)
	}
	return store.Org(r.org)
}
