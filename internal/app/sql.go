package app

import (
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/store"
)

var q = store.NewSet("app")

var (
	selectCanary = q.Add("select_canary", `SELECT credentials FROM app_canaries WHERE id = 1`, store.ForSystem)
	insertCanary = q.Add("insert_canary", `INSERT INTO app_canaries (id, credentials) VALUES (1, $1)`, store.ForSystem)
)

func tables() []capability.Table {
	return []capability.Table{{
		Name: "app_canaries", Database: "main", Reach: capability.ScopeSystem,
		Export: "none: credentials of the installation's own controls", Erase: "none: no data of anybody",
		Columns: []capability.Column{{Name: "id", Plain: "there is one row"}, {Name: "credentials", Sealed: labelCanary}},
	}}
}
