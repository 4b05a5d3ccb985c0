package register

import (
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

var q = store.NewSet("register")

const attestationColumns = `id, statement, record, visibility, file_sha256, file_size, valid_from, valid_until, state, reminded, created_at, ended_at`

var (
	selectSettings = q.Add("select_settings", `SELECT kind, name, value FROM register_settings ORDER BY kind, name`, store.ForSystem, store.ForStaff)
	upsertSetting  = q.Add("upsert_setting", `INSERT INTO register_settings (kind, name, value, changed_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (kind, name) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at`, store.ForStaff)
	deleteSetting = q.Add("delete_setting", `DELETE FROM register_settings WHERE kind = $1 AND name = $2`, store.ForStaff)
	selectSetting = q.Add("select_setting", `SELECT value FROM register_settings WHERE kind = $1 AND name = $2`, store.ForStaff)

	insertAttestation = q.Add("insert_attestation", `INSERT INTO register_attestations (`+attestationColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'given', $9, $10, 0)`, store.ForStaff)
	listAttestations    = q.Add("list_attestations", `SELECT `+attestationColumns+` FROM register_attestations ORDER BY created_at DESC, id DESC`, store.ForSystem, store.ForStaff)
	selectAttestation   = q.Add("select_attestation", `SELECT `+attestationColumns+` FROM register_attestations WHERE id = $1`, store.ForSystem, store.ForStaff)
	withdrawAttestation = q.Add("withdraw_attestation", `UPDATE register_attestations SET state = 'withdrawn', ended_at = $2 WHERE id = $1 AND state = 'given'`, store.ForStaff)
	noteReminder        = q.Add("note_reminder", `UPDATE register_attestations SET reminded = $2 WHERE id = $1 AND reminded > $2 AND state = 'given'`, store.ForSystem)
	insertChunk         = q.Add("insert_chunk", `INSERT INTO register_chunks (attestation, place, data) VALUES ($1, $2, $3)`, store.ForStaff)
	selectChunks        = q.Add("select_chunks", `SELECT place, data FROM register_chunks WHERE attestation = $1 ORDER BY place`, store.ForSystem)

	selectVerdicts = q.Add("select_verdicts", `SELECT statement, verdict, class, since FROM register_verdicts`, store.ForSystem)
	upsertVerdict  = q.Add("upsert_verdict", `INSERT INTO register_verdicts (statement, verdict, class, since) VALUES ($1, $2, $3, $4)
		ON CONFLICT (statement) DO UPDATE SET verdict = excluded.verdict, class = excluded.class, since = excluded.since`, store.ForSystem)
	insertChange = q.Add("insert_change", `INSERT INTO register_changes (id, at, statement, kind, before_value, after_value) VALUES ($1, $2, $3, $4, $5, $6)`, store.ForSystem, store.ForStaff)
	listChanges  = q.Add("list_changes", `SELECT at, statement, kind, before_value, after_value FROM register_changes WHERE at >= $1 ORDER BY at DESC, id DESC LIMIT $2`, store.ForSystem)
)

type settingRow struct{ kind, name, value string }

func loadSettings(tx *store.Tx) ([]settingRow, error) {
	return store.All(tx, func(r *store.Rows) (settingRow, error) {
		var s settingRow
		return s, r.Scan(&s.kind, &s.name, &s.value)
	}, selectSettings)
}

type attestationRow struct {
	id                 id.Attestation
	statement          string
	record             []byte
	visibility, sha256 string
	size               int64
	from, until        int64
	state              string
	reminded           int64
	created, ended     int64
}

func scanAttestation(scan func(...any) error) (a attestationRow, err error) {
	err = scan(&a.id, &a.statement, &a.record, &a.visibility, &a.sha256, &a.size, &a.from, &a.until, &a.state, &a.reminded, &a.created, &a.ended)
	return a, err
}

func loadAttestations(tx *store.Tx) ([]attestationRow, error) {
	return store.All(tx, func(r *store.Rows) (attestationRow, error) { return scanAttestation(r.Scan) }, listAttestations)
}

type verdictRow struct {
	verdict, class string
	since          int64
}

func loadVerdicts(tx *store.Tx) (map[string]verdictRow, error) {
	out := map[string]verdictRow{}
	_, err := store.All(tx, func(r *store.Rows) (struct{}, error) {
		var statement string
		var v verdictRow
		err := r.Scan(&statement, &v.verdict, &v.class, &v.since)
		out[statement] = v
		return struct{}{}, err
	}, selectVerdicts)
	return out, err
}

func tables() []capability.Table {
	const none = "none: the company's own papers"
	both := capability.ScopeSystem | capability.ScopeStaff
	published := "published on the trust page"
	table := func(name string, columns []capability.Column) capability.Table {
		return capability.Table{Name: name, Database: "main", Reach: both, Export: none, Erase: none, Columns: columns}
	}
	return []capability.Table{
		table("register_settings", plain(published, "kind", "name", "value", "changed_at")),
		table("register_attestations", append(plain("identifiers, times, states and the hash of a file: published with the statement",
			"id", "statement", "visibility", "file_sha256", "file_size", "valid_from", "valid_until", "state", "reminded", "created_at", "ended_at"),
			capability.Column{Name: "record", Sealed: labelRecord})),
		table("register_chunks", append(plain("identifiers", "attestation", "place"), capability.Column{Name: "data", Sealed: labelChunk})),
		table("register_verdicts", plain(published, "statement", "verdict", "class", "since")),
		table("register_changes", plain(published, "id", "at", "statement", "kind", "before_value", "after_value")),
	}
}

func plain(why string, names ...string) (out []capability.Column) {
	for _, n := range names {
		out = append(out, capability.Column{Name: n, Plain: why})
	}
	return out
}
