package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	netmail "net/mail"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/apikey"
	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/audit/reading"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/credential"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/directory/desk"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/job"
	"github.com/rempart/rempart/internal/keyring"
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

// build makes every service, still without databases: their manifests are
// what the databases are made from.
func (a *App) build() {
	a.Console = &console.Console{Now: a.Now, Log: a.Log, BaseURL: a.BaseURL}
	a.Keys = &keyring.Service{Now: a.Now, Log: a.Log, Term: time.Duration(a.Config.Keys.Term), Second: keyring.Folder(a.Config.Keys.Copies)}
	for _, dir := range a.Config.Keys.Ledger {
		a.Keys.Ledgers = append(a.Keys.Ledgers, keyring.FolderLedger(dir))
	}
	a.Audit = &audit.Log{Now: a.Now, Process: a.Log, Ready: a.Keys.Ready, Host: a.BaseURL.Host, Node: a.node().String(), Version: a.Version}
	a.Cursors = &web.Cursors{}
	a.Reading = &reading.Service{Log: a.Audit, Console: a.Console, Cursors: a.Cursors}
	a.Replays = &replay.Replays{Now: a.Now, Log: a.Log}
	a.Access = &access.Service{Now: a.Now, Catalogue: &access.Catalogue{}, Audit: a.Audit, Console: a.Console}
	a.Policy = &policy.Service{Now: a.Now, Access: a.Access, Audit: a.Audit, Console: a.Console}
	a.Directory = &directory.Service{Keys: a.Keys, Now: a.Now, Access: a.Access, Audit: a.Audit}
	a.Desk = &desk.Service{Directory: a.Directory, Access: a.Access, Audit: a.Audit, Console: a.Console, Cursors: a.Cursors}
	a.Mail = &mail.Outbox{Now: a.Now, Log: a.Log, BaseURL: a.BaseURL, Transport: a.Transport}
	a.Credential = &credential.Service{Keys: a.Keys, Hasher: credential.NewHasher(0, fips()), Now: a.Now, Issuer: "Rempart"}
	a.Session = &session.Service{Now: a.Now, Log: a.Log, Audit: a.Audit, Keys: a.Keys, Console: a.Console}
	a.APIKeys = &apikey.Service{Audit: a.Audit, Now: a.Now}
	a.Trust = &trust.Service{Audit: a.Audit, Console: a.Console, Now: a.Now, Log: a.Log, Origin: a.BaseURL.Host, Version: a.Version, Probe: a.probe}
	a.Provider = &provider.Service{Keys: a.Keys, Audit: a.Audit, Console: a.Console, Cursors: a.Cursors, Log: a.Log, Now: a.Now,
		Issuer: a.BaseURL.String(), APIURL: a.BaseURL.String() + "/api/v1"}
	a.SignIn = &signin.Service{Keys: a.Keys, Audit: a.Audit, Now: a.Now, Log: a.Log, BaseURL: a.BaseURL, Console: a.Console,
		Directory: a.Directory, Policy: a.Policy, Credential: a.Credential, Session: a.Session, Mail: a.Mail}
	a.Metrics = web.NewMetrics()
	a.Register = &register.Service{Audit: a.Audit, Trust: a.Trust, Mail: a.Mail, Now: a.Now, Log: a.Log, BaseURL: a.BaseURL}
	a.Face = &face.Service{Service: a.Register, Console: a.Console, SecurityTxt: face.SecurityTxt{
		Contact: contacts(a.Config.Contact.Security), Policy: a.Config.Contact.Policy, Expires: a.Config.Contact.Expires}}
	a.Setup = &setup.Service{Audit: a.Audit, Keys: a.Keys, Directory: a.Directory, Credential: a.Credential, Provider: a.Provider,
		Console: a.Console, Now: a.Now, Client: a.loopback}
	a.Jobs = &job.Runner{Now: a.Now, Log: a.Log, Node: a.node()}
}

// manifests lists the capabilities. Removing one is removing its line here.
func (a *App) manifests() []capability.Manifest {
	return []capability.Manifest{
		a.own(), job.Manifest(), a.Keys.Manifest(), a.Reading.Manifest(), a.Console.Manifest(),
		a.Access.Manifest(), a.Desk.Manifest(), a.Policy.Manifest(), a.Mail.Manifest(),
		a.Credential.Manifest(), a.Session.Manifest(), a.SignIn.Manifest(), a.Provider.Manifest(), a.APIKeys.Manifest(), a.Trust.Manifest(), a.Face.Manifest(), a.Setup.Manifest(), a.Replays.Manifest(),
	}
}

// connect gives the services their databases and fills the function fields:
// what a lower package needs of a higher one.
func (a *App) connect() {
	main := a.Store.Main
	a.Keys.Store = a.Store
	a.Audit.Store, a.Access.Store, a.Policy.Store, a.Directory.Store = main, main, main, main
	a.Mail.Store, a.Credential.Store, a.Session.Store, a.APIKeys.Store = main, main, main, main
	a.Provider.Store, a.SignIn.Store = main, main
	a.Register.Store = main
	a.Trust.Store, a.Setup.Store, a.Jobs.Store, a.Replays.Store = main, main, main, main

	a.Mail.Bundle, a.Console.Bundle, a.Reading.Bundle = a.Bundle, a.Bundle, a.Bundle
	a.Keys.Intent, a.Keys.Outcome = a.keyIntent, a.keyOutcome
	a.Keys.LogHead, a.Keys.LogAt = a.Audit.Head, a.Audit.HeadAt
	if c := a.Config; c.Database.URL == "" {
		a.Keys.Files = func() []string { return dataFiles(c.Data) }
	}
	a.Access.Facts = a.facts()
	a.Provider.Facts = a.providerFacts()
	a.Session.OnEnd = a.Provider.EndSessionsTx
	a.Policy.Population = a.population
	a.Reading.Names = a.Directory.Names
	if a.Tail != nil {
		a.Reading.ProcessLog = a.Tail.Bytes
	}
	a.Directory.Mail = a.Mail
	a.Directory.OnDisable = a.onDisable
	a.Mail.Seal, a.Mail.Open = a.sealMail, a.openMail
	a.Session.IsMember = func(ctx context.Context, org id.Org, user id.User) (bool, error) {
		_, err := a.Directory.FindMembership(ctx, org, user)
		if fault.KindOf(err) == fault.NotFound {
			return false, nil
		}
		return err == nil, err
	}
	if c := a.Config.Mail; a.Mail.Transport == nil && c.Host != "" {
		smtp := &mail.SMTP{Host: c.Host, Port: c.Port, Username: c.Username}
		if c.Username != "" {
			smtp.Password = func() string { return c.Password }
		}
		a.Mail.Transport = smtp
	}
	if from, err := netmail.ParseAddress(a.Config.Mail.From); err == nil {
		a.Mail.From = *from
	}
}

// keyIntent puts the beginning of an act on keys on record.
func (a *App) keyIntent(ctx context.Context, who caller.Caller, act keyring.Act) error {
	pen, err := a.Audit.Pen(ctx, who, id.Org{})
	if err != nil {
		return err
	}
	return a.Store.Main.Update(ctx, store.System("keyring.intent"), func(tx *store.Tx) error {
		if err := keyring.IntentTx(tx, act); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: "keyring." + act.Kind + ".begun", Target: audit.Target{Kind: "key", ID: act.Owner.String()}, Facts: map[string]any{"act": act.Kind, "intent": act.ID.String()}})
	})
}

// keyOutcome puts the end of an act on keys on record.
func (a *App) keyOutcome(ctx context.Context, who caller.Caller, act keyring.Act, failure error) error {
	pen, err := a.Audit.Pen(ctx, who, id.Org{})
	if err != nil {
		return err
	}
	e := audit.Entry{Kind: "keyring." + act.Kind + ".ended", Target: audit.Target{Kind: "key", ID: act.Owner.String()}, Facts: map[string]any{"intent": act.ID.String(), "keys": len(act.Keys)}}
	if failure != nil {
		e.Outcome, e.Code = audit.Failure, "keyring.error.act"
	}
	return a.Store.Main.Update(ctx, store.System("keyring.outcome"), func(tx *store.Tx) error {
		if err := keyring.OutcomeTx(tx, act, a.Now()); err != nil {
			return err
		}
		return pen.Record(tx, e)
	})
}

// facts are the states of what a caller stands on, each asked of its owner.
func (a *App) facts() access.Facts {
	f := a.Directory.Facts()
	f.Client = a.clientState
	f.Key = func(ctx context.Context, key id.Key) (access.State, error) { return access.Active, nil } // Find has asked the row
	f.Session = func(ctx context.Context, s id.Session) (access.State, error) { return access.Active, nil }
	return f
}

// population is what a rule's effect is computed over: the members of an
// organization, and which authenticators they have.
func (a *App) population(ctx context.Context, org id.Org) (policy.Population, error) {
	members, err := a.Directory.ActiveMembers(ctx, org)
	if err != nil {
		return policy.Population{}, err
	}
	second, err := a.Credential.SecondFactors(ctx)
	if err != nil {
		return policy.Population{}, err
	}
	var p policy.Population
	for _, user := range members {
		p.Members = append(p.Members, policy.Person{User: user, SecondFactor: second[user], HasPassword: true})
	}
	p.Name = func(ctx context.Context, users []id.User) (map[id.User]string, error) {
		return a.Directory.Names(ctx, org, users)
	}
	return p, nil
}

func (a *App) sealMail(keys any, owner, label, row string, plain []byte) ([]byte, error) {
	o, err := keyring.ParseOwner(owner)
	if err != nil {
		return nil, err
	}
	switch k := keys.(type) {
	case *keyring.Ring:
		return k.Seal(o, label, row, plain)
	case *audit.Pen:
		return k.Seal(o, label, row, plain)
	}
	return nil, fmt.Errorf("app: mail queued with keys of type %T", keys)
}

func (a *App) openMail(ctx context.Context, owner, label, row string, sealed []byte) ([]byte, error) {
	o, err := keyring.ParseOwner(owner)
	if err != nil {
		return nil, err
	}
	ring, err := a.Keys.Ready(ctx, o)
	if err != nil {
		return nil, err
	}
	plain, err := ring.Open(o, label, row, sealed)
	if errors.Is(err, keyring.ErrErased) {
		return nil, mail.ErrGone
	}
	return plain, err
}

// optional lists the fields that may stay empty; every other function, pointer
// and interface of a service is required, and its absence is found at start,
// not by the first request that needs it.
var optional = map[string]string{
	"session.Service.OnCut":       "an entrance that was cut is refused at the next refresh",
	"credential.Service.OnChange": "the pages that change a credential end the other sessions themselves",
	"mail.Outbox.Transport":       "without a mail server letters stay in the outbox",
	"mail.Outbox.GivenUp":         "the outbox's own log line says it",
	"register.Service.Live":       "values stated on the trust page are then those that staff set",
	"reading.Service.ProcessLog":  "filled where a process log is kept",
	"keyring.Service.Root":        "opened once it is known whether the place is fresh",
	"keyring.Service.Exists":      "without it keys of changes that never committed are kept",
	"keyring.Service.Files":       "on PostgreSQL there are no files on this machine",
	"console.Console.Find":        "the palette then finds pages only",
	"console.Console.Shell":       "filled with the routes",
	"console.Console.SignIn":      "filled with the routes",
	"console.Console.StepUp":      "filled with the routes",
}

// complete finds required fields that nobody filled.
func (a *App) complete() error {
	var missing []error
	for _, s := range []any{a.Keys, a.Audit, a.Reading, a.Access, a.Policy, a.Directory, a.Desk, a.Mail, a.Credential, a.Session, a.SignIn, a.Provider, a.APIKeys, a.Trust, a.Register, a.Face, a.Setup} {
		missing = append(missing, empty(reflect.ValueOf(s).Elem())...)
	}
	return errors.Join(missing...)
}

func empty(v reflect.Value) (out []error) {
	for i := range v.NumField() {
		f, t := v.Field(i), v.Type().Field(i)
		name := v.Type().String() + "." + t.Name
		if !t.IsExported() || optional[name] != "" {
			continue
		}
		switch f.Kind() {
		case reflect.Func, reflect.Pointer, reflect.Interface:
			if f.IsNil() {
				out = append(out, fmt.Errorf("app: %s is not filled", name))
			}
		case reflect.Struct:
			if strings.HasSuffix(t.Type.String(), ".Facts") {
				out = append(out, empty(f)...)
			}
		}
	}
	return out
}

// contacts are the addresses of security.txt; none while the operator names none.
func contacts(one string) []string {
	if one == "" {
		return nil
	}
	return []string{one}
}

// onDisable ends what hangs on a user who was disabled everywhere, in the same
// transaction. What a member holds in one organization is refused by alive()
// at each use, and comes back with her.
func (a *App) onDisable(tx *store.Tx, org id.Org, user id.User) error {
	if !org.IsZero() || user.IsZero() {
		return nil
	}
	if err := a.Session.EndDisabledTx(tx, user); err != nil {
		return err
	}
	return a.Provider.EndDisabledTx(tx, user)
}

// dataFiles are the files of the embedded databases, with their logs.
func dataFiles(dir string) (out []string) {
	for _, name := range []string{"main.db", "main.db-wal", "keys.db", "keys.db-wal"} {
		out = append(out, filepath.Join(dir, name))
	}
	return out
}

// replays derives the secret of kept answers from the installation's key and
// has them sealed for it: an answer to a repeated POST may hold a secret.
func (a *App) replays(ctx context.Context) error {
	ring, err := a.Keys.Ready(ctx, keyring.Installation())
	if err != nil {
		return err
	}
	a.Replays.Secret = ring.Hash(keyring.Installation(), "web.replay", "v1")
	owner := func(who caller.Caller) keyring.Owner {
		if who.Org.IsZero() {
			return keyring.Installation()
		}
		return keyring.Organization(who.Org)
	}
	a.Replays.Seal = func(ctx context.Context, who caller.Caller, label, row string, plain []byte) ([]byte, error) {
		ring, err := a.Keys.Ready(ctx, owner(who))
		if err != nil {
			return nil, err
		}
		return ring.Seal(owner(who), label, row, plain)
	}
	a.Replays.Open = func(ctx context.Context, who caller.Caller, label, row string, sealed []byte) ([]byte, error) {
		ring, err := a.Keys.Ready(ctx, owner(who))
		if err != nil {
			return nil, err
		}
		return ring.Open(owner(who), label, row, sealed)
	}
	return nil
}

// cursors derives the secret of list cursors from the installation's key, so
// that every node reads every node's.
func (a *App) cursors(ctx context.Context) error {
	ring, err := a.Keys.Ready(ctx, keyring.Installation())
	if err != nil {
		return err
	}
	sum := sha256.Sum256(ring.Hash(keyring.Installation(), "app.cursors", "v1"))
	*a.Cursors = *web.NewCursors(sum[:])
	return nil
}
