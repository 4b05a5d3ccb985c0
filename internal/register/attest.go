package register

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	netmail "net/mail"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/register/catalogue"
	"github.com/rempart/rempart/internal/store"
)

// Field labels of the sealed columns, fixed for ever.
const (
	labelRecord = "register.attestation.record"
	labelChunk  = "register.chunk.data"
)

const (
	MaxFile    = 10 << 20 // bytes of an evidence file
	chunkSize  = 1 << 20  // bytes sealed together
	maxTerm    = 3 * 366 * 24 * time.Hour
	maxName    = 120 // characters of a person's name or role
	maxText    = 600 // characters of a sentence
	unreminded = 1 << 20
)

// Visibility says who may have the evidence file.
type Visibility string

// The visibilities.
const (
	VisibilityPublic    Visibility = "public"     // anybody
	VisibilityOnRequest Visibility = "on_request" // whoever asks and is given it
	VisibilityInternal  Visibility = "internal"   // staff; visitors see its hash
)

// States of an attestation. Time decides between the others: from ValidUntil
// on it has lapsed, whatever the row says.
const (
	StateGiven     = "given"
	StateWithdrawn = "withdrawn"
)

// Named is a person who stands for an attestation.
type Named struct {
	Name  string `json:"name" maxLength:"120"`
	Role  string `json:"role,omitempty" maxLength:"120" doc:"What the person is in the company."`
	Email string `json:"email" maxLength:"254" doc:"Where reminders go; not shown to visitors."`
}

