package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
)

// Whose attribute it is.
const (
	OfMember       = "member"
	OfOrganization = "organization"
)

// Who reads or writes the values of an attribute. Administrators always do.
const (
	ForAdmins  = "admins"  // administrators alone
	ForSelf    = "self"    // the member herself too
	ForMembers = "members" // every member; for reading only
)

// Attribute is the declaration of a custom attribute of an organization or its
// members. Its values are sealed: a member's under the key of that member, so
// that they end with it, the organization's under its own.
type Attribute struct {
	ID      id.Attribute `json:"id"`
	Subject string       `json:"subject" enum:"member,organization"`
	Name    string       `json:"name" doc:"1 to 40 lower-case letters, digits and underscores."`
	Kind    string       `json:"kind" enum:"text,number,boolean,date,choice"`
	Choices []string     `json:"choices,omitempty" doc:"Of a choice."`
	Readers string       `json:"readers" enum:"admins,self,members"`
	Writers string       `json:"writers" enum:"admins,self"`
	Claim   string       `json:"claim,omitempty" doc:"Name of the claim that carries it; none when empty."`
	Created time.Time    `json:"created_at"`
}

// Value is a value of an attribute.
type Value struct {
	Name    string    `json:"name"`
	Value   any       `json:"value"`
	Changed time.Time `json:"changed_at"`
}

// Security defaults of attributes.
const (
	maxAttributes = 100
	maxChoices    = 100
	maxValue      = 1000 // characters of a text
)

// Errors of attributes.
var (
	ErrAttributeName  = fault.New(fault.Invalid, "directory.error.attribute-name", nil).At("/name", "directory.error.attribute-name")
	ErrAttributeTaken = fault.New(fault.Conflict, "directory.error.attribute-taken", nil).At("/name", "directory.error.attribute-taken")
	ErrAttributeMany  = fault.New(fault.Conflict, "directory.error.attribute-many", nil)
	ErrAttributeValue = fault.New(fault.Invalid, "directory.error.attribute-value", nil).At("/value", "directory.error.attribute-value")
	ErrAttributeForm  = fault.New(fault.Invalid, "directory.error.attribute-form", nil)
	ErrClaim          = fault.New(fault.Invalid, "directory.error.claim", nil).At("/claim", "directory.error.claim")
)

const attributeColumns = `id, subject, name, kind, choices, readers, writers, claim, created_at`

var (
	insertAttribute = q.Add("insert_attribute", `INSERT INTO directory_attributes (org_id, id, subject, name, kind, choices, readers, writers, claim, created_at) VALUES ($org, $1, $2, $3, $4, $5, $6, $7, $8, $9)`)
	listAttributes  = q.Add("list_attributes", `SELECT `+attributeColumns+` FROM directory_attributes WHERE org_id = $org ORDER BY subject, name`)
	deleteAttribute = q.Add("delete_attribute", `DELETE FROM directory_attributes WHERE org_id = $org AND id = $1`)
	dropValues      = q.Add("delete_values_of_attribute", `DELETE FROM directory_values WHERE org_id = $org AND attribute_id = $1`)
	dropValuesOf    = q.Add("delete_values_of_subject", `DELETE FROM directory_values WHERE org_id = $org AND subject_id = $1`)
	dropValue       = q.Add("delete_value", `DELETE FROM directory_values WHERE org_id = $org AND attribute_id = $1 AND subject_id = $2`)
	putValue        = q.Add("put_value", `INSERT INTO directory_values (org_id, attribute_id, subject_id, user_id, value, changed_at) VALUES ($org, $1, $2, $3, $4, $5)
		ON CONFLICT (attribute_id, subject_id) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at`)
	listValues = q.Add("list_values", `SELECT attribute_id, value, changed_at FROM directory_values WHERE org_id = $org AND subject_id = $1`)
)

// reservedClaims are names that tokens and userinfo give a meaning of their
// own (RFC 7519, OpenID Connect Core, and ours): no organization may speak
// through them.
var reservedClaims = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "azp", "nonce", "auth_time", "acr", "amr", "sid", "at_hash", "c_hash", "cnf", "scope", "client_id", "act", "may_act",
	"name", "given_name", "family_name", "preferred_username", "email", "email_verified", "locale", "zoneinfo", "updated_at", "phone_number", "phone_number_verified", "picture",
	"org_id", "org_name", "workspaces", "roles", "permissions", "events", "gid", "grant_id",
}

