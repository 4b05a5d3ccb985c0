package mail_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	netmail "net/mail"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/clock"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/mail"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/store/storetest"
)

const texts = `{"cap.mail.reset.subject":"Reset of {{.Org}}","cap.mail.reset.text":"Somebody asked for it.\n\nIf it was not you, do nothing.",
	"cap.mail.reset.action":"Choose a password","cap.mail.reset.note":"You have an account.","cap.fact.device":"Device"}`

// fake seals by wrapping: what it shows is who sealed what under which name.
func seal(keys any, owner, label, row string, plain []byte) ([]byte, error) {
	if keys != "ring" {
		return nil, errors.New("the keys did not come through")
	}
	out := []byte(owner + "|" + label + "|" + row + "|")
	for _, b := range plain {
		out = append(out, b^0x5a)
	}
	return out, nil
}

func open(_ context.Context, owner, label, row string, sealed []byte) ([]byte, error) {
	if owner == "gone" {
		return nil, mail.ErrGone
	}
	rest, ok := bytes.CutPrefix(sealed, []byte(owner+"|"+label+"|"+row+"|"))
	if !ok {
		return nil, errors.New("sealed for another row")
	}
	out := make([]byte, len(rest))
	for i, b := range rest {
		out[i] = b ^ 0x5a
	}
	return out, nil
}

type postman struct {
	mu   sync.Mutex
	errs []error // one for each attempt; nil beyond
	sent []mail.Letter
}

func (p *postman) Send(_ context.Context, l *mail.Letter) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, *l)
	if len(p.errs) > 0 {
		err := p.errs[0]
		p.errs = p.errs[1:]
		return err
	}
	return nil
}

type fixture struct {
	*mail.Outbox
	clock *clock.Fixed
	post  *postman
	given []string
}

func outbox(t *testing.T, s *store.Store) *fixture {
	t.Helper()
	m := []byte(texts)
	b, err := i18n.Load(i18n.Source{Name: "mail", FS: mail.Messages()},
		i18n.Source{Name: "cap", FS: fstest.MapFS{"en.json": {Data: m}, "fr.json": {Data: m}, "nl.json": {Data: m}}})
	if err != nil {
		t.Fatal(err)
	}
	b.Missing = func(lang, key string) { t.Errorf("no text for %s in %s", key, lang) }
	base, _ := url.Parse("https://id.example")
	f := &fixture{clock: clock.NewFixed(time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC)), post: &postman{}}
	f.Outbox = &mail.Outbox{Bundle: b, Now: f.clock.Now, Log: slog.New(slog.DiscardHandler), Transport: f.post,
		From: netmail.Address{Name: "Rempart", Address: "no-reply@id.example"}, BaseURL: base, Seal: seal, Open: open,
		GivenUp: func(_ context.Context, purpose string, attempts int, err error) {
			f.given = append(f.given, fmt.Sprint(purpose, " after ", attempts))
		}}
	if s != nil {
		f.Store = s.Main
	}
	return f
}

func manifests() []capability.Manifest { return []capability.Manifest{(&mail.Outbox{}).Manifest()} }

func reset(owner string) mail.Message {
	return mail.Message{To: "ines@acme.example", Name: "Inès", Lang: "fr", Template: "cap.mail.reset", Args: map[string]any{"Org": "Acme"},
		Link: "https://id.example/reset?t=SECRET", Facts: []mail.Fact{{Label: "cap.fact.device", Value: "Firefox\r\nBcc: x@evil.example"}}, Purpose: "reset", Owner: owner}
}

