package trust

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/tlog"
	"github.com/rempart/rempart/verify"
)

// PredicateResult names the predicate of a signed result; docs/trust-page.md
// has its members.
const PredicateResult = "https://rempart.dev/attestation/control-result/v1"

// labelSigner is the field label of the sealed signing key, fixed for ever.
const labelSigner = "trust.key.signer"

// Sign makes an in-toto statement about content, named by its hash, and puts
// it in an envelope under the key that signs results.
func (s *Service) Sign(ctx context.Context, predicateType, subject string, content []byte, predicate any) ([]byte, error) {
	signer, err := s.signing(ctx)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(content)
	payload, err := json.Marshal(map[string]any{
		"_type":         "https://in-toto.io/Statement/v1",
		"subject":       []any{map[string]any{"name": subject, "digest": map[string]string{"sha256": hex.EncodeToString(sum[:])}}},
		"predicateType": predicateType,
		"predicate":     predicate,
	})
	if err != nil {
		return nil, fmt.Errorf("trust: statement about %s: %w", subject, err)
	}
	return verify.SignEnvelope(verify.InTotoPayload, payload, signer)
}

// signResult signs what a run saw. The subject is the evidence by its hash, so
// that the statement stays short.
func (s *Service) signResult(ctx context.Context, c capability.Control, st State, evidence []byte) ([]byte, error) {
	return s.Sign(ctx, PredicateResult, "control/"+c.ID, evidence, map[string]any{
		"control": c.ID, "class": c.Class, "verdict": st.Verdict, "checked": st.Checked, "failed": st.Failed,
		"ran_at": st.RanAt.UTC().Format(time.RFC3339Nano), "window_seconds": int64(c.Window / time.Second),
		"statements": c.Statements, "code_version": s.Version, "installation": s.Origin,
	})
}

// Verifiers are the keys that have signed results, newest first, in the text
// form that `rempart verify --key` takes.
func (s *Service) Verifiers(ctx context.Context) ([]string, error) {
	if _, err := s.signing(ctx); err != nil {
		return nil, err
	}
	var out []string
	err := s.Store.View(ctx, store.System("trust.read"), func(tx *store.Tx) error {
		rows, err := loadKeys(tx)
		out = nil
		for _, k := range rows {
			out = append(out, k.verifier)
		}
		return err
	})
	return out, err
}

// signing gives the key that signs results; it is made at the first use.
func (s *Service) signing(ctx context.Context) (note.Signer, error) {
	s.mu.RLock()
	have := s.signer
	s.mu.RUnlock()
	if have != nil {
		return have, nil
	}
	pen, err := s.Audit.Pen(ctx, caller.ForSystem("trust.key"), id.Org{})
	if err != nil {
		return nil, err
	}
	fresh, err := s.newKey(pen)
	if err != nil {
		return nil, err
	}
	// Two nodes may come here together; the newest row is the one that signs.
	var rows []keyRow
	err = s.Store.Update(ctx, store.System("trust.key"), func(tx *store.Tx) (err error) {
		if rows, err = loadKeys(tx); err != nil || len(rows) > 0 {
			return err
		}
		if _, err := tx.Exec(insertKey, fresh.id, fresh.verifier, fresh.signer, fresh.created); err != nil {
			return err
		}
		rows = []keyRow{fresh}
		return pen.Record(tx, audit.Entry{Kind: EventKey, Target: audit.Target{Kind: "key", ID: fresh.id}, Facts: map[string]any{"verifier": fresh.verifier}})
	})
	if err != nil {
		return nil, fmt.Errorf("trust: signing key: %w", err)
	}
	text, err := pen.Open(keyring.Installation(), labelSigner, rows[0].id, rows[0].signer)
	if err != nil {
		return nil, fmt.Errorf("trust: open signing key: %w", err)
	}
	signer, err := tlog.ParseSigner(string(text))
	if err != nil {
		return nil, fmt.Errorf("trust: signing key: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signer = signer
	return signer, nil
}

func (s *Service) newKey(pen *audit.Pen) (keyRow, error) {
	secret, public, err := tlog.GenerateKey(s.Origin + "/statements")
	if err != nil {
		return keyRow{}, fmt.Errorf("trust: make signing key: %w", err)
	}
	now := s.Now()
	k := keyRow{id: id.NewDataKey(now).String(), verifier: public, created: store.Micros(now)}
	k.signer, err = pen.Seal(keyring.Installation(), labelSigner, k.id, []byte(secret))
	return k, err
}
