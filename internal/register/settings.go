package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/register/catalogue"
	"github.com/rempart/rempart/internal/store"
)

// Change is what an operator decides about one statement. What is nil stays.
type Change struct {
	Applies *bool                       // false: not stated here
	Aside   *bool                       // true: withdrawn from the page, which the log and the page's history say
	Values  map[string]*catalogue.Value // by parameter; a nil value is the profile's or the default again
	Reason  string                      // for the log
}

// ChangeStatement decides about a statement. The errors are ErrStatement and
// ErrValue with the parameters at fault.
func (s *Service) ChangeStatement(ctx context.Context, who caller.Caller, statement string, c Change) error {
	st, ok := s.catalogue.Find(statement)
	if !ok {
		return ErrStatement
	}
	fe := ErrValue
	for _, name := range slices.Sorted(maps.Keys(c.Values)) {
		known := slices.ContainsFunc(st.Params, func(p catalogue.Param) bool { return p.Name == name })
		if v := c.Values[name]; !known || v != nil && st.Check(catalogue.Params{name: *v}) != nil {
			fe = fe.At("/values/"+name, "register.error.value")
		}
	}
	if len(fe.Fields) > 0 {
		return fe
	}
	pen, err := s.Audit.Pen(ctx, who, id.Org{})
	if err != nil {
		return err
	}
	now := store.Micros(s.Now())
	err = s.Store.Update(ctx, store.Staff("register.change"), func(tx *store.Tx) error {
		var changes []audit.Change
		set := func(kind, name, field, value string) error {
			before, err := setting(tx, kind, name)
			if err != nil || before == value {
				return err
			}
			if value == "" {
				_, err = tx.Exec(deleteSetting, kind, name)
			} else {
				_, err = tx.Exec(upsertSetting, kind, name, value, now)
			}
			if err != nil {
				return err
			}
			changes = append(changes, audit.Change{Field: field, Before: before, After: value})
			_, err = tx.Exec(insertChange, id.NewResult(s.Now()), now, statement, field, before, value)
			return err
		}
		if c.Applies != nil {
			value := map[bool]string{true: "yes", false: "no"}[*c.Applies]
			if err := set(settingApplies, statement, "applies", value); err != nil {
				return err
			}
		}
		if c.Aside != nil {
			value := ""
			if *c.Aside {
				value = "yes"
			}
			if err := set(settingAside, statement, "aside", value); err != nil {
				return err
			}
		}
		for _, name := range slices.Sorted(maps.Keys(c.Values)) {
			value := ""
			if v := c.Values[name]; v != nil {
				raw, err := json.Marshal(*v)
				if err != nil {
					return err
				}
				value = string(raw)
			}
			if err := set(settingParam, statement+"."+name, "value."+name, value); err != nil {
				return err
			}
		}
		if len(changes) == 0 {
			return nil
		}
		return pen.Record(tx, audit.Entry{Kind: EventChanged, Target: audit.Target{Kind: "statement", ID: statement}, Changes: changes, Facts: reason(c.Reason)})
	})
	s.Reread()
	if err != nil {
		return fmt.Errorf("register: change %s: %w", statement, err)
	}
	return nil
}

func reason(text string) map[string]any {
	if text == "" {
		return nil
	}
	return map[string]any{"reason": text}
}

// setting reads one value, "" when there is none.
func setting(tx *store.Tx, kind, name string) (string, error) {
	var v string
	err := tx.Row(selectSetting, kind, name).Scan(&v)
	if errors.Is(err, store.ErrNone) {
		return "", nil
	}
	return v, err
}

// UseProfile takes the values and rows of a profile, "" those of the
// catalogue. The error is ErrProfile for one that does not exist.
func (s *Service) UseProfile(ctx context.Context, who caller.Caller, name string) error {
	if name != "" && s.profiles[name] == nil {
		return ErrProfile
	}
	pen, err := s.Audit.Pen(ctx, who, id.Org{})
	if err != nil {
		return err
	}
	now := s.Now()
	err = s.Store.Update(ctx, store.Staff("register.profile"), func(tx *store.Tx) error {
		before, err := setting(tx, settingProfile, "")
		if err != nil {
			return err
		}
		if _, err := tx.Exec(upsertSetting, settingProfile, "", name, store.Micros(now)); err != nil {
			return err
		}
		if before != name {
			if _, err := tx.Exec(insertChange, id.NewResult(now), store.Micros(now), "", "profile", before, name); err != nil {
				return err
			}
		}
		return pen.Record(tx, audit.Entry{Kind: EventProfile, Target: audit.Target{Kind: "profile", ID: name},
			Changes: []audit.Change{{Field: "profile", Before: before, After: name}}})
	})
	s.Reread()
	if err != nil {
		return fmt.Errorf("register: use profile: %w", err)
	}
	return nil
}
