package directory

import "github.com/rempart/rempart/internal/keyring"

// Labels of sealed fields and keyed hashes. They are part of what is sealed and
// never change.
const (
	labelOrgName         = "directory.org.name"
	labelWorkspaceName   = "directory.workspace.name"
	labelProfile         = "directory.user.profile"
	labelEmail           = "directory.user.email"
	labelMemberName      = "directory.membership.name"
	labelMemberEmail     = "directory.membership.email"
	labelInvitationEmail = "directory.invitation.email"
	labelValue           = "directory.attribute.value"

	hashEmail           = "directory.email"            // under the installation's index key
	hashMemberEmail     = "directory.membership.email" // under the organization's
	hashInvitationEmail = "directory.invitation.email" // under the organization's
)

// emailHash finds a normalized address among all users'.
func emailHash(ring *keyring.Ring, normalized string) []byte {
	return ring.Hash(keyring.Installation(), hashEmail, normalized)
}
