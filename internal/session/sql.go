package session

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

var q = store.NewSet("session")

const columns = `s.id, s.user_id, s.methods, s.created_at, s.auth_at, s.fresh_at, s.idle, s.ends_at, COALESCE(e.seen_at, s.fresh_at), COALESCE(e.pause, 0)`

var (
	findBySecret = q.Add("find_by_secret", `SELECT `+columns+` FROM session_sessions s LEFT JOIN session_seen e ON e.session_id = s.id
		WHERE s.secret = $1 AND s.ended_at = 0`, store.ForLookup)
	listOfUser = q.Add("list_of_user", `SELECT `+columns+`, s.origin FROM session_sessions s LEFT JOIN session_seen e ON e.session_id = s.id AND e.user_id = $user
		WHERE s.user_id = $user AND s.ended_at = 0 AND s.ends_at > $1 ORDER BY s.id DESC LIMIT $2`)
	insertSession = q.Add("insert", `INSERT INTO session_sessions (id, secret, user_id, methods, created_at, auth_at, fresh_at, idle, ends_at, changed_at, ended_at, ended_why, origin)
		VALUES ($1, $2, $user, $3, $4, $4, $4, $5, $6, $4, 0, '', $7)`)
	renewSession = q.Add("renew", `UPDATE session_sessions SET secret = $2, methods = $3, fresh_at = $4, auth_at = $5, idle = $6, ends_at = $7, changed_at = $4
		WHERE id = $1 AND user_id = $user AND ended_at = 0`)
	endSession = q.Add("end", `UPDATE session_sessions SET ended_at = $2, changed_at = $2, ended_why = $3
		WHERE id = $1 AND user_id = $user AND ended_at = 0 RETURNING id`)
	endOthers = q.Add("end_others", `UPDATE session_sessions SET ended_at = $2, changed_at = $2, ended_why = $3
		WHERE user_id = $user AND ended_at = 0 AND id <> $1 RETURNING id`)
	recentOrigins = q.Add("recent_origins", `SELECT id, origin FROM session_sessions WHERE user_id = $user ORDER BY id DESC LIMIT $1`)
	touch         = q.Add("touch", `INSERT INTO session_seen (session_id, user_id, seen_at, pause) VALUES ($1, $user, $2, $3)
		ON CONFLICT (session_id) DO UPDATE SET seen_at = excluded.seen_at,
			pause = CASE WHEN session_seen.pause > excluded.pause THEN session_seen.pause ELSE excluded.pause END
		WHERE session_seen.seen_at < excluded.seen_at AND session_seen.user_id = $user`)

	changedSince = q.Add("changed_since", `SELECT id FROM session_sessions WHERE changed_at >= $1`, store.ForSystem)
	endDisabled  = q.Add("end_disabled", `UPDATE session_sessions SET ended_at = $2, changed_at = $2, ended_why = 'disabled' WHERE user_id = $1 AND ended_at = 0`, store.ForSystem)
	leftDisabled = q.Add("leave_disabled", `UPDATE session_entries SET cut_at = $2 WHERE user_id = $1 AND cut_at = 0`, store.ForSystem)
	sweepSeen    = q.Add("sweep_seen", `DELETE FROM session_seen WHERE session_id IN (SELECT id FROM session_sessions WHERE ends_at < $1)`, store.ForSystem)
	sweepEntries = q.Add("sweep_entries", `DELETE FROM session_entries WHERE session_id IN (SELECT id FROM session_sessions WHERE ends_at < $1)`, store.ForSystem)
	sweep        = q.Add("sweep", `DELETE FROM session_sessions WHERE ends_at < $1`, store.ForSystem)

	insertEntry = q.Add("insert_entry", `INSERT INTO session_entries (session_id, org_id, user_id, entered_at, cut_at, origin) VALUES ($1, $org, $2, $3, 0, $4)
		ON CONFLICT (org_id, session_id) DO UPDATE SET entered_at = excluded.entered_at, origin = excluded.origin, cut_at = 0 WHERE session_entries.org_id = $org`)
	leaveEntries = q.Add("leave_entries", `UPDATE session_entries SET cut_at = $2 WHERE session_id = $1 AND user_id = $user AND cut_at = 0`)
	findEntry    = q.Add("find_entry", `SELECT entered_at, cut_at FROM session_entries WHERE session_id = $1 AND org_id = $org`)
	listEntries  = q.Add("list_entries", `SELECT session_id, entered_at, origin FROM session_entries
		WHERE org_id = $org AND user_id = $1 AND cut_at = 0 AND entered_at > $2 ORDER BY session_id DESC LIMIT $3`)
	cutEntry     = q.Add("cut_entry", `UPDATE session_entries SET cut_at = $3 WHERE org_id = $org AND user_id = $1 AND session_id = $2 AND cut_at = 0 RETURNING session_id`)
	cutEntries   = q.Add("cut_entries", `UPDATE session_entries SET cut_at = $2 WHERE org_id = $org AND user_id = $1 AND cut_at = 0 RETURNING session_id`)
	enteredSince = q.Add("entered_since", `SELECT s.methods FROM session_entries e JOIN session_sessions s ON s.id = e.session_id
		WHERE e.org_id = $1 AND e.entered_at >= $2 AND e.cut_at = 0`, store.ForSystem)
	cutSince  = q.Add("cut_since", `SELECT session_id FROM session_entries WHERE cut_at >= $1`, store.ForSystem)
	rested    = q.Add("rested", `UPDATE session_seen SET seen_at = $2, pause = 0 WHERE session_id = $1 AND user_id = $user`)
	findState = q.Add("find_state", `SELECT s.ended_at, s.ends_at, COALESCE(e.pause, 0) FROM session_sessions s LEFT JOIN session_seen e ON e.session_id = s.id WHERE s.id = $1`, store.ForLookup)
	countDue  = q.Add("count_due", `SELECT count(*) FROM session_sessions WHERE ends_at < $1`, store.ForSystem)
)

type scanner interface{ Scan(dest ...any) error }

func scan(r scanner, more ...any) (Session, error) {
	var s Session
	var methods string
	var created, auth, fresh, idle, ends, seen, pause int64
	if err := r.Scan(append([]any{&s.ID, &s.User, &methods, &created, &auth, &fresh, &idle, &ends, &seen, &pause}, more...)...); err != nil {
		return s, err
	}
	if err := json.Unmarshal([]byte(methods), &s.Methods); err != nil {
		return s, fmt.Errorf("session: methods of %s: %w", s.ID, err)
	}
	s.Created, s.AuthTime, s.FreshAt = store.Time(created), store.Time(auth), store.Time(fresh)
	s.Idle, s.Ends, s.Seen = time.Duration(idle)*time.Microsecond, store.Time(ends), store.Time(seen)
	s.Pause = time.Duration(pause) * time.Microsecond
	return s, nil
}

func encodeMethods(m []caller.Method) (string, error) {
	b, err := json.Marshal(m)
	return string(b), err
}

func scanID(r *store.Rows) (id.Session, error) {
	var v id.Session
	return v, r.Scan(&v)
}
