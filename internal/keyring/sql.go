package keyring

import (
	"errors"

	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

var (
	q  = store.NewSet("keyring")
	qk = store.NewKeysSet("keyring")
)

// Columns of a key, in the order that scanKey reads.
const keyColumns = `id, owner, class, purpose, version, state, parent, wrapped, reserved, acked, created_at, retired_at`

var (
	insertMeta = qk.Add("insert_meta", `INSERT INTO keyring_meta (id, installation, recipient, changes, generation, epoch, ledger_lines, ledger_head, log_size, log_head, vacuum_due, copy_due, canary, ledger_key, ledger_public, created_at)
		VALUES ('keyring', $1, $2, $3, 1, $4, $5, $6, $7, $8, TRUE, TRUE, $9, $10, $11, $12)`, store.ForSystem)
	selectMeta = qk.Add("select_meta", `SELECT installation, recipient, changes, generation, epoch, ledger_lines, ledger_head, log_size, log_head, vacuum_due, copy_due, canary, ledger_key, ledger_public, created_at
		FROM keyring_meta WHERE id = 'keyring'`, store.ForSystem)
	selectGeneration = qk.Add("select_generation", `SELECT generation FROM keyring_meta WHERE id = 'keyring'`, store.ForSystem)
	bumpChanges      = qk.Add("bump_changes", `UPDATE keyring_meta SET changes = changes + 1 WHERE id = 'keyring' RETURNING changes`, store.ForSystem)
	bumpGeneration   = qk.Add("bump_generation", `UPDATE keyring_meta SET generation = generation + 1, changes = changes + 1, copy_due = TRUE WHERE id = 'keyring'`, store.ForSystem)
	updateHead       = qk.Add("update_head", `UPDATE keyring_meta SET ledger_lines = $1, ledger_head = $2, epoch = $3 WHERE id = 'keyring' AND ledger_lines <= $1`, store.ForSystem)
	updateVacuum     = qk.Add("update_vacuum", `UPDATE keyring_meta SET vacuum_due = $1 WHERE id = 'keyring'`, store.ForSystem)
	updateCopied     = qk.Add("update_copied", `UPDATE keyring_meta SET copy_due = FALSE WHERE id = 'keyring' AND generation = $1`, store.ForSystem)
	updateLog        = qk.Add("update_log", `UPDATE keyring_meta SET log_size = $1, log_head = $2 WHERE id = 'keyring' AND log_size < $1`, store.ForSystem)
	setLog           = qk.Add("set_log", `UPDATE keyring_meta SET log_size = $1, log_head = $2 WHERE id = 'keyring'`, store.ForSystem)
	updateSecrets    = qk.Add("update_secrets", `UPDATE keyring_meta SET canary = $1, ledger_key = $2 WHERE id = 'keyring'`, store.ForSystem)

	insertKEK   = qk.Add("insert_kek", `INSERT INTO keyring_keks (id, version, state, root_kind, by_root, by_recovery, created_at, retired_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`, store.ForSystem)
	selectKEKs  = qk.Add("select_keks", `SELECT id, version, state, root_kind, by_root, by_recovery, created_at, retired_at FROM keyring_keks ORDER BY version DESC`, store.ForSystem)
	retireKEKs  = qk.Add("retire_keks", `UPDATE keyring_keks SET state = 'retired', retired_at = $2 WHERE id <> $1 AND state = 'active'`, store.ForSystem)
	activateKEK = qk.Add("activate_kek", `UPDATE keyring_keks SET state = 'active' WHERE id = $1`, store.ForSystem)
	deleteKEK   = qk.Add("delete_kek", `DELETE FROM keyring_keks WHERE id = $1 AND state = 'retired' AND NOT EXISTS (SELECT 1 FROM keyring_keys WHERE keyring_keys.parent = $1)`, store.ForSystem)

	updateByRecovery = qk.Add("update_by_recovery", `UPDATE keyring_keks SET by_recovery = $2 WHERE id = $1`, store.ForSystem)
	updateRecipient  = qk.Add("update_recipient", `UPDATE keyring_meta SET recipient = $1 WHERE id = 'keyring'`, store.ForSystem)

	insertKey = qk.Add("insert_key", `INSERT INTO keyring_keys (`+keyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING`, store.ForSystem)

	// Sixteen owners at a time: one statement prepared once, padded by repetition.
	selectOwners = qk.Add("select_owners", `SELECT `+keyColumns+` FROM keyring_keys
		WHERE owner IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ORDER BY owner, purpose, version DESC`, store.ForSystem)
	selectErased = qk.Add("select_erased", `SELECT owner FROM keyring_erased
		WHERE owner IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`, store.ForSystem)
	selectKeyOwner  = qk.Add("select_key_owner", `SELECT owner FROM keyring_keys WHERE id = $1`, store.ForSystem)
	selectKeysAfter = qk.Add("select_keys_after", `SELECT `+keyColumns+` FROM keyring_keys WHERE id > $1 ORDER BY id LIMIT $2`, store.ForSystem)
	selectUnacked   = qk.Add("select_unacked", `SELECT `+keyColumns+` FROM keyring_keys WHERE acked < 2 ORDER BY id LIMIT $1`, store.ForSystem)
	selectChildren  = qk.Add("select_children", `SELECT `+keyColumns+` FROM keyring_keys WHERE parent = $1 AND id > $2 ORDER BY id LIMIT $3`, store.ForSystem)
	selectOrphans   = qk.Add("select_orphans", `SELECT k.id, k.owner FROM keyring_keys k WHERE EXISTS (SELECT 1 FROM keyring_erased_keys WHERE keyring_erased_keys.id = k.parent) ORDER BY k.id LIMIT $1`, store.ForSystem)
	selectParents   = qk.Add("select_parents", `SELECT DISTINCT k.parent FROM keyring_keys k WHERE EXISTS (SELECT 1 FROM keyring_keys p WHERE p.id = k.parent AND p.state = 'retired') ORDER BY k.parent LIMIT $1`, store.ForSystem)
	selectDue       = qk.Add("select_due", `SELECT owner FROM keyring_keys WHERE state = 'active' AND purpose = 'seal' AND (reserved >= $1 OR (created_at < $2 AND class IN ('installation', 'organization'))) ORDER BY owner LIMIT $3`, store.ForSystem)
	selectStock     = qk.Add("select_stock", `SELECT `+keyColumns+` FROM keyring_keys WHERE state = 'stock' AND acked = 2 ORDER BY id LIMIT $1`, store.ForSystem)
	countStock      = qk.Add("count_stock", `SELECT count(*) FROM keyring_keys WHERE state = 'stock'`, store.ForSystem)
	assignStock     = qk.Add("assign_stock", `UPDATE keyring_keys SET owner = $2, class = $3, state = 'active', parent = $4, wrapped = $5, acked = 1, created_at = $6 WHERE id = $1 AND state = 'stock'`, store.ForSystem)
	markAcked       = qk.Add("mark_acked", `UPDATE keyring_keys SET acked = 2 WHERE id = $1 AND state = $2`, store.ForSystem)
	retireKeys      = qk.Add("retire_keys", `UPDATE keyring_keys SET state = 'retired', retired_at = $3 WHERE owner = $1 AND purpose = 'seal' AND state = 'active' AND id <> $2`, store.ForSystem)
	rewrapKey       = qk.Add("rewrap_key", `UPDATE keyring_keys SET parent = $3, wrapped = $4 WHERE id = $1 AND parent = $2`, store.ForSystem)
	reserveUses     = qk.Add("reserve_uses", `UPDATE keyring_keys SET reserved = reserved + $2 WHERE id = $1 RETURNING reserved`, store.ForSystem)
	deleteOwner     = qk.Add("delete_owner", `DELETE FROM keyring_keys WHERE owner = $1`, store.ForSystem)
	deleteKey       = qk.Add("delete_key", `DELETE FROM keyring_keys WHERE id = $1`, store.ForSystem)
	insertErased    = qk.Add("insert_erased", `INSERT INTO keyring_erased (owner, line, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, store.ForSystem)
	insertErasedKey = qk.Add("insert_erased_key", `INSERT INTO keyring_erased_keys (id, line) VALUES ($1, $2) ON CONFLICT DO NOTHING`, store.ForSystem)
	selectErasedKey = qk.Add("select_erased_key", `SELECT line FROM keyring_erased_keys WHERE id = $1`, store.ForSystem)
	selectKeyParent = qk.Add("select_key_parent", `SELECT parent FROM keyring_keys WHERE id = $1`, store.ForSystem)
	selectInventory = qk.Add("select_inventory", `SELECT class, state, count(*), min(created_at), max(created_at), max(version), max(reserved) FROM keyring_keys WHERE purpose = $1 GROUP BY class, state ORDER BY class, state`, store.ForSystem)
	countUnwrapped  = qk.Add("count_unwrapped", `SELECT count(*) FROM keyring_keys k WHERE length(k.wrapped) <> 60
		OR (NOT EXISTS (SELECT 1 FROM keyring_keks WHERE keyring_keks.id = k.parent)
			AND NOT EXISTS (SELECT 1 FROM keyring_keys p WHERE p.id = k.parent)
			AND NOT EXISTS (SELECT 1 FROM keyring_erased_keys WHERE keyring_erased_keys.id = k.parent))`, store.ForSystem)
	countOverdue = qk.Add("count_overdue", `SELECT count(*), coalesce(min(created_at), 0),
		coalesce(sum(CASE WHEN created_at < $1 OR reserved >= $2 THEN 1 ELSE 0 END), 0)
		FROM keyring_keys WHERE state = 'active' AND purpose = 'seal' AND class IN ('installation', 'organization')`, store.ForSystem)
	selectByState = qk.Add("select_by_state", `SELECT `+keyColumns+` FROM keyring_keys WHERE state = $1 ORDER BY id`, store.ForSystem)
	adoptOrphan   = qk.Add("adopt_orphan", `UPDATE keyring_keys SET owner = $2, class = $3, version = $4, state = 'retired', parent = $5, wrapped = $6, retired_at = $7, acked = 1 WHERE id = $1 AND state = 'orphan'`, store.ForSystem)
	countKeys     = qk.Add("count_keys", `SELECT count(*) FROM keyring_keys`, store.ForSystem)
)

// Rows of the main database.
var (
	selectState = q.Add("select_state", `SELECT installation, epoch, ledger_lines, ledger_head FROM keyring_state WHERE id = 'keyring'`, store.ForSystem)
	insertState = q.Add("insert_state", `INSERT INTO keyring_state (id, installation, epoch, ledger_lines, ledger_head, updated_at) VALUES ('keyring', $1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`, store.ForSystem)
	updateState = q.Add("update_state", `UPDATE keyring_state SET epoch = $1, ledger_lines = $2, ledger_head = $3, updated_at = $4 WHERE id = 'keyring' AND ledger_lines <= $2`, store.ForSystem, store.ForStaff)

	replaceState = q.Add("replace_state", `UPDATE keyring_state SET installation = $1, epoch = $2, ledger_lines = $3, ledger_head = $4, updated_at = $5 WHERE id = 'keyring'`, store.ForSystem)

	insertIntent  = q.Add("insert_intent", `INSERT INTO keyring_intents (id, kind, owner, started_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, store.ForSystem, store.ForStaff)
	deleteIntent  = q.Add("delete_intent", `DELETE FROM keyring_intents WHERE id = $1`, store.ForSystem, store.ForStaff)
	selectIntents = q.Add("select_intents", `SELECT id, kind, owner, started_at FROM keyring_intents ORDER BY id`, store.ForSystem)
)

// system is the scope of every statement here.
var system = store.System("keyring")

// States of a key.
const (
	stateStock   = "stock"
	stateActive  = "active"
	stateRetired = "retired"
	stateOrphan  = "orphan"  // of the stock when it was copied, whose it became is not known
	statePending = "pending" // a key-encryption key that the second place may not have yet

	purposeSeal  = "seal"
	purposeIndex = "index"
)

// What the second place has of a key.
const (
	ackedNot = 0 // nothing, perhaps: it must have it before the key is used
	ackedKey = 1 // the stock key, not whose it became
	ackedAll = 2
)

// keyRow is a row of keyring_keys, and a line of journals and copies.
type keyRow struct {
	ID      id.DataKey `json:"id"`
	Owner   string     `json:"owner"`
	Class   Class      `json:"class"`
	Purpose string     `json:"purpose"`
	Version int64      `json:"version"`
	State   string     `json:"state"`
	Parent  id.DataKey `json:"parent"`
	Wrapped []byte     `json:"wrapped"`
	Reserve int64      `json:"reserved"`
	Acked   int64      `json:"-"` // see ackedNot
	Created int64      `json:"created_at"`
	Retired int64      `json:"retired_at"`
}

func scanKey(r *store.Rows) (keyRow, error) {
	var k keyRow
	err := r.Scan(&k.ID, &k.Owner, &k.Class, &k.Purpose, &k.Version, &k.State, &k.Parent, &k.Wrapped, &k.Reserve, &k.Acked, &k.Created, &k.Retired)
	return k, err
}

func putKey(tx *store.Tx, k keyRow) (bool, error) {
	n, err := tx.Exec(insertKey, k.ID, k.Owner, string(k.Class), k.Purpose, k.Version, k.State, k.Parent, k.Wrapped, k.Reserve, k.Acked, k.Created, k.Retired)
	return n == 1, err
}

// kekRow is a row of keyring_keks.
type kekRow struct {
	ID         id.DataKey `json:"id"`
	Version    int64      `json:"version"`
	State      string     `json:"state"`
	RootKind   string     `json:"root_kind"`
	ByRoot     []byte     `json:"by_root"`
	ByRecovery []byte     `json:"by_recovery"`
	Created    int64      `json:"created_at"`
	Retired    int64      `json:"retired_at"`
}

func scanKEK(r *store.Rows) (kekRow, error) {
	var k kekRow
	err := r.Scan(&k.ID, &k.Version, &k.State, &k.RootKind, &k.ByRoot, &k.ByRecovery, &k.Created, &k.Retired)
	return k, err
}

func putKEK(tx *store.Tx, k kekRow) error {
	_, err := tx.Exec(insertKEK, k.ID, k.Version, k.State, k.RootKind, k.ByRoot, k.ByRecovery, k.Created, k.Retired)
	return err
}

// metaRow is the one row of keyring_meta.
type metaRow struct {
	Installation string `json:"installation"`
	Recipient    string `json:"recipient"`
	Changes      int64  `json:"changes"`
	Generation   int64  `json:"-"`
	Epoch        int64  `json:"epoch"`
	LedgerLines  int64  `json:"ledger_lines"`
	LedgerHead   string `json:"ledger_head"`
	LogSize      int64  `json:"log_size"`
	LogHead      string `json:"log_head"`
	VacuumDue    bool   `json:"-"`
	CopyDue      bool   `json:"-"`
	Canary       []byte `json:"canary"`
	LedgerKey    []byte `json:"ledger_key"`
	LedgerPublic []byte `json:"ledger_public"`
	Created      int64  `json:"created_at"`
}

// readMeta reads the row; store.ErrNone before Setup.
func readMeta(tx *store.Tx) (metaRow, error) {
	var m metaRow
	err := tx.Row(selectMeta).Scan(&m.Installation, &m.Recipient, &m.Changes, &m.Generation, &m.Epoch, &m.LedgerLines, &m.LedgerHead, &m.LogSize, &m.LogHead, &m.VacuumDue, &m.CopyDue, &m.Canary, &m.LedgerKey, &m.LedgerPublic, &m.Created)
	return m, err
}

func putMeta(tx *store.Tx, m metaRow) error {
	_, err := tx.Exec(insertMeta, m.Installation, m.Recipient, m.Changes, m.Epoch, m.LedgerLines, m.LedgerHead, m.LogSize, m.LogHead, m.Canary, m.LedgerKey, m.LedgerPublic, m.Created)
	return err
}

// stateRow is the one row of keyring_state, in main.
type stateRow struct {
	Installation string
	Epoch        int64
	LedgerLines  int64
	LedgerHead   string
	none         bool
}

func readState(tx *store.Tx) (stateRow, error) {
	var m stateRow
	err := tx.Row(selectState).Scan(&m.Installation, &m.Epoch, &m.LedgerLines, &m.LedgerHead)
	if errors.Is(err, store.ErrNone) {
		return stateRow{none: true}, nil
	}
	return m, err
}

// page asks for up to sixteen texts at once.
func page(texts []string) []any {
	args := make([]any, 16)
	for i := range args {
		args[i] = texts[min(i, len(texts)-1)]
	}
	return args
}
