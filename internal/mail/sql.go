package mail

import (
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/store"
)

var q = store.NewSet("mail")

var (
	insertMessage = q.Add("insert_message", `INSERT INTO mail_messages (id, owner, purpose, state, body, attempts, next_at, expires_at, created_at, ended_at, failure)
		VALUES ($1, $2, $3, 'queued', $4, 0, $5, $6, $5, 0, '')`,
		capability.ScopeOrg, capability.ScopeUser, capability.ScopeLookup, capability.ScopeStaff, capability.ScopeSystem)
	selectDue = q.Add("select_due", `SELECT id, owner, purpose, body, attempts, expires_at FROM mail_messages
		WHERE state = 'queued' AND next_at <= $1 ORDER BY next_at, id LIMIT $2`, store.ForSystem)
	takeMessage = q.Add("take_message", `UPDATE mail_messages SET attempts = attempts + 1, next_at = $3
		WHERE id = $1 AND state = 'queued' AND attempts = $2`, store.ForSystem)
	endMessage = q.Add("end_message", `UPDATE mail_messages SET state = $2, body = NULL, ended_at = $3, failure = $4
		WHERE id = $1 AND state = 'queued'`, store.ForSystem)
	noteFailure   = q.Add("note_failure", `UPDATE mail_messages SET failure = $2 WHERE id = $1 AND state = 'queued'`, store.ForSystem)
	deleteEnded   = q.Add("delete_ended", `DELETE FROM mail_messages WHERE state <> 'queued' AND ended_at < $1`, store.ForSystem)
	countMessages = q.Add("count_messages", `SELECT
		COALESCE(SUM(CASE WHEN state = 'queued' THEN 1 ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN state = 'failed' THEN 1 ELSE 0 END), 0),
		COALESCE(MIN(CASE WHEN state = 'queued' THEN created_at END), 0)
		FROM mail_messages`, store.ForSystem)
)
