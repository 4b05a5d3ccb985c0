package audit

import (
	"strconv"
	"strings"

	"github.com/rempart/rempart/internal/store"
)

var q = store.NewSet("audit")

// both is a statement on one log, twice: bound to the organization of the
// scope, and for the logs that no organization owns, where it is named.
type both struct{ org, system *store.Stmt }

// perLog registers a statement in which {log} stands for the log.
func perLog(name, text string) both {
	n := 0
	for i := 1; strings.Contains(text, "$"+strconv.Itoa(i)); i++ {
		n = i
	}
	return both{
		org:    q.Add(name, strings.ReplaceAll(text, "{log}", "$org")),
		system: q.Add(name+"_system", strings.ReplaceAll(text, "{log}", "$"+strconv.Itoa(n+1)), store.ForSystem, store.ForStaff),
	}
}

// in gives the statement and its arguments for the log, in a transaction whose
// scope is the log's own or the system's.
func (b both) in(tx *store.Tx, r ref, args []any) (*store.Stmt, []any) {
	if !r.org.IsZero() && tx.Scope() == store.Org(r.org) {
		return b.org, args
	}
	return b.system, append(args[:len(args):len(args)], r.key)
}

func (b both) row(tx *store.Tx, r ref, args ...any) *store.Row {
	st, args := b.in(tx, r, args)
	return tx.Row(st, args...)
}

func rows[T any](tx *store.Tx, r ref, scan func(*store.Rows) (T, error), b both, args ...any) ([]T, error) {
	st, args := b.in(tx, r, args)
	return store.All(tx, scan, st, args...)
}

var (
	insertEntry   = q.Add("insert_entry", insertInto+placeholders(1), store.ForSystem)
	insertEntries = q.Add("insert_entries", insertInto+placeholders(insertBatch), store.ForSystem)
	upsertTile    = q.Add("upsert_tile", `INSERT INTO audit_tiles (org_id, level, place, data) VALUES ($1, $2, $3, $4)
		ON CONFLICT (org_id, level, place) DO UPDATE SET data = excluded.data`, store.ForSystem)
	insertLog = q.Add("insert_log", `INSERT INTO audit_logs (org_id, origin, slot, size, root, fence, signed, signed_key, signed_at, epoch_size, epoch_root)
		VALUES ($1, $2, $3, 0, $4, 0, 0, '', 0, 0, $4)`, store.ForSystem)
	// The row moves from the size it was read at, and never for a sequencer
	// that another has taken over from.
	moveHead = q.Add("move_head", `UPDATE audit_logs SET size = $1, root = $2, fence = $3
		WHERE org_id = $4 AND size = $5 AND fence <= $3`, store.ForSystem)
	takeFence = q.Add("take_fence", `UPDATE audit_logs SET fence = fence + 1 WHERE org_id = $1 RETURNING fence`, store.ForSystem)
	countLogs = q.Add("count_logs", `SELECT count(*) FROM audit_logs WHERE slot >= 0`, store.ForSystem)
	slotTaken = q.Add("slot_taken", `SELECT count(*) FROM audit_logs WHERE slot = $1`, store.ForSystem)
	selectLog = perLog("select_log", `SELECT origin, slot, size, root, signed, signed_key, signed_at FROM audit_logs WHERE org_id = {log}`)

	selectPending = q.Add("select_pending", `SELECT org_id, seq, id, leaf FROM audit_entries WHERE seq < 0 ORDER BY org_id, id LIMIT $1`, store.ForSystem)
	countPending  = q.Add("count_pending", `SELECT count(*) FROM audit_entries WHERE seq < 0 AND at < $1`, store.ForSystem)
	// An entry of a log lies between its signed and its present size; the oldest says how long.
	countUnsigned = q.Add("count_unsigned", `SELECT count(*) FROM audit_logs AS l WHERE l.signed < l.size AND EXISTS (
		SELECT 1 FROM audit_entries AS e WHERE e.org_id = l.org_id AND e.seq = l.signed AND e.at < $1)`, store.ForSystem)
	setIndex   = q.Add("set_index", `UPDATE audit_entries SET seq = $1 WHERE org_id = $2 AND seq = $3`, store.ForSystem)
	setIndexes = q.Add("set_indexes", `UPDATE audit_entries SET seq = v.column2 FROM (VALUES `+pairs(2, indexBatch)+`) AS v
		WHERE audit_entries.org_id = $1 AND audit_entries.seq = v.column1`, store.ForSystem)

	selectTile   = perLog("select_tile", `SELECT data FROM audit_tiles WHERE org_id = {log} AND level = $1 AND place = $2`)
	selectLeaves = perLog("select_leaves", `SELECT leaf FROM audit_entries WHERE org_id = {log} AND seq >= $1 AND seq < $2 ORDER BY seq`)
)

const entryColumns = `seq, id, at, kind, outcome, actor, target, leaf, facts, facts_key, person, person_key`

