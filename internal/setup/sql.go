package setup

import (
	"errors"

	"github.com/rempart/rempart/internal/store"
)

var q = store.NewSet("setup")

// There is one row; its id says so.
const theOne = "installation"

var selectState = q.Add("select_state", `SELECT stamp, issuer, created_at, completed_at, restore_epoch FROM setup_installation WHERE id = $1`, store.ForSystem)

// readState reads the one row, the zero State where there is none.
func readState(tx *store.Tx) (State, error) {
	var v State
	var created, completed int64
	err := tx.Row(selectState, theOne).Scan(&v.Stamp, &v.Issuer, &created, &completed, &v.RestoreEpoch)
	if errors.Is(err, store.ErrNone) {
		return State{}, nil
	}
	v.Created, v.CompletedAt = store.Time(created), store.Time(completed)
	return v, err
}

var (
	insertState = q.Add("insert_state", `INSERT INTO setup_installation (id, stamp, issuer, created_at, completed_at, restore_epoch, link_hash, link_ends_at, link_used_at, browser_hash)
		VALUES ($1, $2, $3, $4, 0, $5, NULL, 0, 0, NULL)`, store.ForSystem)
	moveIssuer = q.Add("move_issuer", `UPDATE setup_installation SET issuer = $2 WHERE id = $1 AND stamp = 'demo'`, store.ForSystem)

	selectLink  = q.Add("select_link", `SELECT link_hash, link_ends_at, link_used_at, browser_hash FROM setup_installation WHERE id = $1`, store.ForSystem)
	replaceLink = q.Add("replace_link", `UPDATE setup_installation SET link_hash = $2, link_ends_at = $3, link_used_at = 0, browser_hash = NULL
		WHERE id = $1 AND completed_at = 0`, store.ForSystem)
	// The one use of the link.
	openLink = q.Add("open_link", `UPDATE setup_installation SET link_used_at = $3, browser_hash = $4
		WHERE id = $1 AND link_hash = $2 AND link_used_at = 0 AND link_ends_at > $3 AND completed_at = 0 RETURNING id`, store.ForSystem)
)

var (
	selectSteps = q.Add("select_steps", `SELECT step, done_at, made FROM setup_steps`, store.ForSystem)
	// One browser tab and one node at a time works on a step; the lease of one
	// that died runs out.
	claimStep = q.Add("claim_step", `INSERT INTO setup_steps (step, leased_until, done_at, made) VALUES ($1, $2, 0, '')
		ON CONFLICT (step) DO UPDATE SET leased_until = excluded.leased_until
		WHERE setup_steps.done_at = 0 AND setup_steps.leased_until <= $3 RETURNING made`, store.ForSystem)
	releaseStep = q.Add("release_step", `UPDATE setup_steps SET leased_until = 0, made = $2 WHERE step = $1 AND done_at = 0`, store.ForSystem)
	finishStep  = q.Add("finish_step", `UPDATE setup_steps SET leased_until = 0, done_at = $2, made = $3 WHERE step = $1 AND done_at = 0 RETURNING step`, store.ForSystem)

	completeState = q.Add("complete_state", `UPDATE setup_installation SET completed_at = $2, link_hash = NULL, link_ends_at = 0, browser_hash = NULL
		WHERE id = $1 AND completed_at = 0 RETURNING id`, store.ForSystem)
)
