package keyring

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/rempart/rempart/internal/id"
)

// Class is what kind of owner a data key has.
type Class string

// The classes of data keys, and of the key above them.
const (
	ClassKEK          Class = "key-encryption"
	ClassInstallation Class = "installation"
	ClassOrganization Class = "organization"
	ClassUser         Class = "user"
	ClassMember       Class = "member"
)

// Owner is whose data a key seals. It is comparable and small; make one with
// Installation, Organization, Person or Member.
type Owner struct {
	org  id.Org
	user id.User
}

// Installation owns what belongs to no organization and no person: settings,
// the installation's own log, signing keys.
func Installation() Owner { return Owner{} }

// Organization owns what an organization stores that names no person.
func Organization(org id.Org) Owner { return Owner{org: org} }

// Person owns a user's global profile and credentials.
func Person(user id.User) Owner { return Owner{user: user} }

// Member owns what concerns a user inside one organization.
func Member(org id.Org, user id.User) Owner { return Owner{org: org, user: user} }

// Class tells what kind of owner o is.
func (o Owner) Class() Class {
	switch {
	case o.org.IsZero() && o.user.IsZero():
		return ClassInstallation
	case o.user.IsZero():
		return ClassOrganization
	case o.org.IsZero():
		return ClassUser
	}
	return ClassMember
}

// Org is the organization, zero for the installation and a user.
func (o Owner) Org() id.Org { return o.org }

// User is the user, zero for the installation and an organization.
func (o Owner) User() id.User { return o.user }

// String is the owner as the tables and the log name it: "installation",
// "org_…", "usr_…" or "org_…/usr_…".
func (o Owner) String() string {
	switch o.Class() {
	case ClassInstallation:
		return "installation"
	case ClassOrganization:
		return o.org.String()
	case ClassUser:
		return o.user.String()
	}
	return o.org.String() + "/" + o.user.String()
}

// ParseOwner reads what String wrote; the error is id.ErrMalformed.
func ParseOwner(s string) (Owner, error) {
	if s == "installation" {
		return Installation(), nil
	}
	org, user, member := strings.Cut(s, "/")
	if !member && strings.HasPrefix(s, "usr_") {
		org, user = "", s
	}
	var o Owner
	var err error
	if org != "" || member {
		if o.org, err = id.ParseOrg(org); err != nil {
			return Owner{}, err
		}
	}
	if user != "" || member {
		if o.user, err = id.ParseUser(user); err != nil {
			return Owner{}, err
		}
	}
	if o == (Owner{}) {
		return Owner{}, id.ErrMalformed
	}
	return o, nil
}

// bytes is the form that associated data binds: 32 bytes, zero where there is
// no organization or no user, which no stored identifier ever is.
func (o Owner) bytes() (b [32]byte) {
	org, user := o.org.Bytes(), o.user.Bytes()
	copy(b[:16], org[:])
	copy(b[16:], user[:])
	return b
}

// digest names the owner in the erasure ledger without naming it.
func (o Owner) digest() string {
	b := o.bytes()
	sum := sha256.Sum256(append([]byte("rempart/erased-owner/1\n"), b[:]...))
	return hex.EncodeToString(sum[:])
}

// parent is the owner whose destruction ends o's keys too: for a member the
// organization. ok is false where there is none by nature; a managed user's
// is in its row.
func (o Owner) parent() (Owner, bool) {
	if o.Class() == ClassMember {
		return Organization(o.org), true
	}
	return Owner{}, false
}
