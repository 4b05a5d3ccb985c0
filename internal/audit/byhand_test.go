package audit_test

import (
	"database/sql"
	"encoding/json"
	"testing"

	_ "modernc.org/sqlite"
)

// byHand changes the stored log as somebody with the database in hands would.
func (w *world) byHand(statement string) {
	w.t.Helper()
	driver, dsn := "sqlite", "file:"+w.config.Main.Path+"?_pragma=busy_timeout(5000)"
	if w.config.Main.Path == "" {
		driver, dsn = "pgx", w.config.Main.OwnerURL
	}
	db, err := sql.Open(driver, dsn)
	w.must(err)
	defer db.Close()
	if driver == "pgx" {
		// Even the owner of the tables stands behind the wall.
		_, err = db.Exec(`ALTER TABLE audit_entries NO FORCE ROW LEVEL SECURITY; ALTER TABLE audit_logs NO FORCE ROW LEVEL SECURITY; ALTER TABLE audit_checkpoints NO FORCE ROW LEVEL SECURITY; ALTER TABLE audit_pruned NO FORCE ROW LEVEL SECURITY`)
		w.must(err)
	}
	_, err = db.Exec(statement)
	w.must(err)
}

type proofFile struct {
	Checkpoint string `json:"checkpoint"`
	Entry      struct {
		Index    int64  `json:"index"`
		LeafHash []byte `json:"leaf_hash"`
	} `json:"entry"`
	Inclusion [][]byte `json:"inclusion"`
}

func parseProof(t testing.TB, b []byte) (p proofFile) {
	t.Helper()
	if err := json.Unmarshal(b, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// count runs a query of the owner of the tables.
func (w *world) count(query string) (n int) {
	w.t.Helper()
	driver, dsn := "sqlite", "file:"+w.config.Main.Path+"?_pragma=busy_timeout(5000)"
	if w.config.Main.Path == "" {
		driver, dsn = "pgx", w.config.Main.OwnerURL
	}
	db, err := sql.Open(driver, dsn)
	w.must(err)
	defer db.Close()
	if driver == "pgx" {
		_, err = db.Exec(`ALTER TABLE audit_days NO FORCE ROW LEVEL SECURITY`)
		w.must(err)
	}
	w.must(db.QueryRow(query).Scan(&n))
	return n
}
