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