var (
	// The inner query reads the search index only.
	search = perLog("search", `SELECT `+entryColumns+` FROM audit_entries WHERE org_id = {log} AND id IN (
		SELECT id FROM audit_entries WHERE org_id = {log} AND id < $1 AND id >= $2 AND kind >= $3 AND kind < $4
		AND ($5 = '' OR outcome = $5) AND ($6 = '' OR actor = $6) AND ($7 = '' OR target = $7) ORDER BY id DESC LIMIT $8) ORDER BY id DESC`)
	selectEntry   = perLog("select_entry", `SELECT `+entryColumns+` FROM audit_entries WHERE org_id = {log} AND id = $1`)
	selectEntries = perLog("select_entries", `SELECT `+entryColumns+` FROM audit_entries WHERE org_id = {log} AND seq >= $1 AND seq < $2 ORDER BY seq`)
	// An entry that records the end of a person's key names her as its target.
	selectErasure = perLog("select_erasure", `SELECT seq FROM audit_entries WHERE org_id = {log} AND target = $1 AND kind LIKE '%.erased' AND seq > $2 ORDER BY id LIMIT 1`)
	selectPruned  = perLog("select_pruned", `SELECT first, last, entry FROM audit_pruned WHERE org_id = {log} ORDER BY first`)
	selectSeq     = perLog("select_seq", `SELECT seq FROM audit_entries WHERE org_id = {log} AND id = $1`)
	selectWaiting = perLog("select_waiting", `SELECT id, at FROM audit_entries WHERE org_id = {log} AND seq < 0 ORDER BY id`)
	selectBeyond  = perLog("select_beyond", `SELECT id, seq FROM audit_entries WHERE org_id = {log} AND seq >= $1 ORDER BY seq LIMIT 20`)

	selectUnsigned = q.Add("select_unsigned", `SELECT org_id FROM audit_logs WHERE signed < size ORDER BY org_id LIMIT $1`, store.ForSystem)
	selectLogs     = q.Add("select_logs", `SELECT org_id FROM audit_logs WHERE org_id > $1 ORDER BY org_id LIMIT $2`, store.ForSystem)
	upsertNote     = q.Add("upsert_note", `INSERT INTO audit_checkpoints (org_id, size, at, epoch, note) VALUES ($1, $2, $3, 0, $4)
		ON CONFLICT (org_id, size) DO UPDATE SET at = excluded.at, note = excluded.note`, store.ForSystem)
	markSigned = q.Add("mark_signed", `UPDATE audit_logs SET signed = $2, signed_key = $3, signed_at = $4 WHERE org_id = $1 AND signed <= $2`, store.ForSystem)
	selectNote = perLog("select_note", `SELECT at, note FROM audit_checkpoints WHERE org_id = {log} AND size = $1`)
	// The oldest checkpoint that is at least as large.
	selectNotes = perLog("select_notes", `SELECT size, note FROM audit_checkpoints WHERE org_id = {log} AND size >= $1 AND size < $2 ORDER BY size`)

	bindNotes  = q.Add("bind_notes", `UPDATE audit_checkpoints SET epoch = $1 WHERE epoch = 0 RETURNING org_id, size, note`, store.ForSystem)
	setEpoch   = q.Add("set_epoch", `UPDATE audit_logs SET epoch_size = $2, epoch_root = $3 WHERE org_id = $1 AND epoch_size <= $2`, store.ForSystem)
	epochHeads = q.Add("epoch_heads", `SELECT origin, slot, epoch_size, epoch_root FROM audit_logs WHERE slot >= 0 AND org_id <> 'platform'`, store.ForSystem)
	pastHeads  = q.Add("past_heads", `SELECT l.origin, l.slot, c.size, c.note FROM audit_logs AS l
		LEFT JOIN audit_checkpoints AS c ON c.org_id = l.org_id AND c.size = (SELECT max(p.size) FROM audit_checkpoints AS p
		WHERE p.org_id = l.org_id AND p.epoch > 0 AND p.epoch <= $1) WHERE l.org_id <> 'platform'`, store.ForSystem)
	lastEpoch   = q.Add("last_epoch", `SELECT number, entry, at, width, root, seed FROM audit_epochs WHERE number <= $1 ORDER BY number DESC LIMIT 1`, store.ForSystem)
	insertEpoch = q.Add("insert_epoch", `INSERT INTO audit_epochs (number, entry, at, width, root, seed) VALUES ($1, $2, $3, $4, $5, $6)`, store.ForSystem)

	insertKey  = q.Add("insert_key", `INSERT INTO audit_keys (id, purpose, public, secret, made, retired) VALUES ($1, $2, $3, $4, $5, 0)`, store.ForSystem)
	retireKey  = q.Add("retire_key", `UPDATE audit_keys SET retired = $2 WHERE purpose = $1 AND retired = 0`, store.ForSystem)
	selectKeys = q.Add("select_keys", `SELECT id, purpose, public, secret, retired FROM audit_keys ORDER BY made DESC, id`, store.ForSystem)

	insertDay  = q.Add("insert_day", `INSERT INTO audit_days (day, secret, at) VALUES ($1, $2, $3) ON CONFLICT (day) DO NOTHING`, store.ForSystem)
	selectDay  = q.Add("select_day", `SELECT secret FROM audit_days WHERE day = $1`, store.ForSystem)
	deleteDays = q.Add("delete_days", `DELETE FROM audit_days WHERE day < $1`, store.ForSystem)
)

const insertInto = `INSERT INTO audit_entries (org_id, seq, id, at, kind, outcome, actor, target, leaf, facts, facts_key, person, person_key) VALUES `

const (
	insertColumns = 13
	insertBatch   = 4 // rows that one statement inserts; the engine searches parameters one by one
)

// placeholders writes n rows of parameters.
func placeholders(n int) string {
	var b strings.Builder
	for i := range n * insertColumns {
		switch {
		case i == 0:
			b.WriteString("(")
		case i%insertColumns == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		b.WriteString("$" + strconv.Itoa(i+1))
	}
	return b.String() + ")"
}

// indexBatch is how many entries one statement of the sequencer gives an index.
const indexBatch = 64

// pairs writes n rows of two integers, from the parameter first on.
func pairs(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("(CAST($" + strconv.Itoa(first+2*i) + " AS BIGINT), CAST($" + strconv.Itoa(first+2*i+1) + " AS BIGINT))")
	}
	return b.String()
}