func (f *fixture) queue(t *testing.T, m mail.Message) {
	t.Helper()
	err := f.Store.Maintain(context.Background(), store.System("test"), func(tx *store.Tx) error { return f.QueueTx(tx, "ring", m) })
	if err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) send(t *testing.T) {
	t.Helper()
	if err := f.Send(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) stats(t *testing.T) mail.Stats {
	t.Helper()
	s, err := f.Stats(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAMessageIsQueuedInAnyScopeAndSentOnce(t *testing.T) {
	storetest.Each(t, manifests(), func(t *testing.T, s *store.Store) {
		f := outbox(t, s)
		now := f.clock.Now()
		for _, scope := range []store.Scope{store.Org(id.NewOrg(now)), store.User(id.NewUser(now)), store.Lookup(), store.Staff("x"), store.System("y")} {
			err := s.Main.Maintain(context.Background(), scope, func(tx *store.Tx) error { return f.QueueTx(tx, "ring", reset("usr_x")) })
			if err != nil {
				t.Fatalf("queue in %v: %v", scope, err)
			}
		}
		if got := f.stats(t); got.Queued != 5 || !got.Oldest.Equal(now) {
			t.Errorf("stats %+v", got)
		}
		f.send(t)
		f.send(t)
		if len(f.post.sent) != 5 || f.stats(t) != (mail.Stats{}) {
			t.Errorf("%d sent, stats %+v", len(f.post.sent), f.stats(t))
		}
		l := f.post.sent[0]
		if l.To != "ines@acme.example" || l.Subject != "Reset of Acme" || l.Hello != "Bonjour Inès," || len(l.Paragraphs) != 2 || l.Link == "" || !strings.HasPrefix(l.ID, "msg_") {
			t.Errorf("letter %+v", l)
		}
		f.clock.Advance(31 * 24 * time.Hour)
		if err := f.Sweep(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestARolledBackChangeSendsNothing(t *testing.T) {
	s := storetest.Open(t, manifests())
	f := outbox(t, s)
	stop := errors.New("stop")
	err := s.Main.Maintain(context.Background(), store.System("test"), func(tx *store.Tx) error {
		if err := f.QueueTx(tx, "ring", reset("usr_x")); err != nil {
			return err
		}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	f.send(t)
	if len(f.post.sent) != 0 {
		t.Error("a message of a change that never was has been sent")
	}
}

func TestFailuresAreTriedAgainAndRefusalsAreNot(t *testing.T) {
	later, never := errors.New("connection refused"), &mail.Refused{Permanent: true, Code: "550"}
	for _, c := range []struct {
		name     string
		owner    string
		errs     []error
		waits    []time.Duration // between the turns
		attempts int
		want     mail.Stats
		given    []string
	}{
		{"accepted at once", "u", nil, nil, 1, mail.Stats{}, nil},
		{"a turn too early does nothing", "u", []error{later}, []time.Duration{29 * time.Second}, 1, mail.Stats{Queued: 1}, nil},
		{"accepted at the second attempt", "u", []error{later}, []time.Duration{30 * time.Second}, 2, mail.Stats{}, nil},
		{"the waits grow", "u", []error{later, later, later}, []time.Duration{30 * time.Second, 119 * time.Second, time.Second}, 3, mail.Stats{Queued: 1}, nil},
		{"refused for good", "u", []error{never}, []time.Duration{time.Hour}, 1, mail.Stats{Failed: 1}, []string{"reset after 1"}},
		{"refused for now", "u", []error{&mail.Refused{Code: "451"}}, []time.Duration{time.Hour}, 2, mail.Stats{}, nil},
		{"expired", "u", []error{later}, []time.Duration{49 * time.Hour}, 1, mail.Stats{Failed: 1}, []string{"reset after 2"}},
		{"the owner was erased", "gone", nil, nil, 0, mail.Stats{Failed: 1}, []string{"reset after 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := outbox(t, storetest.Open(t, manifests()))
			f.post.errs = c.errs
			f.queue(t, reset(c.owner))
			f.send(t)
			for _, w := range c.waits {
				f.clock.Advance(w)
				f.send(t)
			}
			got := f.stats(t)
			got.Oldest = time.Time{}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("stats (-want +got):\n%s", d)
			}
			if len(f.post.sent) != c.attempts {
				t.Errorf("%d attempts, want %d", len(f.post.sent), c.attempts)
			}
			if d := cmp.Diff(c.given, f.given); d != "" {
				t.Errorf("given up (-want +got):\n%s", d)
			}
		})
	}
}

func TestWhatCannotBeSentIsNotQueued(t *testing.T) {
	s := storetest.Open(t, manifests())
	f := outbox(t, s)
	try := func(m mail.Message) error {
		return s.Main.Maintain(context.Background(), store.System("test"), func(tx *store.Tx) error { return f.QueueTx(tx, "ring", m) })
	}
	for name, change := range map[string]func(*mail.Message){
		"no address":              func(m *mail.Message) { m.To = "" },
		"two addresses":           func(m *mail.Message) { m.To = "a@x.example, b@x.example" },
		"a header in the address": func(m *mail.Message) { m.To = "a@x.example\r\nBcc: b@x.example" },
		"a link that is a path":   func(m *mail.Message) { m.Link = "/reset" },
		"a link that is code":     func(m *mail.Message) { m.Link = "javascript:alert(1)" },
	} {
		m := reset("u")
		change(&m)
		if try(m) == nil {
			t.Errorf("%s was queued", name)
		}
	}
	f.Fill(mail.QueueLimit)
	if err := try(reset("u")); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a full outbox: %v", err)
	}
}

func TestTextAndHTMLSayTheSame(t *testing.T) {
	k := &mail.Keeper{Dir: t.TempDir()}
	f := outbox(t, storetest.Open(t, manifests()))
	f.Transport = k
	m := reset("u")
	m.Name, m.Code = `<b>Eve</b>`, "123456"
	f.queue(t, m)
	f.send(t)
	for i, keeper := range []*mail.Keeper{k, {Dir: k.Dir}} { // the second one after a restart
		list, err := keeper.List()
		if err != nil || len(list) != 1 {
			t.Fatalf("keeper %d: %d letters: %v", i, len(list), err)
		}
		got := list[0]
		for _, want := range []string{"Somebody asked for it.", "If it was not you", "Choose a password", "https://id.example/reset?t=SECRET", "123456", "You have an account.", "Device", "Firefox Bcc: x@evil.example", "id.example"} {
			if !strings.Contains(got.Text, want) || !strings.Contains(got.HTML, want) {
				t.Errorf("%q is not in both forms", want)
			}
		}
		if strings.Contains(got.HTML, "<b>Eve") || !strings.Contains(got.Text, "Bonjour <b>Eve</b>,") {
			t.Error("the name is not escaped in the HTML alone")
		}
		if d := cmp.Diff([]string{"https://id.example/reset?t=SECRET"}, got.Links); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]string{"123456"}, got.Codes); d != "" {
			t.Error(d)
		}
		if got.To[0] != "ines@acme.example" || got.Subject != "Reset of Acme" || got.SentAt.IsZero() {
			t.Errorf("letter %+v", got)
		}
	}
}

func TestLongLinesAreWrappedAndLinksAreNot(t *testing.T) {
	link := "https://id.example/" + strings.Repeat("x", 100)
	got := mail.Wrap("a b\n\n\n\n" + strings.Repeat("word ", 30) + "\n" + link)
	for line := range strings.SplitSeq(got, "\n") {
		if len(line) > 72 && line != link {
			t.Errorf("line of %d characters: %s", len(line), line)
		}
	}
	if !strings.Contains(got, "\n"+link+"\n") || strings.Contains(got, "\n\n\n") {
		t.Errorf("text %q", got)
	}
}
