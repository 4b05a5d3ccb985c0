package directory

import (
	"embed"
	"io/fs"

	"github.com/rempart/rempart/internal/access"
	"github.com/rempart/rempart/internal/capability"
)

//go:embed migrations/*.sql messages/*.json
var files embed.FS

// Permissions of this package.
const (
	Read            = "directory.read"
	OrgWrite        = "directory.org.write"
	MembersWrite    = "directory.members.write"
	WorkspacesWrite = "directory.workspaces.write"
	AttributesWrite = "directory.attributes.write"
	StaffRead       = "directory.staff.read"
	StaffWrite      = "directory.staff.write"
)

// Kinds of entry of this package.
const (
	EventOrgAdded           = "directory.organization.added"
	EventOrgChanged         = "directory.organization.changed"
	EventOrgState           = "directory.organization.state_changed"
	EventWorkspaceAdded     = "directory.workspace.added"
	EventWorkspaceChanged   = "directory.workspace.changed"
	EventWorkspaceRemoved   = "directory.workspace.removed"
	EventUserAdded          = "directory.user.added"
	EventUserState          = "directory.user.state_changed"
	EventProfile            = "directory.profile.changed"
	EventAddressAdded       = "directory.address.added"
	EventAddressPrimary     = "directory.address.made_primary"
	EventAddressRemoved     = "directory.address.removed"
	EventMemberAdded        = "directory.member.added"
	EventMemberRenamed      = "directory.member.renamed"
	EventMemberSuspended    = "directory.member.suspended"
	EventMemberReactivated  = "directory.member.reactivated"
	EventMemberRemoved      = "directory.member.removed"
	EventInvited            = "directory.invitation.added"
	EventInvitationResent   = "directory.invitation.resent"
	EventInvitationRevoked  = "directory.invitation.revoked"
	EventInvitationAccepted = "directory.invitation.accepted"
	EventStaffAdded         = "directory.staff.added"
	EventStaffRemoved       = "directory.staff.removed"
	EventAttributeAdded     = "directory.attribute.added"
	EventAttributeRemoved   = "directory.attribute.removed"
	EventValueChanged       = "directory.attribute.value_changed"
	EventRefused            = "directory.change.refused"
)

// Manifest is what this package adds to the product.
func (s *Service) Manifest() capability.Manifest {
	admin := func(kind string, person bool) capability.Event {
		return capability.Event{Kind: kind, Class: capability.ClassAdmin, Person: person}
	}
	admins := []string{access.RoleOwner, access.RoleAdmin}
	return capability.Manifest{
		Name: "directory",
		Permissions: []capability.Permission{
			{Name: Read, Level: capability.LevelOrg, Roles: []string{access.RoleOwner, access.RoleAdmin, access.RoleMember, access.RoleAuditor}},
			{Name: OrgWrite, Level: capability.LevelOrg, Roles: []string{access.RoleOwner}, StepUp: true},
			{Name: MembersWrite, Level: capability.LevelOrg, Roles: admins},
			{Name: WorkspacesWrite, Level: capability.LevelOrg, Roles: admins},
			{Name: AttributesWrite, Level: capability.LevelOrg, Roles: admins},
			{Name: StaffRead, Level: capability.LevelStaff, Roles: access.StaffRoles},
			{Name: StaffWrite, Level: capability.LevelStaff, Roles: []string{access.RoleStaffAdmin}, StepUp: true},
		},
		Events: []capability.Event{
			admin(EventOrgAdded, true), admin(EventOrgChanged, false), admin(EventOrgState, false),
			admin(EventWorkspaceAdded, false), admin(EventWorkspaceChanged, false), admin(EventWorkspaceRemoved, false),
			admin(EventUserAdded, true), admin(EventUserState, true), admin(EventProfile, true),
			admin(EventAddressAdded, true), admin(EventAddressPrimary, true), admin(EventAddressRemoved, true),
			admin(EventMemberAdded, true), admin(EventMemberRenamed, true), admin(EventMemberSuspended, true),
			admin(EventMemberReactivated, true), admin(EventMemberRemoved, true),
			admin(EventInvited, false), admin(EventInvitationResent, false), admin(EventInvitationRevoked, false), admin(EventInvitationAccepted, true),
			admin(EventAttributeAdded, false), admin(EventAttributeRemoved, false), admin(EventValueChanged, true),
			admin(EventStaffAdded, true), admin(EventStaffRemoved, true), admin(EventRefused, true),
		},
		Tables: tables(), Statements: q.All(),
		Migrations: sub("migrations"), Messages: sub("messages"),
	}
}

func sub(dir string) fs.FS {
	f, err := fs.Sub(files, dir)
	if err != nil {
		panic(err) // the folder is embedded
	}
	return f
}

// The scopes that reach the tables.
const (
	acrossScopes = capability.ScopeStaff | capability.ScopeSystem
	orgScopes    = capability.ScopeOrg | acrossScopes
	userScopes   = capability.ScopeUser | acrossScopes
)

