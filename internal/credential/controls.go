package credential

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
)

// controls backs statement I10: passwords are stored as salted slow hashes.
func (s *Service) controls() []capability.Control {
	return []capability.Control{{
		ID: "password.storage", Statements: []string{"I10"}, Class: capability.Observed, Population: "credential.control.population.passwords",
		Every: time.Hour, Window: 3 * time.Hour, Severity: "critical",
		Mapping: []string{"ISO27001:A.8.24", "SOC2:CC6.1", "NIS2:21.2.h", "CAIQ:IAM-15", "GDPR:32.1.a"},
		Check:   s.checkStorage,
	}}
}

// scanPage is how many stored passwords are opened at a time.
const scanPage = 500

type storedPassword struct {
	user id.User
	phc  []byte
}

// checkStorage opens every stored password there is and looks at how it was
// hashed: by which algorithm, at which cost, and that no salt is there twice.
func (s *Service) checkStorage(ctx context.Context, _ capability.Probe) capability.Result {
	var checked, erased int64
	wrong := map[string]int64{}
	algorithms := map[string]int64{}
	salts := map[string]struct{}{}
	after := ""
	for {
		var page []storedPassword
		err := s.Store.View(ctx, store.System("credential.password-storage"), func(tx *store.Tx) (err error) {
			page, err = store.All(tx, func(r *store.Rows) (p storedPassword, err error) {
				return p, r.Scan(&p.user, &p.phc)
			}, scanPasswords, after, scanPage)
			return err
		})
		if err != nil {
			return capability.Result{Verdict: capability.Unknown, Checked: checked, Err: fmt.Errorf("credential: scan passwords: %w", err)}
		}
		owners := make([]keyring.Owner, len(page))
		for i, p := range page {
			owners[i] = keyring.Person(p.user)
		}
		ring, err := s.Keys.Ready(ctx, owners...)
		if err != nil {
			return capability.Result{Verdict: capability.Unknown, Checked: checked, Err: err}
		}
		for _, p := range page {
			plain, err := ring.Open(keyring.Person(p.user), labelPHC, p.user.String(), p.phc)
			if errors.Is(err, keyring.ErrErased) {
				erased++
				continue
			}
			checked++
			if err != nil {
				wrong["not sealed under the user's key"]++
				continue
			}
			v, _, err := parseStored(plain)
			if err != nil {
				wrong["not a known password hash"]++
				continue
			}
			algorithms[v.algorithm]++
			if _, twice := salts[string(v.salt)]; twice && !s.SharedHashes {
				wrong["salt used twice"]++
			}
			salts[string(v.salt)] = struct{}{}
			if weak(v) {
				wrong["cost below the floor"]++
			}
		}
		if len(page) < scanPage {
			break
		}
		after = page[len(page)-1].user.String()
	}
	r := capability.Result{Verdict: capability.Pass, Checked: checked, Evidence: map[string]any{
		"algorithms": algorithms, "wrong": wrong, "erased": erased,
		"floor": map[string]any{"argon2id": fmt.Sprintf("m=%d,t=%d,p=%d", argonMemory, argonTime, argonLanes), "pbkdf2-sha256": pbkdf2Rounds, "salt_bytes": saltLen},
	}}
	for _, n := range wrong {
		r.Failed += n
	}
	if r.Failed > 0 {
		r.Verdict = capability.Fail
	}
	return r
}

// weak reports whether a hash was made at less than the floor: today's cost,
// since every sign-in raises an older one.
func weak(v verifier) bool {
	if len(v.salt) < saltLen || len(v.tag) < tagLen {
		return true
	}
	if v.algorithm == "argon2id" {
		return v.memory < argonMemory || v.time < argonTime
	}
	return v.time < pbkdf2Rounds
}