var attributeNameRE = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

func (a Attribute) check() error {
	switch {
	case !attributeNameRE.MatchString(a.Name):
		return ErrAttributeName
	case a.Claim != "" && (!attributeNameRE.MatchString(a.Claim) || slices.Contains(reservedClaims, a.Claim)):
		return ErrClaim
	case !slices.Contains([]string{OfMember, OfOrganization}, a.Subject),
		!slices.Contains([]string{"text", "number", "boolean", "date", "choice"}, a.Kind),
		!slices.Contains([]string{ForAdmins, ForSelf, ForMembers}, a.Readers),
		!slices.Contains([]string{ForAdmins, ForSelf}, a.Writers),
		a.Subject == OfOrganization && (a.Readers == ForSelf || a.Writers == ForSelf),
		a.Writers == ForSelf && a.Readers == ForAdmins, // she could not see what she wrote
		(a.Kind == "choice") != (len(a.Choices) > 0), len(a.Choices) > maxChoices:
		return ErrAttributeForm
	}
	seen := map[string]bool{}
	for _, c := range a.Choices {
		if c == "" || utf8.RuneCountInString(c) > 100 || seen[c] {
			return ErrAttributeForm
		}
		seen[c] = true
	}
	return nil
}

// parse gives the value in the one form that is stored; the error is
// ErrAttributeValue.
func (a Attribute) parse(v any) (string, error) {
	switch t := v.(type) {
	case string:
		switch {
		case a.Kind == "text" && utf8.ValidString(t) && t != "" && utf8.RuneCountInString(t) <= maxValue,
			a.Kind == "choice" && slices.Contains(a.Choices, t):
			return t, nil
		case a.Kind == "date":
			if d, err := time.Parse(time.DateOnly, t); err == nil {
				return d.Format(time.DateOnly), nil
			}
		}
	case bool:
		if a.Kind == "boolean" {
			return strconv.FormatBool(t), nil
		}
	case float64:
		if a.Kind == "number" {
			return strconv.FormatFloat(t, 'g', -1, 64), nil
		}
	}
	return "", ErrAttributeValue
}

// value undoes parse.
func (a Attribute) value(text string) any {
	switch a.Kind {
	case "boolean":
		return text == "true"
	case "number":
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return f
		}
	}
	return text
}

// Attributes lists the organization's declarations.
func (s *Service) Attributes(ctx context.Context, org id.Org) (out []Attribute, err error) {
	err = s.Store.View(ctx, store.Org(org), func(tx *store.Tx) (err error) {
		out, err = attributesTx(tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("directory: list attributes: %w", err)
	}
	return out, nil
}

func attributesTx(tx *store.Tx) ([]Attribute, error) {
	return store.All(tx, func(r *store.Rows) (a Attribute, err error) {
		var choices string
		var created int64
		if err := r.Scan(&a.ID, &a.Subject, &a.Name, &a.Kind, &choices, &a.Readers, &a.Writers, &a.Claim, &created); err != nil {
			return a, err
		}
		a.Created = store.Time(created)
		return a, json.Unmarshal([]byte(choices), &a.Choices)
	}, listAttributes)
}

// AddAttribute declares an attribute. The error is ErrAttributeName,
// ErrAttributeTaken, ErrAttributeForm, ErrAttributeMany or ErrClaim.
func (s *Service) AddAttribute(ctx context.Context, who caller.Caller, org id.Org, a Attribute) (Attribute, error) {
	if err := a.check(); err != nil {
		return Attribute{}, err
	}
	pen, err := s.Audit.Pen(ctx, who, org)
	if err != nil {
		return Attribute{}, err
	}
	now := s.Now()
	a.ID, a.Created = id.NewAttribute(now), now
	choices, err := json.Marshal(append([]string{}, a.Choices...))
	if err != nil {
		return Attribute{}, err
	}
	err = s.Store.Update(ctx, store.Org(org), func(tx *store.Tx) error {
		if err := s.Access.BumpTx(tx, org); err != nil {
			return referred(err)
		}
		have, err := attributesTx(tx)
		if err != nil {
			return fmt.Errorf("directory: list attributes: %w", err)
		}
		if len(have) >= maxAttributes {
			return ErrAttributeMany
		}
		if a.Claim != "" && slices.ContainsFunc(have, func(o Attribute) bool { return o.Claim == a.Claim }) {
			return ErrClaim
		}
		_, err = tx.Exec(insertAttribute, a.ID, a.Subject, a.Name, a.Kind, string(choices), a.Readers, a.Writers, a.Claim, store.Micros(now))
		switch {
		case errors.Is(err, store.ErrUnique):
			return ErrAttributeTaken
		case err != nil:
			return fmt.Errorf("directory: insert attribute: %w", err)
		}
		return pen.Record(tx, audit.Entry{
			Kind: EventAttributeAdded, Target: target("attribute", a.ID),
			Changes: []audit.Change{
				{Field: "name", After: a.Name}, {Field: "subject", After: a.Subject}, {Field: "kind", After: a.Kind},
				{Field: "readers", After: a.Readers}, {Field: "writers", After: a.Writers}, {Field: "claim", After: a.Claim},
			},
		})
	})
	return a, err
}

// RemoveAttribute takes the declaration back, with every value.
func (s *Service) RemoveAttribute(ctx context.Context, who caller.Caller, org id.Org, attribute id.Attribute) error {
	all, err := s.Attributes(ctx, org)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(a Attribute) bool { return a.ID == attribute })
	if i < 0 {
		return ErrNone
	}
	pen, err := s.Audit.Pen(ctx, who, org)
	if err != nil {
		return err
	}
	return s.Store.Update(ctx, store.Org(org), func(tx *store.Tx) error {
		if err := s.Access.BumpTx(tx, org); err != nil {
			return err
		}
		values, err := tx.Exec(dropValues, attribute)
		if err != nil {
			return fmt.Errorf("directory: delete values: %w", err)
		}
		n, err := tx.Exec(deleteAttribute, attribute)
		if err := none(orNone(n, err), "delete attribute"); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{
			Kind: EventAttributeRemoved, Target: target("attribute", attribute),
			Changes: []audit.Change{{Field: "name", Before: all[i].Name}}, Facts: map[string]any{"values": values},
		})
	})
}

// reader is what the caller is to the values of a subject.
func (s *Service) reader(ctx context.Context, who caller.Caller, org id.Org, user id.User) (admin, self bool, err error) {
	err = s.Access.Authorize(ctx, who, MembersWrite, org, id.Workspace{})
	switch fault.KindOf(err) {
	case fault.Denied:
		err = nil
	default:
		admin = err == nil
	}
	return admin, !user.IsZero() && who.User == user, err
}

func (a Attribute) readableBy(admin, self bool) bool {
	return admin || a.Readers == ForMembers || self && a.Readers == ForSelf
}

func (a Attribute) writableBy(admin, self bool) bool { return admin || self && a.Writers == ForSelf }

// subject names whose values they are, and the owner of the key that seals them.
func subject(org id.Org, user id.User) (kind, row string, owner keyring.Owner) {
	if user.IsZero() {
		return OfOrganization, org.String(), keyring.Organization(org)
	}
	return OfMember, user.String(), keyring.Member(org, user)
}

// Values gives the values of the member, or with a zero user of the
// organization, that the caller may read.
func (s *Service) Values(ctx context.Context, who caller.Caller, org id.Org, user id.User) ([]Value, error) {
	if !user.IsZero() {
		if _, err := s.FindMembership(ctx, org, user); err != nil {
			return nil, err
		}
	}
	admin, self, err := s.reader(ctx, who, org, user)
	if err != nil {
		return nil, err
	}
	out := []Value{}
	err = s.eachValue(ctx, org, user, func(a Attribute, v Value) {
		if a.readableBy(admin, self) {
			out = append(out, v)
		}
	})
	return out, err
}

