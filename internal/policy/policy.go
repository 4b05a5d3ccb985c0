// Package policy holds each organization's rules and the pure decisions over
// them: which authenticators a person needs, whether a session may enter, how
// long it lasts.
//
// # Which rule wins
//
// Rules on authenticators (the length of a password) come from the
// organizations that manage the person: the strictest of them, else the floor
// of the installation; Authenticator decides. Another organization never
// changes or weakens her account: it refuses entry until her authenticator
// meets its rule.
//
// Rules on entry (second factor, password, session limits) are applied each
// time a session enters an organization; Entry decides, and what fails leads to
// a step-up, an enrollment or a new password, and leaves her other
// organizations untouched.
//
// Each change of rules is a version with its author and time; none is edited.
// Before a change is saved Preview shows whom it would lock out, the author
// included, and Change refuses one that locks its own author out unless she
// confirms it.
//
// The package owns policy_rules and policy_floors. It does not know who has
// which authenticator: Population, which app fills, says so.
package policy

import (
	"strconv"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/id"
)

// SecondFactor is whom an organization asks for a second factor.
type SecondFactor string

const (
	SecondFactorOff SecondFactor = "off" // each person decides for herself
	SecondFactorAll SecondFactor = "all" // every member, from Since plus the grace days
)

// Rules are one version of an organization's rules. The zero value asks for
// nothing beyond the floor.
type Rules struct {
	Org             id.Org       `json:"organization"`
	Version         int64        `json:"version" doc:"Raised by each change; 0 before the first."`
	SecondFactor    SecondFactor `json:"second_factor" enum:"off,all"`
	GraceDays       int          `json:"second_factor_grace_days" minimum:"0" maximum:"90" doc:"Days from second_factor_since in which members may still enter without one."`
	Since           time.Time    `json:"second_factor_since,omitzero" doc:"Since when a second factor is asked for."`
	PasswordMinimum int          `json:"password_minimum" minimum:"0" maximum:"64" doc:"Least number of characters of a password; 0 is the installation's floor."`
	SessionIdle     int          `json:"session_idle_minutes" minimum:"0" maximum:"43200" doc:"Minutes without a request after which a session must prove itself again; 0 is the installation's."`
	SessionAbsolute int          `json:"session_absolute_minutes" minimum:"0" maximum:"129600" doc:"Minutes after which a session ends whatever it does; 0 is the installation's."`
	By              string       `json:"changed_by,omitempty" doc:"Identifier of the author."`
	At              time.Time    `json:"changed_at,omitzero"`
}

// ETag is the entity tag of the version.
func (r Rules) ETag() string { return etag(r.Version) }

// Deadline is when the grace for a second factor ends; the zero time when none
// is asked for.
func (r Rules) Deadline() time.Time {
	if r.SecondFactor != SecondFactorAll {
		return time.Time{}
	}
	return r.Since.Add(time.Duration(r.GraceDays) * day)
}

// Floor is what the installation asks of everybody: no organization's rule is
// weaker.
type Floor struct {
	Version         int64     `json:"version"`
	PasswordMinimum int       `json:"password_minimum" minimum:"8" maximum:"64" doc:"Least number of characters of a password that is used with a second factor."`
	PasswordAlone   int       `json:"password_minimum_alone" minimum:"8" maximum:"64" doc:"Least number of characters of a password that is the only authenticator."`
	SessionIdle     int       `json:"session_idle_minutes" minimum:"5" maximum:"43200"`
	SessionAbsolute int       `json:"session_absolute_minutes" minimum:"15" maximum:"129600"`
	By              string    `json:"changed_by,omitempty"`
	At              time.Time `json:"changed_at,omitzero"`
}

// ETag is the entity tag of the version.
func (f Floor) ETag() string { return etag(f.Version) }

// Authenticators is what is asked of a person's own authenticators.
type Authenticators struct {
	PasswordMinimum int // with a second factor
	PasswordAlone   int // as the only authenticator
}

// Minimum is the least length of a password for a person who has a second
// factor, or has not.
func (a Authenticators) Minimum(secondFactor bool) int {
	if secondFactor {
		return a.PasswordMinimum
	}
	return a.PasswordAlone
}

