package credential

import (
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

var q = store.NewSet("credential")

var (
	readPassword = q.Add("read_password", `SELECT phc, set_at FROM credential_passwords WHERE user_id = $user`)
	setPassword  = q.Add("set_password", `INSERT INTO credential_passwords (user_id, phc, set_at) VALUES ($user, $1, $2)
		ON CONFLICT (user_id) DO UPDATE SET phc = excluded.phc, set_at = excluded.set_at WHERE credential_passwords.user_id = $user`)
	firstPassword  = q.Add("first_password", `INSERT INTO credential_passwords (user_id, phc, set_at) VALUES ($1, $2, $3)`, store.ForSystem)
	rehashPassword = q.Add("rehash_password", `UPDATE credential_passwords SET phc = $1 WHERE user_id = $user AND set_at = $2`)

	listAuthenticators = q.Add("list_authenticators", `SELECT id, kind, name, secret, last_step, created_at, used_at FROM credential_authenticators
		WHERE user_id = $user ORDER BY id`)
	insertAuthenticator = q.Add("insert_authenticator", `INSERT INTO credential_authenticators (id, user_id, kind, name, secret, last_step, created_at, used_at)
		VALUES ($1, $user, $2, $3, $4, $5, $6, $6)`)
	removeAuthenticator = q.Add("remove_authenticator", `DELETE FROM credential_authenticators WHERE id = $1 AND user_id = $user RETURNING id`)
	useStep             = q.Add("use_step", `UPDATE credential_authenticators SET last_step = $2, used_at = $3
		WHERE id = $1 AND user_id = $user AND last_step < $2 RETURNING id`)
	countAuthenticators = q.Add("count_authenticators", `SELECT count(*) FROM credential_authenticators WHERE user_id = $user`)

	insertCode  = q.Add("insert_code", `INSERT INTO credential_recovery_codes (user_id, hash, created_at, used_at) VALUES ($user, $1, $2, 0)`)
	deleteCodes = q.Add("delete_codes", `DELETE FROM credential_recovery_codes WHERE user_id = $user`)
	useCode     = q.Add("use_code", `UPDATE credential_recovery_codes SET used_at = $2 WHERE user_id = $user AND hash = $1 AND used_at = 0 RETURNING hash`)
	countCodes  = q.Add("count_codes", `SELECT count(*) FROM credential_recovery_codes WHERE user_id = $user AND used_at = 0`)

	scanPasswords = q.Add("scan_passwords", `SELECT user_id, phc FROM credential_passwords WHERE user_id > $1 ORDER BY user_id LIMIT $2`, store.ForSystem)
	enrolledUsers = q.Add("enrolled_users", `SELECT DISTINCT user_id FROM credential_authenticators WHERE user_id > $1 ORDER BY user_id LIMIT $2`, store.ForSystem)
)

type authenticatorRow struct {
	Authenticator
	secret, name []byte
	last         int64
}

func scanAuthenticator(r *store.Rows) (authenticatorRow, error) {
	var a authenticatorRow
	var created, used int64
	err := r.Scan(&a.ID, &a.Kind, &a.name, &a.secret, &a.last, &created, &used)
	a.Created, a.Used = store.Time(created), store.Time(used)
	return a, err
}

func scanUser(r *store.Rows) (id.User, error) {
	var u id.User
	return u, r.Scan(&u)
}
