package trust

import (
	"time"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/store"
)

var q = store.NewSet("trust")

var (
	insertResult = q.Add("insert_result", `INSERT INTO trust_results (id, control, ran_at, verdict, checked, failed, evidence, envelope)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, store.ForSystem)
	upsertState = q.Add("upsert_state", `INSERT INTO trust_states (control, result, ran_at, verdict, since, checked, failed, note)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (control) DO UPDATE SET result = excluded.result, ran_at = excluded.ran_at,
		since = CASE WHEN trust_states.verdict = excluded.verdict THEN trust_states.since ELSE excluded.since END,
		verdict = excluded.verdict, checked = excluded.checked, failed = excluded.failed, note = excluded.note`, store.ForSystem)
	upsertDay = q.Add("upsert_day", `INSERT INTO trust_days (control, day, passed, failed, other) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (control, day) DO UPDATE SET passed = trust_days.passed + excluded.passed, failed = trust_days.failed + excluded.failed, other = trust_days.other + excluded.other`, store.ForSystem)
	selectStates   = q.Add("select_states", `SELECT control, ran_at, verdict, since, checked, failed, note FROM trust_states`, store.ForSystem)
	selectState    = q.Add("select_state", `SELECT control, ran_at, verdict, since, checked, failed, note FROM trust_states WHERE control = $1`, store.ForSystem)
	selectEvidence = q.Add("select_evidence", `SELECT evidence, envelope FROM trust_results
		WHERE id = (SELECT result FROM trust_states WHERE control = $1)`, store.ForSystem)
	selectDays   = q.Add("select_days", `SELECT control, day, passed, failed, other FROM trust_days WHERE day >= $1 ORDER BY control, day`, store.ForSystem)
	pruneResults = q.Add("prune_results", `DELETE FROM trust_results WHERE ran_at < $1 AND id NOT IN (SELECT result FROM trust_states)`, store.ForSystem)
	pruneDays    = q.Add("prune_days", `DELETE FROM trust_days WHERE day < $1`, store.ForSystem)
	insertKey    = q.Add("insert_key", `INSERT INTO trust_keys (id, verifier, signer, created_at) VALUES ($1, $2, $3, $4)`, store.ForSystem)
	selectKeys   = q.Add("select_keys", `SELECT id, verifier, signer, created_at FROM trust_keys ORDER BY created_at DESC, id DESC`, store.ForSystem)
)

type keyRow struct {
	id       string
	verifier string
	signer   []byte
	created  int64
}

func loadKeys(tx *store.Tx) ([]keyRow, error) {
	return store.All(tx, func(r *store.Rows) (keyRow, error) {
		var k keyRow
		return k, r.Scan(&k.id, &k.verifier, &k.signer, &k.created)
	}, selectKeys)
}

// scanState reads one row of trust_states.
func scanState(scan func(...any) error) (State, error) {
	var s State
	var ran, since int64
	if err := scan(&s.ID, &ran, &s.Verdict, &since, &s.Checked, &s.Failed, &s.Note); err != nil {
		return State{}, err
	}
	at := store.Time(ran)
	s.RanAt, s.Since = &at, store.Time(since)
	return s, nil
}

func loadStates(tx *store.Tx) (map[string]State, error) {
	rows, err := store.All(tx, func(r *store.Rows) (State, error) { return scanState(r.Scan) }, selectStates)
	out := make(map[string]State, len(rows))
	for _, s := range rows {
		out[s.ID] = s
	}
	return out, err
}

type dayRow struct {
	control string
	Day
}

func loadDays(tx *store.Tx, from int64) (map[string][]Day, error) {
	rows, err := store.All(tx, func(r *store.Rows) (dayRow, error) {
		var d dayRow
		var n int64
		err := r.Scan(&d.control, &n, &d.Passed, &d.Failed, &d.Other)
		d.Day.Day = dayTime(n)
		return d, err
	}, selectDays, from)
	out := map[string][]Day{}
	for _, d := range rows {
		out[d.control] = append(out[d.control], d.Day)
	}
	return out, err
}

// tables of the capability.
func tables() []capability.Table {
	const none = "none: no data of anybody"
	public := "published evidence: counts, verdicts and times, no data of anybody"
	table := func(name string, columns ...capability.Column) capability.Table {
		return capability.Table{Name: name, Database: "main", Reach: capability.ScopeSystem, Export: none, Erase: none, Columns: columns}
	}
	return []capability.Table{
		table("trust_results", plain(public, "id", "control", "ran_at", "verdict", "checked", "failed", "evidence", "envelope")...),
		table("trust_states", plain(public, "control", "result", "ran_at", "verdict", "since", "checked", "failed", "note")...),
		table("trust_days", plain(public, "control", "day", "passed", "failed", "other")...),
		table("trust_keys", append(plain("public verifier key and its time", "id", "verifier", "created_at"),
			capability.Column{Name: "signer", Sealed: labelSigner})...),
	}
}

func plain(why string, names ...string) (out []capability.Column) {
	for _, n := range names {
		out = append(out, capability.Column{Name: n, Plain: why})
	}
	return out
}

// dayOf numbers the UTC days since 1970; dayTime is the day's first instant.
func dayOf(t time.Time) int64   { return t.Unix() / 86400 }
func dayTime(n int64) time.Time { return time.Unix(n*86400, 0).UTC() }