// Authenticator is the strictest of the floor and the rules of the
// organizations that manage the person.
func Authenticator(managing []Rules, floor Floor) Authenticators {
	a := Authenticators{floor.PasswordMinimum, floor.PasswordAlone}
	for _, r := range managing {
		a.PasswordMinimum = max(a.PasswordMinimum, r.PasswordMinimum)
		a.PasswordAlone = max(a.PasswordAlone, r.PasswordMinimum)
	}
	return a
}

// Limits are how long a session lasts.
type Limits struct {
	Idle     time.Duration // without a request
	Absolute time.Duration // since the sign-in
}

// Session is the strictest of the floor and the organization's rules. With the
// zero Rules it is the floor's, for sessions in no organization.
func Session(r Rules, floor Floor) Limits {
	l := Limits{time.Duration(floor.SessionIdle) * time.Minute, time.Duration(floor.SessionAbsolute) * time.Minute}
	if d := time.Duration(r.SessionIdle) * time.Minute; d > 0 {
		l.Idle = min(l.Idle, d)
	}
	if d := time.Duration(r.SessionAbsolute) * time.Minute; d > 0 {
		l.Absolute = min(l.Absolute, d)
	}
	return l
}

// Facts are what a session shows when it enters an organization.
type Facts struct {
	Now      time.Time
	Methods  []caller.Method // authentications of the session
	AuthTime time.Time       // the last full sign-in
	SeenAt   time.Time       // the request before; zero: this is the first

	HasSecondFactor bool // a second factor is enrolled, whether or not the session used it

	// PasswordLength is the least length that the password used is known to
	// have: the minimum that was checked when it was set, or its length when it
	// was last typed. 0: unknown, or no password was used.
	PasswordLength int
}

// Outcome is what follows from a decision about entry.
type Outcome string

const (
	Allow    Outcome = "allow"
	StepUp   Outcome = "step-up"  // prove an authenticator that is enrolled
	Enroll   Outcome = "enroll"   // enroll a second factor first
	Password Outcome = "password" // choose a password that meets the rule first
	SignIn   Outcome = "sign-in"  // the session is over for this organization: sign in again
)

// Decision is what Entry says.
type Decision struct {
	Outcome  Outcome
	Why      string    // message key; "" when allowed without remark
	Deadline time.Time // with Allow: until when she may enter without a second factor
	Minimum  int       // with Password: the least length
}

// Entry decides whether a session may enter the organization whose rules these
// are. The order is fixed: a session that is over, then the second factor,
// then the password; so the person is led through one step at a time.
func Entry(r Rules, floor Floor, f Facts) Decision {
	l := Session(r, floor)
	if over(l.Absolute, f.AuthTime, f.Now) {
		return Decision{Outcome: SignIn, Why: "policy.entry.absolute"}
	}
	if !f.SeenAt.IsZero() && over(l.Idle, f.SeenAt, f.Now) {
		return Decision{Outcome: SignIn, Why: "policy.entry.idle"}
	}
	d := Decision{Outcome: Allow}
	if r.SecondFactor == SecondFactorAll && !TwoFactors(f.Methods) {
		switch {
		case f.HasSecondFactor:
			return Decision{Outcome: StepUp, Why: "policy.entry.step-up"}
		case !f.Now.Before(r.Deadline()):
			return Decision{Outcome: Enroll, Why: "policy.entry.enroll"}
		}
		d.Why, d.Deadline = "policy.entry.grace", r.Deadline()
	}
	if least := r.PasswordMinimum; least > 0 && usedPassword(f.Methods) && f.PasswordLength < least {
		return Decision{Outcome: Password, Why: "policy.entry.password", Minimum: least}
	}
	return d
}

// over reports whether the limit has passed since at. A clock that went back
// ends nothing.
func over(limit time.Duration, at, now time.Time) bool {
	return limit > 0 && now.Sub(at) >= limit
}

// TwoFactors reports whether the authentications of a session are two factors:
// a password or an upstream's sign-in with a code or a recovery code, a key
// with user verification, or an upstream that vouches for both.
func TwoFactors(ms []caller.Method) bool {
	first, second := false, false
	for _, m := range ms {
		switch m.Name {
		case "hwk", "mfa":
			return true
		case "otp", "rcv":
			second = true
		case "pwd", "fed":
			first = true
		}
	}
	return first && second
}

func usedPassword(ms []caller.Method) bool {
	for _, m := range ms {
		if m.Name == "pwd" && m.Connection == "" {
			return true
		}
	}
	return false
}

const day = 24 * time.Hour

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }
