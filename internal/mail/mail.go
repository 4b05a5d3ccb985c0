// Package mail is the outbox: messages to people, written in the transaction
// of the change that they tell of, and sent afterwards, with patience.
//
// A service that holds a keyring's ring queues within its own transaction:
//
//	s.Mail.QueueTx(tx, ring, mail.Message{
//		To: address, Lang: lang, Template: "credential.mail.reset", Link: url,
//		Purpose: "reset", Owner: keyring.Person(user).String(), Expires: until})
//
// A template is a prefix of message keys, so that every mail exists in every
// language: ".subject", ".text" (paragraphs parted by an empty line), ".note"
// (why the reader gets it), and ".action" (the label of the button) where the
// message has a Link. All mails have one look, as text and as HTML with the
// same content.
//
// It owns mail_messages. A message is sealed for its owner (Seal, which app
// fills) and its content is wiped once it is sent or given up. A mail is sent
// at least once: after a crash at the wrong moment, twice. The package does
// not decide whether somebody may be written to.
package mail

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	netmail "net/mail"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

//go:embed messages/*.json migrations/*.sql parts/*
var files embed.FS

// label is the field label of a message in its seal; fixed for ever.
const label = "mail.message.body"

const (
	batch      = 50                  // messages taken at a turn
	workers    = 4                   // messages sent at a time
	sendTime   = 45 * time.Second    // for one message
	keepTerm   = 30 * 24 * time.Hour // for which the empty row of a message stays
	giveUpTerm = 48 * time.Hour      // after which a message that names no term is given up
	queueLimit = 20_000              // messages that may wait
)

// Waits between attempts; the last one repeats.
var waits = []time.Duration{30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour}

// ErrGone is what Open returns when the owner's key was destroyed: the message
// dies with it.
var ErrGone = errors.New("mail: the key of the owner was destroyed")

// errFull is the refusal to queue more than can be sent.
var errFull = fault.New(fault.Unavailable, "mail.error.full", nil)

// Message is what a capability wants told.
type Message struct {
	To       string // address
	Name     string // of the reader; may be empty
	Lang     string
	Template string         // prefix of message keys
	Args     map[string]any // their named values
	Link     string         // absolute URL that the action leads to; "" without action
	Code     string         // to be typed; "" without
	Facts    []Fact         // what happened, as a list: device, address, time
	Purpose  string         // one word for counting: "reset"
	Owner    string         // whose key seals it: the text form of a keyring owner
	Expires  time.Time      // not sent after this; zero is 48 hours
}

// Fact is one line of a list; Label is a message key.
type Fact struct {
	Label string
	Value any
}

// Outbox queues and sends. app fills its fields once.
type Outbox struct {
	Store     *store.DB
	Bundle    *i18n.Bundle
	Now       clock.Now
	Log       *slog.Logger
	Transport Transport
	From      netmail.Address
	Product   string   // "" is Rempart
	BaseURL   *url.URL // of the installation, for the footer and message ids

	// Seal seals a message for the owner with keys that the caller has loaded
	// (a *keyring.Ring). Open undoes it, loading what it needs.
	Seal func(keys any, owner, label, row string, plain []byte) ([]byte, error)
	Open func(ctx context.Context, owner, label, row string, sealed []byte) ([]byte, error)

	// GivenUp is told of each message that will not be sent. May be nil.
	GivenUp func(ctx context.Context, purpose string, attempts int, err error)

	waiting atomic.Int64 // messages queued, as last counted plus those queued since
}

// Manifest is the capability's.
func (o *Outbox) Manifest() capability.Manifest {
	migrations, err := fs.Sub(files, "migrations")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return capability.Manifest{
		Name: "mail", Migrations: migrations, Messages: Messages(), Statements: q.All(),
		Jobs: []capability.Job{
			{Name: "mail.send", Every: time.Second, Run: o.Send},
			{Name: "mail.sweep", Every: time.Hour, Run: o.Sweep},
		},
		Tables: []capability.Table{{
			Name: "mail_messages", Database: "main", Reach: capability.ScopeSystem, Append: true,
			Unaudited: "a message belongs to the change that queued it, which has its entry; sending it changes nothing",
			Export:    "none: a copy of what the reader was sent", Erase: "key",
			Columns: []capability.Column{
				{Name: "id", Plain: "identifier"}, {Name: "owner", Plain: "identifier of the key's owner"},
				{Name: "purpose", Plain: "one of our own words"}, {Name: "state", Plain: "state"},
				{Name: "body", Sealed: label},
				{Name: "attempts", Plain: "counter"}, {Name: "next_at", Plain: "time"}, {Name: "expires_at", Plain: "time"},
				{Name: "created_at", Plain: "time"}, {Name: "ended_at", Plain: "time"},
				{Name: "failure", Plain: "status code of the mail server, without its text"},
			},
		}},
	}
}

// Messages are the texts of this package, for i18n.Load under the name "mail".
func Messages() fs.FS {
	sub, err := fs.Sub(files, "messages")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return sub
}

// QueueTx writes the message into the outbox within the caller's transaction:
// it leaves if, and only if, the change is committed. keys are those of
// Message.Owner, loaded before the transaction.
func (o *Outbox) QueueTx(tx *store.Tx, keys any, m Message) error {
	if o.waiting.Load() >= queueLimit {
		return errFull
	}
	letter, err := o.compose(m)
	if err != nil {
		return err
	}
	plain, err := json.Marshal(letter)
	if err != nil {
		return fmt.Errorf("mail: encode message: %w", err)
	}
	now := o.Now()
	row := id.NewMail(now)
	sealed, err := o.Seal(keys, m.Owner, label, row.String(), plain)
	if err != nil {
		return fmt.Errorf("mail: seal message: %w", err)
	}
	expires := m.Expires
	if expires.IsZero() {
		expires = now.Add(giveUpTerm)
	}
	if _, err := tx.Exec(insertMessage, row, m.Owner, m.Purpose, sealed, store.Micros(now), store.Micros(expires)); err != nil {
		return fmt.Errorf("mail: queue message: %w", err)
	}
	o.waiting.Add(1)
	return nil
}

// compose writes the letter in the reader's language. It touches nothing, so
// that a transaction may run it twice.
func (o *Outbox) compose(m Message) (Letter, error) {
	to, err := netmail.ParseAddress(m.To)
	if err != nil || strings.ContainsAny(to.Address, "\r\n") {
		return Letter{}, errors.New("mail: the address cannot be written to")
	}
	if m.Link != "" {
		if u, err := url.Parse(m.Link); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			return Letter{}, errors.New("mail: the link is not an absolute URL")
		}
	}
	t := func(part string) string { return o.Bundle.T(m.Lang, m.Template+part, m.Args) }
	product := o.Product
	if product == "" {
		product = "Rempart"
	}
	l := Letter{
		To: to.Address, Name: m.Name, Lang: m.Lang, Subject: oneLine(t(".subject")), Link: m.Link, Code: m.Code,
		Note: t(".note"), Product: product, Purpose: m.Purpose,
		Footer: o.Bundle.T(m.Lang, "mail.footer", "Host", o.BaseURL.Host),
		Lines:  mailLines{Code: o.Bundle.T(m.Lang, "mail.code"), Link: o.Bundle.T(m.Lang, "mail.link")},
	}
	l.Hello = o.Bundle.T(m.Lang, "mail.hello")
	if m.Name != "" {
		l.Hello = o.Bundle.T(m.Lang, "mail.hello-name", "Name", oneLine(m.Name))
	}
	for p := range strings.SplitSeq(t(".text"), "\n\n") {
		l.Paragraphs = append(l.Paragraphs, strings.TrimSpace(p))
	}
	if m.Link != "" {
		l.Action = t(".action")
	}
	for _, f := range m.Facts {
		l.Facts = append(l.Facts, [2]string{o.Bundle.T(m.Lang, f.Label), oneLine(o.Bundle.Format(m.Lang, f.Value))})
	}
	return l, nil
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// Stats tells how the outbox fares.
type Stats struct {
	Queued int64     // waiting
	Failed int64     // given up within the term that rows are kept
	Oldest time.Time // when the oldest waiting one was queued; zero if none waits
}

// Stats counts the outbox.
func (o *Outbox) Stats(ctx context.Context) (Stats, error) {
	var s Stats
	var oldest int64
	err := o.Store.View(ctx, store.System("mail.stats"), func(tx *store.Tx) error {
		return tx.Row(countMessages).Scan(&s.Queued, &s.Failed, &oldest)
	})
	if err != nil {
		return s, fmt.Errorf("mail: count outbox: %w", err)
	}
	s.Oldest = store.Time(oldest)
	o.waiting.Store(s.Queued)
	return s, nil
}