// File is an evidence file. Its content is sealed apart.
type File struct {
	Name   string `json:"name"`
	Media  string `json:"media_type"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Attestation is what a named person states about a statement, for a time.
type Attestation struct {
	ID         id.Attestation    `json:"id"`
	Statement  string            `json:"statement"`
	Owner      Named             `json:"owner"`
	Reviewer   Named             `json:"reviewer"`
	Text       map[string]string `json:"text,omitempty" doc:"What is stated in other words than the register's, by language."`
	File       *File             `json:"file,omitempty"`
	Visibility Visibility        `json:"visibility"`
	ValidFrom  time.Time         `json:"valid_from"`
	ValidUntil time.Time         `json:"valid_until"`
	State      string            `json:"state"`
	CreatedAt  time.Time         `json:"created_at"`
	EndedAt    *time.Time        `json:"ended_at,omitempty"`

	lang     string // of the reminders
	reminded int64  // days before the end at which the last reminder was sent
}

// Location is where the attestation is found.
func (a *Attestation) Location() string {
	return "/api/v1/installation/attestations/" + a.ID.String()
}

// Draft is an attestation to be given.
type Draft struct {
	Statement       string
	Owner, Reviewer Named
	Text            map[string]string
	Visibility      Visibility
	From, Until     time.Time
	FileName, Media string
	Content         []byte
}

// record is what is sealed of an attestation.
type record struct {
	Owner    Named             `json:"owner"`
	Reviewer Named             `json:"reviewer"`
	Text     map[string]string `json:"text,omitempty"`
	Name     string            `json:"name,omitempty"`
	Media    string            `json:"media,omitempty"`
	Lang     string            `json:"lang"` // of who put it on record, for reminders
}

func openAttestation(ring *keyring.Ring, row attestationRow) (Attestation, error) {
	plain, err := ring.Open(keyring.Installation(), labelRecord, row.id.String(), row.record)
	if err != nil {
		return Attestation{}, fmt.Errorf("register: attestation %s: %w", row.id, err)
	}
	var rec record
	if err := json.Unmarshal(plain, &rec); err != nil {
		return Attestation{}, fmt.Errorf("register: attestation %s: %w", row.id, err)
	}
	a := Attestation{ID: row.id, Statement: row.statement, Owner: rec.Owner, Reviewer: rec.Reviewer, Text: rec.Text, Visibility: Visibility(row.visibility),
		ValidFrom: store.Time(row.from), ValidUntil: store.Time(row.until), State: row.state, CreatedAt: store.Time(row.created), lang: language(rec.Lang), reminded: row.reminded}
	if row.size > 0 {
		a.File = &File{Name: rec.Name, Media: rec.Media, Size: row.size, SHA256: row.sha256}
	}
	if row.ended != 0 {
		at := store.Time(row.ended)
		a.EndedAt = &at
	}
	return a, nil
}

// language is the one asked for, or the fallback.
func language(lang string) string {
	if slices.Contains(i18n.Languages, lang) {
		return lang
	}
	return i18n.Languages[0]
}

// check finds every fault of a draft and puts it into its stored form.
func (s *Service) check(d *Draft) error {
	fe := fault.New(fault.Invalid, "register.error.attestation", nil)
	st, ok := s.catalogue.Find(d.Statement)
	if !ok {
		fe = fe.At("/statement", "register.error.statement")
	}
	named := func(at string, n *Named) {
		n.Name, n.Role, n.Email = strings.TrimSpace(n.Name), strings.TrimSpace(n.Role), strings.TrimSpace(n.Email)
		if !plainText(n.Name, maxName) || n.Name == "" {
			fe = fe.At(at+"/name", "register.error.name")
		}
		if !plainText(n.Role, maxName) {
			fe = fe.At(at+"/role", "register.error.name")
		}
		if a, err := netmail.ParseAddress(n.Email); err != nil || a.Address != n.Email || a.Name != "" || len(n.Email) > 254 {
			fe = fe.At(at+"/email", "register.error.email")
		}
	}
	named("/owner", &d.Owner)
	named("/reviewer", &d.Reviewer)
	if strings.EqualFold(d.Owner.Email, d.Reviewer.Email) || strings.EqualFold(d.Owner.Name, d.Reviewer.Name) {
		fe = fe.At("/reviewer/name", "register.error.same-person")
	}
	now := s.Now()
	if d.From.IsZero() {
		d.From = now
	}
	if !d.Until.After(d.From) || !d.Until.After(now) || d.Until.Sub(d.From) > maxTerm {
		fe = fe.At("/valid_until", "register.error.term")
	}
	if !slices.Contains([]Visibility{VisibilityPublic, VisibilityOnRequest, VisibilityInternal}, d.Visibility) {
		fe = fe.At("/visibility", "register.error.visibility")
	}
	if len(d.Content) > MaxFile {
		fe = fe.At("/evidence", "register.error.file")
	}
	if len(d.Content) > 0 {
		d.FileName = path.Base(strings.ReplaceAll(d.FileName, `\`, "/"))
		if !plainText(d.FileName, maxName) || d.FileName == "." || d.FileName == "/" {
			fe = fe.At("/evidence/name", "register.error.name")
		}
		if m, _, err := mime.ParseMediaType(d.Media); err == nil && len(m) <= 100 {
			d.Media = m
		} else {
			d.Media = "application/octet-stream"
		}
	}
	for lang, text := range d.Text {
		if text = strings.TrimSpace(text); text == "" {
			delete(d.Text, lang)
			continue
		}
		d.Text[lang] = text
		words := catalogue.Context{Class: catalogue.Attested, Expected: st.Expected != "", File: len(d.Content) > 0}
		switch {
		case !slices.Contains(i18n.Languages, lang) || !plainText(text, maxText):
			fe = fe.At("/text/"+lang, "register.error.name")
		case catalogue.Refused(catalogue.Lint(lang, text, words)):
			fe = fe.At("/text/"+lang, "register.error.lint")
		}
	}
	if n := len(d.Text); n != 0 && n != len(i18n.Languages) {
		fe = fe.At("/text", "register.error.languages")
	}
	if len(fe.Fields) > 0 {
		return fe
	}
	return nil
}

func plainText(s string, limit int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= limit && !strings.ContainsFunc(s, unicode.IsControl)
}

// Attest puts on record what a named person states. The error is a fault that
// names each field that is wrong.
func (s *Service) Attest(ctx context.Context, who caller.Caller, d Draft) (Attestation, error) {
	if err := s.check(&d); err != nil {
		return Attestation{}, err
	}
	pen, err := s.Audit.Pen(ctx, who, id.Org{})
	if err != nil {
		return Attestation{}, err
	}
	now := s.Now()
	a := id.NewAttestation(now)
	plain, err := json.Marshal(record{Owner: d.Owner, Reviewer: d.Reviewer, Text: d.Text, Name: d.FileName, Media: d.Media, Lang: who.Lang})
	if err != nil {
		return Attestation{}, fmt.Errorf("register: attestation: %w", err)
	}
	sealed, err := pen.Seal(keyring.Installation(), labelRecord, a.String(), plain)
	if err != nil {
		return Attestation{}, fmt.Errorf("register: seal attestation: %w", err)
	}
	var chunks [][]byte
	sum := ""
	if len(d.Content) > 0 {
		h := sha256.Sum256(d.Content)
		sum = hex.EncodeToString(h[:])
		for part := range slices.Chunk(d.Content, chunkSize) {
			c, err := pen.Seal(keyring.Installation(), labelChunk, chunkRow(a, len(chunks)), part)
			if err != nil {
				return Attestation{}, fmt.Errorf("register: seal evidence: %w", err)
			}
			chunks = append(chunks, c)
		}
	}
	var row attestationRow
	err = s.Store.Update(ctx, store.Staff("register.attest"), func(tx *store.Tx) error {
		if _, err := tx.Exec(insertAttestation, a, d.Statement, sealed, string(d.Visibility), sum, int64(len(d.Content)),
			store.Micros(d.From), store.Micros(d.Until), int64(unreminded), store.Micros(now)); err != nil {
			return err
		}
		for i, c := range chunks {
			if _, err := tx.Exec(insertChunk, a, int64(i), c); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(insertChange, id.NewResult(now), store.Micros(now), d.Statement, "attested", "", d.Until.UTC().Format(time.DateOnly)); err != nil {
			return err
		}
		if row, err = scanAttestation(tx.Row(selectAttestation, a).Scan); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: EventAttested, Target: audit.Target{Kind: "attestation", ID: a.String()}, Facts: map[string]any{
			"statement": d.Statement, "valid_from": d.From.UTC().Format(time.RFC3339), "valid_until": d.Until.UTC().Format(time.RFC3339),
			"file_sha256": sum, "file_size": len(d.Content), "visibility": d.Visibility}})
	})
	s.Reread()
	if err != nil {
		return Attestation{}, fmt.Errorf("register: attest: %w", err)
	}
	return openAttestation(pen.Ring, row)
}

// chunkRow names a chunk in its seal.
func chunkRow(a id.Attestation, place int) string { return fmt.Sprintf("%s/%d", a, place) }

// Withdraw takes an attestation back. The errors are NotFound, and ErrEnded
// when it was withdrawn before.
func (s *Service) Withdraw(ctx context.Context, who caller.Caller, a id.Attestation, why string) error {
	pen, err := s.Audit.Pen(ctx, who, id.Org{})
	if err != nil {
		return err
	}
	now := s.Now()
	err = s.Store.Update(ctx, store.Staff("register.withdraw"), func(tx *store.Tx) error {
		row, err := scanAttestation(tx.Row(selectAttestation, a).Scan)
		if errors.Is(err, store.ErrNone) {
			return fault.ErrNotFound
		}
		if err != nil {
			return err
		}
		n, err := tx.Exec(withdrawAttestation, a, store.Micros(now))
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrEnded
		}
		if _, err := tx.Exec(insertChange, id.NewResult(now), store.Micros(now), row.statement, "withdrawn", "", ""); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: EventWithdrawn, Target: audit.Target{Kind: "attestation", ID: a.String()},
			Changes: []audit.Change{{Field: "state", Before: StateGiven, After: StateWithdrawn}}, Facts: reason(why)})
	})
	s.Reread()
	if err != nil {
		return fmt.Errorf("register: withdraw: %w", err)
	}
	return nil
}

// Attestations are all records, newest first.
func (s *Service) Attestations(ctx context.Context) ([]Attestation, error) {
	d, err := s.decided(ctx)
	if err != nil {
		return nil, err
	}
	return d.attestations, nil
}

// Attestation gives the record with the id, and NotFound when there is none.
func (s *Service) Attestation(ctx context.Context, a id.Attestation) (Attestation, error) {
	all, err := s.Attestations(ctx)
	if err != nil {
		return Attestation{}, err
	}
	i := slices.IndexFunc(all, func(x Attestation) bool { return x.ID == a })
	if i < 0 {
		return Attestation{}, fault.ErrNotFound
	}
	return all[i], nil
}

// Evidence opens the file of an attestation, and answers it only when it is
// the one that was attested. Who reads for staff is on record.
func (s *Service) Evidence(ctx context.Context, who caller.Caller, a Attestation) ([]byte, error) {
	if a.File == nil {
		return nil, fault.ErrNotFound
	}
	if a.Visibility != VisibilityPublic {
		if err := s.Audit.Observe(ctx, who, id.Org{}, audit.Entry{Kind: EventRead, Target: audit.Target{Kind: "attestation", ID: a.ID.String()}}); err != nil {
			return nil, err
		}
	}
	ring, err := s.Audit.Ready(ctx, keyring.Installation())
	if err != nil {
		return nil, fmt.Errorf("register: load keys: %w", err)
	}
	type chunk struct {
		place int64
		data  []byte
	}
	var chunks []chunk
	err = s.Store.View(ctx, store.System("register.evidence"), func(tx *store.Tx) (err error) {
		chunks, err = store.All(tx, func(r *store.Rows) (chunk, error) {
			var c chunk
			return c, r.Scan(&c.place, &c.data)
		}, selectChunks, a.ID)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("register: read evidence: %w", err)
	}
	var out []byte
	for i, c := range chunks {
		part, err := ring.Open(keyring.Installation(), labelChunk, chunkRow(a.ID, i), c.data)
		if err != nil {
			return nil, fmt.Errorf("register: evidence of %s: %w", a.ID, err)
		}
		out = append(out, part...)
	}
	if sum := sha256.Sum256(out); hex.EncodeToString(sum[:]) != a.File.SHA256 {
		return nil, fmt.Errorf("register: evidence of %s is not the file that was attested", a.ID)
	}
	return out, nil
}
