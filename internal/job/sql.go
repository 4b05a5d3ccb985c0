package job

import "github.com/rempart/rempart/internal/store"

var q = store.NewSet("job")

var (
	insertLease = q.Add("insert_lease", `INSERT INTO job_leases (name, holder, fence, until) VALUES ($1, '', 0, 0) ON CONFLICT (name) DO NOTHING`, store.ForSystem)
	takeLease   = q.Add("take_lease", `UPDATE job_leases SET holder = $2, until = $3, fence = fence + 1
		WHERE name = $1 AND (holder = $2 OR until < $4) RETURNING fence`, store.ForSystem)
)
