package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
)

type keysCommand struct {
	Inventory keysInventoryCommand `cmd:"" help:"Every key that the installation holds, by class."`
	Rotate    keysRotateCommand    `cmd:"" help:"Make a new version of a key."`
	Copies    keysCopiesCommand    `cmd:"" help:"List the copies of the keys at the second place; make and verify one."`
	Kit       keysKitCommand       `cmd:"" help:"Make a new recovery kit; the one before opens nothing that is written from then on."`
}

type keysInventoryCommand struct{ place }

func (c *keysInventoryCommand) operate(ctx context.Context, o *operation) error {
	inv, err := o.app.Keys.Inventory(ctx)
	if err != nil {
		return err
	}
	rows := [][]string{}
	for _, k := range inv.Keys {
		next := "-"
		if !k.NextRotation.IsZero() {
			next = k.NextRotation.UTC().Format(time.DateOnly)
		}
		rows = append(rows, []string{string(k.Class), k.Purpose, k.Algorithm, k.State, fmt.Sprint(k.Count), k.Oldest.UTC().Format(time.DateOnly), next})
	}
	if err := o.show(inv, []string{"CLASS", "PURPOSE", "ALGORITHM", "STATE", "COUNT", "OLDEST", "NEXT ROTATION"}, rows); err != nil || o.json {
		return err
	}
	_, err = fmt.Fprintf(o.out, "\nroot key: %s; copies: %s, newest %s old, term %s; erasure ledger: %d lines in %s; open acts: %d\n",
		inv.Root, inv.Copies, inv.CopyAge, inv.Term, inv.LedgerLines, strings.Join(inv.Ledgers, " and "), inv.OpenActs)
	return err
}

type keysRotateCommand struct {
	place
	Owner string `help:"Whose data key: installation, an organization (slug or id), a user (address or id)." placeholder:"OWNER"`
	KEK   bool   `name:"kek" help:"The key-encryption key of the installation."`
}

func (c *keysRotateCommand) operate(ctx context.Context, o *operation) error {
	if c.KEK == (c.Owner != "") {
		return errors.New("give either --owner or --kek")
	}
	var act keyring.Act
	var err error
	if c.KEK {
		if act, err = o.app.Keys.RotateKEK(ctx, o.who); err == nil {
			err = o.app.Keys.Rewrap(ctx)
		}
	} else {
		var owner keyring.Owner
		if owner, err = o.owner(ctx, c.Owner); err != nil {
			return err
		}
		act, err = o.app.Keys.Rotate(ctx, o.who, owner)
	}
	if err != nil {
		return err
	}
	return o.say(act, "%s: done for %s.", act.ID, act.Owner)
}

// owner finds whose key an operator means.
func (o *operation) owner(ctx context.Context, name string) (keyring.Owner, error) {
	if name == "installation" {
		return keyring.Installation(), nil
	}
	if _, err := id.ParseUser(name); err == nil || strings.Contains(name, "@") {
		u, err := o.user(ctx, name)
		return keyring.Person(u), err
	}
	org, err := o.org(ctx, name)
	return keyring.Organization(org), err
}

type keysCopiesCommand struct {
	place
	Make   bool `help:"Make a copy now, if one is due or keys are missing there."`
	Verify bool `help:"Read every copy back and open all of it."`
}

func (c *keysCopiesCommand) operate(ctx context.Context, o *operation) error {
	if c.Make {
		if err := o.app.Keys.MakeCopies(ctx); err != nil {
			return err
		}
	}
	names, err := o.app.Keys.Second.List(ctx)
	if err != nil {
		return err
	}
	type copied struct {
		Name   string `json:"name"`
		Opened *bool  `json:"opened,omitempty"`
		Fault  string `json:"fault,omitempty"`
	}
	answer, rows, bad := list[copied]{Items: []copied{}}, [][]string{}, false
	for _, n := range names {
		v, verdict := copied{Name: n}, ""
		if c.Verify && strings.HasPrefix(n, "copy-") && strings.HasSuffix(n, "-end.keys") {
			err := o.app.Keys.VerifyCopy(ctx, n)
			ok := err == nil
			v.Opened, verdict = &ok, "opens"
			if !ok {
				bad, v.Fault, verdict = true, err.Error(), err.Error()
			}
		}
		answer.Items = append(answer.Items, v)
		rows = append(rows, []string{n, verdict})
	}
	if err := o.show(answer, []string{"OBJECT", ""}, rows); err != nil {
		return err
	}
	if bad {
		return exit(1)
	}
	return nil
}

type keysKitCommand struct {
	place
	Replace bool `help:"Yes, replace the recovery identity: kits made before become useless for what is written from now on."`
}

func (c *keysKitCommand) operate(ctx context.Context, o *operation) error {
	if !c.Replace {
		return errors.New("a new kit replaces the recovery identity of the one before; say so with --replace")
	}
	verifiers, err := o.app.Audit.VerifierKeys(ctx, id.Org{})
	if err != nil {
		return err
	}
	identity, err := o.app.Keys.NewRecovery(ctx, o.who)
	if err != nil {
		return err
	}
	kit, err := o.app.Keys.Kit(identity, strings.Join(verifiers, " "))
	if err != nil {
		return err
	}
	if o.json {
		b, err := kit.Reveal()
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(o.out, "%s\n", b)
		return err
	}
	_, err = fmt.Fprintln(o.out, kit.Text(func(key string, args ...any) string { return o.app.Bundle.T(o.who.Lang, key, args...) }))
	return err
}
