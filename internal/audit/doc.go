// Package audit is the log: what happened, who did it, from where and with
// what outcome, in a form that nobody, we included, can rewrite unseen once a
// checkpoint is in other hands.
//
// # Writing
//
//	pen, err := s.Audit.Pen(ctx, who, org)          // loads the keys; before the transaction
//	err = s.Store.Update(ctx, store.Org(org), func(tx *store.Tx) error {
//		...
//		return pen.Record(tx, audit.Entry{
//			Kind:    "policy.rule.changed",
//			Target:  audit.Target{Kind: "rule", ID: rule.ID.String()},
//			Changes: []audit.Change{{Field: "require_second_factor", Before: false, After: true}},
//		})
//	})
//
// Refuse writes the entry of a refusal in a transaction of its own, Observe
// that of a read which may not be answered unrecorded, RefuseRate counts what a
// rate limit turned away.
//
// # Form
//
// There is one log per organization, one of the installation, and the platform
// log, which holds nothing but the roots of the epoch trees. An entry has two
// sealed parts: facts (under the organization's key, in the installation's log
// the installation's) and person: name, address, device, under the key of the
// member or user. Each has a key of its own, wrapped beside it, so that keys
// rotate without changing a leaf, and a destroyed key blinds a part while every
// proof stays valid. docs/audit-log.md has the formats.
//
// Log is the store.Journal of the main database: entries are written with the
// COMMIT of what they tell. On SQLite they get their index in the tree at once;
// on PostgreSQL from Sequence, which one node at a time runs every 250 ms.
// Checkpoint signs new heads within a second, Epoch binds all logs into one
// leaf of the platform log each minute.
//
// # Reading
//
// Search, Find, Proof, Consistency, Export and Verify. Their permissions are
// checked by web; staff reads of the installation's log are entries themselves.
//
// It owns the tables audit_*. It is no process log, decides nothing about what
// is worth an entry, and deletes nothing: retention does, leaving a record in
// audit_pruned that tells a pruned leaf from a missing one.
package audit
