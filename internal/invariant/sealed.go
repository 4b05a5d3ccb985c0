package invariant

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
)

// Whose key seals a field follows from the columns of its table: a user's her
// own, an organization's the organization's, both together the member's, none
// the installation's. These are the exceptions.
var sealedBy = map[string]func(org, user string) string{
	// Lists of members unwrap one key for the whole list.
	"directory.membership.name":  func(org, _ string) string { return org },
	"directory.membership.email": func(org, _ string) string { return org },
	// A sign-in under way names its person before she is known to be one.
	"signin.flow.state": func(string, string) string { return keyring.Installation().String() },
}

// The parts of entries have keys of their own, which Verify opens with them;
// answers to repeated requests are kept for a day under the key of whoever
// asked, which their row does not name.
var sealedElsewhere = map[string]bool{"audit_entries": true, "web_replays": true}

// value is one sealed value with what it is bound to.
type value struct {
	table, label string
	owner        string
	rows         []string // what may stand for the row in the seal
	sealed       []byte
}

// checkSealed opens every sealed value of the main database. The keys database
// was opened, and its canary read, when the keyring started.
func (c *Checker) checkSealed(ctx context.Context, inv *Invariant) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	values := make(chan value, 256)
	read := make(chan error, 1)
	go func() {
		defer close(values)
		for _, t := range c.tables("main") {
			if sealedElsewhere[t.Name] || t.Reach&capability.ScopeSystem == 0 {
				continue
			}
			if err := c.sealedOf(ctx, t, values); err != nil {
				read <- fmt.Errorf("%s: %w", t.Name, err)
				return
			}
		}
		read <- nil
	}()
	for v := range values {
		inv.Checked++
		if err := c.openValue(ctx, v, inv); err != nil {
			return err
		}
	}
	return <-read
}

// sealedOf reads the sealed values of a table.
func (c *Checker) sealedOf(ctx context.Context, t capability.Table, out chan<- value) error {
	var columns, labels []string
	for _, col := range t.Columns {
		if col.Sealed != "" {
			columns, labels = append(columns, col.Name), append(labels, col.Sealed)
		}
	}
	if len(columns) == 0 {
		return nil
	}
	at := map[string]int{}
	for _, name := range []string{t.OrgColumn, t.UsrColumn, "id", "owner", "session_id", "number", "day", "attestation", "place"} {
		if _, ok := at[name]; name != "" && !ok && has(t, name) {
			at[name] = len(columns)
			columns = append(columns, name)
		}
	}
	get := func(v []any, name string) string {
		if i, ok := at[name]; ok {
			return text(v[i])
		}
		return ""
	}
	return c.Store.Main.Inspect(ctx, t, columns, func(v []any) error {
		org, user := get(v, t.OrgColumn), get(v, t.UsrColumn)
		for i, label := range labels {
			sealed, _ := v[i].([]byte)
			if len(sealed) == 0 {
				continue
			}
			one := value{table: t.Name, label: label, sealed: append([]byte(nil), sealed...), owner: get(v, "owner")}
			for _, name := range []string{"id", "session_id", "number", "day", t.UsrColumn} {
				if row := get(v, name); row != "" {
					one.rows = append(one.rows, row)
				}
			}
			if part := get(v, "place"); part != "" { // of a file that is kept in chunks
				one.rows = append(one.rows, get(v, "attestation")+"/"+part)
			}
			switch {
			case one.owner != "":
			case sealedBy[label] != nil:
				one.owner = sealedBy[label](org, user)
			case org != "" && user != "":
				one.owner = org + "/" + user
			case org != "":
				one.owner = org
			case user != "":
				one.owner = user
			default:
				one.owner = keyring.Installation().String()
			}
			select {
			case out <- one:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
}

// openValue opens one value; what does not open is a problem of inv.
func (c *Checker) openValue(ctx context.Context, v value, inv *Invariant) error {
	name := v.table + "." + v.label
	if len(v.rows) > 0 {
		name += " of " + printable(v.rows[0])
	}
	owner, err := keyring.ParseOwner(v.owner)
	if err != nil {
		inv.broken("%s belongs to %q, who can't be", name, v.owner)
		return nil
	}
	ring, err := c.Keys.Ready(ctx, owner)
	if err != nil {
		return err
	}
	for _, row := range v.rows {
		if _, err = ring.Open(owner, v.label, row, v.sealed); err == nil || errors.Is(err, keyring.ErrErased) {
			return nil
		}
	}
	if kid, ok := keyring.KeyOf(v.sealed); ok && errors.Is(err, keyring.ErrUnknown) {
		line, lerr := c.Keys.ErasedLine(ctx, kid)
		if lerr != nil {
			return lerr
		}
		if line > 0 {
			return nil
		}
		inv.broken("%s: its key %s is neither there nor in the erasure ledger", name, kid)
		return nil
	}
	inv.broken("%s: %v", name, err)
	return nil
}

// printable is an identifier for a list; what is none is quoted.
func printable(s string) string {
	if _, err := id.ParseUser(s); err == nil || len(s) < 40 && strconv.Quote(s) == `"`+s+`"` {
		return s
	}
	return strconv.Quote(s)
}