// Claims gives the values that tokens for the member carry, by the names of
// their claims: hers and the organization's.
func (s *Service) Claims(ctx context.Context, org id.Org, user id.User) (map[string]any, error) {
	out := map[string]any{}
	for _, u := range []id.User{{}, user} {
		err := s.eachValue(ctx, org, u, func(a Attribute, v Value) {
			if a.Claim != "" {
				out[a.Claim] = v.Value
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Service) eachValue(ctx context.Context, org id.Org, user id.User, fn func(Attribute, Value)) error {
	kind, row, owner := subject(org, user)
	type sealedValue struct {
		attribute id.Attribute
		value     []byte
		changed   int64
	}
	var values []sealedValue
	var all []Attribute
	err := s.Store.View(ctx, store.Org(org), func(tx *store.Tx) (err error) {
		if all, err = attributesTx(tx); err != nil || len(all) == 0 {
			return err
		}
		values, err = store.All(tx, func(r *store.Rows) (v sealedValue, err error) {
			return v, r.Scan(&v.attribute, &v.value, &v.changed)
		}, listValues, row)
		return err
	})
	if err != nil {
		return fmt.Errorf("directory: list values: %w", err)
	}
	if len(values) == 0 {
		return nil
	}
	ring, err := s.Keys.Ready(ctx, owner)
	if err != nil {
		return err
	}
	for _, a := range all {
		for _, v := range values {
			if v.attribute != a.ID || a.Subject != kind {
				continue
			}
			text, err := ring.OpenText(owner, labelValue, a.ID.String()+"/"+row, v.value)
			if errors.Is(err, keyring.ErrErased) {
				continue
			}
			if err != nil {
				return fmt.Errorf("directory: open value: %w", err)
			}
			fn(a, Value{a.Name, a.value(text), store.Time(v.changed)})
		}
	}
	return nil
}

// SetValue gives the member's attribute, or with a zero user the
// organization's, a value; nil takes it away. The error is ErrNone for what is
// not declared or not hers to see, fault.ErrDenied for what the caller may only
// read, access.ErrElevation for a member who has more than the caller, or
// ErrAttributeValue.
func (s *Service) SetValue(ctx context.Context, who caller.Caller, org id.Org, user id.User, name string, value any) error {
	kind, row, owner := subject(org, user)
	if !user.IsZero() {
		if _, err := s.FindMembership(ctx, org, user); err != nil {
			return err
		}
	}
	admin, self, err := s.reader(ctx, who, org, user)
	if err != nil {
		return err
	}
	all, err := s.Attributes(ctx, org)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(a Attribute) bool { return a.Subject == kind && a.Name == name })
	if i < 0 || !all[i].readableBy(admin, self) {
		return ErrNone
	}
	a := all[i]
	if !a.writableBy(admin, self) {
		return fault.ErrDenied
	}
	people := []id.User{}
	if !user.IsZero() {
		people = append(people, user)
	}
	pen, err := s.Audit.Pen(ctx, who, org, people...)
	if err != nil {
		return err
	}
	var sealed []byte
	if value != nil {
		text, err := a.parse(value)
		if err != nil {
			return err
		}
		if sealed, err = pen.SealText(owner, labelValue, a.ID.String()+"/"+row, text); err != nil {
			return fmt.Errorf("directory: seal value: %w", err)
		}
	}
	err = s.Store.Update(ctx, store.Org(org), func(tx *store.Tx) error {
		if err := s.Access.BumpTx(tx, org); err != nil {
			return err
		}
		if !user.IsZero() {
			if _, err := scanMembership(tx.Row(selectMembership, user)); err != nil {
				return none(err, "find membership")
			}
			if err := s.Access.MayTouchTx(tx, who, org, user); err != nil {
				return err
			}
		}
		var err error
		if value == nil {
			_, err = tx.Exec(dropValue, a.ID, row)
		} else {
			_, err = tx.Exec(putValue, a.ID, row, user, sealed, store.Micros(s.Now()))
		}
		switch {
		case errors.Is(err, store.ErrReference):
			return ErrNone // the declaration was taken back meanwhile
		case err != nil:
			return fmt.Errorf("directory: write value: %w", err)
		}
		// Neither value stands in the log: the attribute may be of any kind.
		return pen.Record(tx, audit.Entry{
			Kind: EventValueChanged, Target: target("attribute", a.ID), Person: user,
			Facts: map[string]any{"name": a.Name, "subject": row, "removed": value == nil},
		})
	})
	if errors.Is(err, access.ErrElevation) {
		return s.refused(ctx, who, org, target("attribute", a.ID), err)
	}
	return err
}