func plain(name, why string) capability.Column { return capability.Column{Name: name, Plain: why} }
func sealed(name, label string) capability.Column {
	return capability.Column{Name: name, Sealed: label}
}

func tables() []capability.Table {
	var (
		ident   = func(name string) capability.Column { return plain(name, "identifier") }
		at      = func(name string) capability.Column { return plain(name, "time") }
		state   = plain("state", "state that decisions are made by")
		version = plain("version", "counter")
	)
	return []capability.Table{
		{
			Name: "directory_orgs", Database: "main", OrgColumn: "id", Reach: orgScopes | capability.ScopeLookup,
			Export: "organization", Erase: "key",
			Columns: []capability.Column{
				ident("id"), plain("slug", "stands in addresses of pages, chosen to be public"), plain("kind", "customer or canary"), state,
				sealed("name", labelOrgName), version, at("created_at"),
			},
		},
		{
			Name: "directory_slugs", Database: "main", OrgColumn: "org_id", Reach: orgScopes | capability.ScopeLookup,
			Export: "organization", Erase: "none: a slug is never given to another organization",
			Columns: []capability.Column{plain("slug", "stands in addresses of pages, chosen to be public"), ident("org_id"), at("retired_at")},
		},
		{
			Name: "directory_workspaces", Database: "main", OrgColumn: "org_id", Reach: orgScopes,
			Export: "organization", Erase: "key",
			Columns: []capability.Column{
				ident("org_id"), ident("id"), plain("slug", "stands in addresses of pages"), state,
				sealed("name", labelWorkspaceName), version, at("created_at"),
			},
		},
		{
			Name: "directory_users", Database: "main", UsrColumn: "id", Reach: userScopes | capability.ScopeLookup,
			Export: "user", Erase: "key",
			Columns: []capability.Column{
				ident("id"), plain("kind", "customer or canary"), state, sealed("profile", labelProfile), version, at("created_at"),
			},
		},
		{
			Name: "directory_addresses", Database: "main", UsrColumn: "user_id", Reach: userScopes | capability.ScopeLookup,
			Export: "user", Erase: "rows",
			Columns: []capability.Column{
				ident("id"), ident("user_id"), sealed("email", labelEmail), {Name: "email_hash", Hash: "normalized address, under the installation's index key"},
				plain("main", "which address is written to"), at("verified_at"), at("created_at"),
			},
		},
		{
			Name: "directory_memberships", Database: "main", OrgColumn: "org_id", UsrColumn: "user_id", Reach: orgScopes | capability.ScopeUser,
			Export: "both", Erase: "rows",
			Columns: []capability.Column{
				ident("org_id"), ident("id"), ident("user_id"), state, sealed("name", labelMemberName), sealed("email", labelMemberEmail),
				{Name: "email_hash", Hash: "normalized address, under the organization's index key"}, version, at("joined_at"),
			},
		},
		{
			Name: "directory_invitations", Database: "main", OrgColumn: "org_id", Reach: orgScopes | capability.ScopeLookup,
			Export: "organization", Erase: "key",
			Columns: []capability.Column{
				ident("org_id"), ident("id"), {Name: "token_hash", Hash: "secret of 256 bits"}, sealed("email", labelInvitationEmail),
				{Name: "email_hash", Hash: "normalized address, under the organization's index key"},
				plain("roles", "names of roles and identifiers of workspaces"), plain("locale", "language of the message"), state,
				plain("invited_by", "identifier of the actor"), at("sent_at"), plain("times_sent", "counter"), at("expires_at"), at("created_at"), ident("accepted_by"),
			},
		},
		{
			Name: "directory_attributes", Database: "main", OrgColumn: "org_id", Reach: orgScopes,
			Export: "organization", Erase: "rows",
			Columns: []capability.Column{
				ident("org_id"), ident("id"), plain("subject", "what it is an attribute of"), plain("name", "name of a declared attribute, used by the API"),
				plain("kind", "form of the values"), plain("choices", "values that a declaration allows; they name no person"),
				plain("readers", "who may read, which decisions are made by"), plain("writers", "who may write, which decisions are made by"),
				plain("claim", "name of a claim, which clients know"), at("created_at"),
			},
		},
		{
			Name: "directory_values", Database: "main", OrgColumn: "org_id", UsrColumn: "user_id", Reach: orgScopes | capability.ScopeUser,
			Export: "both", Erase: "key",
			Columns: []capability.Column{
				ident("org_id"), ident("attribute_id"), ident("subject_id"), ident("user_id"), sealed("value", labelValue), at("changed_at"),
			},
		},
		{
			Name: "directory_staff", Database: "main", UsrColumn: "user_id", Reach: userScopes,
			Export: "user", Erase: "rows",
			Columns: []capability.Column{
				ident("user_id"), plain("role", "name of a role, which decisions are made by"), at("created_at"), plain("created_by", "identifier of the actor"),
			},
		},
	}
}
