package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/rempart/rempart/internal/app"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/local"
	"github.com/rempart/rempart/internal/mail"
	"github.com/rempart/rempart/internal/web"
)

// operator is a command of an operator on an installation.
type operator interface {
	where() *place
	operate(ctx context.Context, o *operation) error
}

// place says which installation, and how to answer.
type place struct {
	Data   string `help:"Data folder of the installation; default ./rempart-data." placeholder:"DIR"`
	Config string `help:"Configuration file." placeholder:"FILE"`
	JSON   bool   `help:"Answer as JSON."`
}

func (p *place) where() *place { return p }

func (p *place) load() (app.Config, error) {
	flags := map[string]string{}
	if p.Data != "" {
		flags["data"] = p.Data
	}
	return app.LoadConfig(p.Config, os.Environ(), flags)
}

// operation is one run of an operator's command.
type operation struct {
	app    *app.App
	who    caller.Caller
	out    io.Writer
	json   bool
	served bool // the process that runs it serves requests, too
}

// perform runs the command in the process that owns the data folder, else here.
func perform(ctx context.Context, args []string, s streams, op operator) error {
	c, err := op.where().load()
	if err != nil {
		return err
	}
	lang := language()
	code, err := local.Run(ctx, c.Data, local.Call{Args: args, Lang: lang, Out: s.out, Err: s.err})
	switch {
	case err == nil && code == 0:
		return nil
	case err == nil:
		return exit(code)
	case !errors.Is(err, local.ErrNobody):
		return err
	}
	if alone, ok := op.(interface {
		alone(context.Context, app.Config, streams) error
	}); ok {
		return alone.alone(ctx, c, s)
	}
	a, err := app.Open(ctx, app.Options{Config: c, Operate: true, Version: version, Transport: transport(c), Log: web.NewLogger(s.err, true, slog.LevelWarn)})
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	who := caller.ForLocal(strconv.Itoa(os.Getuid()) + "@" + host)
	who.Lang = lang
	err = op.operate(ctx, &operation{app: a, who: who, out: s.out, json: op.where().JSON})
	err = worded(a, lang, err)
	return errors.Join(err, a.Close())
}

// answer runs the commands of other processes in this one, which serves.
func answer(a *app.App) func(context.Context, local.Call) int {
	return func(ctx context.Context, c local.Call) int {
		k, code := parse(ctx, c.Args, streams{strings.NewReader(""), c.Out, c.Err})
		if k == nil {
			return code
		}
		op, ok := k.Selected().Target.Addr().Interface().(operator)
		if !ok {
			fmt.Fprintln(c.Err, "rempart: this command is not run by another process")
			return 2
		}
		who := caller.ForLocal(c.Name)
		who.Lang = i18n.Match(c.Lang)
		return report(c.Err, worded(a, who.Lang, op.operate(ctx, &operation{app: a, who: who, out: c.Out, json: op.where().JSON, served: true})))
	}
}

// listen hears the commands of other processes from now on, and gives what
// answers them until its context ends.
func listen(a *app.App) (func(context.Context) error, error) {
	l, err := local.Listen(a.Config.Data)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return l.Serve(ctx, answer(a)) }, nil
}

// language is that of the terminal.
func language() string {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v, _, _ := strings.Cut(os.Getenv(name), "."); v != "" {
			return i18n.Match(strings.ReplaceAll(v, "_", "-"))
		}
	}
	return i18n.Languages[0]
}

// spoken is an error in the words of a person's language.
type spoken struct {
	text  string
	cause error
}

func (s *spoken) Error() string { return s.text }
func (s *spoken) Unwrap() error { return s.cause }

// worded puts a fault into words.
func worded(a *app.App, lang string, err error) error {
	f := fault.Of(err)
	if f == nil || !a.Bundle.Has(f.Key) {
		return err
	}
	text := a.Bundle.T(lang, f.Key, map[string]any(f.Args))
	for _, field := range f.Fields {
		if field.Code != f.Key && a.Bundle.Has(field.Code) {
			text += " " + a.Bundle.T(lang, field.Code, map[string]any(field.Args))
		}
	}
	if cause := f.Unwrap(); f.Kind == fault.Unavailable && cause != nil {
		text += " (" + cause.Error() + ")" // operators can do something about it
	}
	return &spoken{text, err}
}

// sentence is what an operator reads of an error that ends a command.
func sentence(err error) string {
	switch {
	case errors.Is(err, app.ErrNothing):
		return err.Error() + "; rempart serve makes one, --data DIR or --config FILE names another place"
	case errors.Is(err, keyring.ErrRoot):
		return "the root key is not the one of this installation; put the right one back (keys.file or keys.passphrase). Nothing was changed"
	case errors.Is(err, keyring.ErrOlder):
		return strings.NewReplacer("keyring: ", "", "; run `rempart restore --finish`", "").Replace(err.Error()) + "; put the newest main, keys and erasure ledger back. Nothing was changed"
	case errors.Is(err, local.ErrHeld):
		return err.Error() + "; stop it, or give another --data folder"
	}
	// What a driver says over several lines begins with what matters.
	text, more, _ := strings.Cut(err.Error(), "\n\t")
	more, _, _ = strings.Cut(more, "\n\t")
	return strings.TrimSpace(text + " " + more)
}

// transport is how mail leaves: by the server of the configuration, or not at all.
func transport(c app.Config) mail.Transport {
	if c.Mail.Host == "" {
		return nil
	}
	t := &mail.SMTP{Host: c.Mail.Host, Port: c.Mail.Port, Username: c.Mail.Username}
	if c.Mail.Username != "" {
		t.Password = func() string { return c.Mail.Password }
	}
	return t
}

// show answers v as JSON, or the rows as a table.
func (o *operation) show(v any, head []string, rows [][]string) error {
	if o.json {
		return o.encode(v)
	}
	w := tabwriter.NewWriter(o.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(head, "\t"))
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	return w.Flush()
}

func (o *operation) encode(v any) error {
	enc := json.NewEncoder(o.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// say answers v as JSON, or the line.
func (o *operation) say(v any, format string, a ...any) error {
	if o.json {
		return o.encode(v)
	}
	_, err := fmt.Fprintf(o.out, format+"\n", a...)
	return err
}

// list is how lists are answered as JSON, as in the API.
type list[T any] struct {
	Items []T `json:"items"`
}

// org finds the organization that an operator names by its id or slug; ""
// is the installation.
func (o *operation) org(ctx context.Context, name string) (id.Org, error) {
	if name == "" {
		return id.Org{}, nil
	}
	if org, err := id.ParseOrg(name); err == nil {
		_, err := o.app.Directory.FindOrg(ctx, org)
		return org, named(err, "organization", name)
	}
	v, _, err := o.app.Directory.FindOrgBySlug(ctx, name)
	return v.ID, named(err, "organization", name)
}

// user finds the user that an operator names by her id or address.
func (o *operation) user(ctx context.Context, name string) (id.User, error) {
	if u, err := id.ParseUser(name); err == nil {
		_, err := o.app.Directory.FindUser(ctx, u)
		return u, named(err, "user", name)
	}
	f, err := o.app.Directory.FindUserByEmail(ctx, name)
	return f.User, named(err, "user", name)
}

// named says what there is none of.
func named(err error, kind, name string) error {
	if fault.KindOf(err) == fault.NotFound {
		return fmt.Errorf("there is no %s %s", kind, name)
	}
	return err
}
