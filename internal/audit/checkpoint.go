package audit

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/keyring"
	"github.com/rempart/rempart/internal/store"
	"github.com/rempart/rempart/internal/tlog"
)

const (
	labelSigner = "audit.key.secret"

	purposeLog     = "log"     // signs checkpoints, under the origin of each log
	purposeWitness = "witness" // adds the time-stamped cosignature
)

// ErrInconsistent is returned when a stored tree is not an extension of the
// last checkpoint: the log was changed, and nothing is signed.
var ErrInconsistent = errors.New("audit: the stored log does not extend its last checkpoint")

// signers are the keys that sign. One Ed25519 key signs for all logs: the name
// of the key is the origin, and the origin is in what is signed.
type signers struct {
	current *logKey   // nil before the first
	logs    []*logKey // newest first, current among them
	witness *tlog.Cosigner
	vwit    string
}

// logKey is one key of the checkpoint signer.
type logKey struct {
	id      string
	seed    []byte // of ed25519
	retired int64
}

func (k *logKey) public() ed25519.PublicKey {
	return ed25519.NewKeyFromSeed(k.seed).Public().(ed25519.PublicKey)
}

// verifier is the verifier key under a log's origin, as in C2SP signed-note.
func (k *logKey) verifier(origin string) (string, error) {
	v, err := note.NewEd25519VerifierKey(origin, k.public())
	if err != nil {
		return "", fmt.Errorf("audit: verifier key: %w", err)
	}
	return v, nil
}

func (k *logKey) signer(origin string) (note.Signer, error) {
	v, err := k.verifier(origin)
	if err != nil {
		return nil, err
	}
	head := v[:len(origin)+1+8+1] // name, hash of the key, and the plus signs behind them
	return tlog.ParseSigner("PRIVATE+KEY+" + head + base64.StdEncoding.EncodeToString(append([]byte{1}, k.seed...)))
}

// loadSigners reads the keys; those already known are not unsealed again.
func (l *Log) loadSigners(ctx context.Context) (*signers, error) {
	type row struct {
		id, purpose, public string
		secret              []byte
		retired             int64
	}
	var have []row
	err := l.Store.View(ctx, store.System("audit.keys"), func(tx *store.Tx) (err error) {
		have, err = store.All(tx, func(r *store.Rows) (k row, err error) {
			return k, r.Scan(&k.id, &k.purpose, &k.public, &k.secret, &k.retired)
		}, selectKeys)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("audit: keys: %w", err)
	}
	if s := l.signers; s != nil && s.current != nil && len(have) == len(s.logs)+1 {
		return s, nil // a key is only ever added
	}
	s := &signers{}
	if len(have) == 0 {
		return s, nil
	}
	ring, err := l.Ready(ctx, keyring.Installation())
	if err != nil {
		return nil, fmt.Errorf("audit: keys: %w", err)
	}
	for _, k := range have {
		secret, err := ring.Open(keyring.Installation(), labelSigner, k.id, k.secret)
		if err != nil {
			return nil, fmt.Errorf("audit: key %s of the %s: %w", k.id, k.purpose, err)
		}
		switch k.purpose {
		case purposeWitness:
			s.vwit = k.public
			if s.witness, err = tlog.ParseCosigner(string(secret), l.Now); err != nil {
				return nil, fmt.Errorf("audit: key of the witness: %w", err)
			}
		case purposeLog:
			lk := &logKey{id: k.id, seed: secret, retired: k.retired}
			if len(secret) != ed25519.SeedSize || hex.EncodeToString(lk.public()) != k.public {
				return nil, fmt.Errorf("audit: key %s of the log is not the one of its row", k.id)
			}
			s.logs = append(s.logs, lk)
			if k.retired == 0 {
				s.current = lk
			}
		}
	}
	if s.current == nil || s.witness == nil {
		return nil, errors.New("audit: the keys of the log are incomplete")
	}
	l.signers = s
	return s, nil
}

// RotateKey gives the logs a new signing key. The next checkpoint of each log
// is signed by the old and the new one.
func (l *Log) RotateKey(ctx context.Context, who caller.Caller) error {
	if err := l.ready(); err != nil {
		return err
	}
	return l.rotate(ctx, who, eventKeyRotated)
}

func (l *Log) rotate(ctx context.Context, who caller.Caller, kind string) error {
	l.signing.Lock()
	defer l.signing.Unlock()
	s, err := l.loadSigners(ctx)
	if err != nil {
		return err
	}
	pen, err := l.Pen(ctx, who, id.Org{})
	if err != nil {
		return err
	}
	now := store.Micros(pen.At())
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		return fmt.Errorf("audit: make key: %w", err)
	}
	k := &logKey{id: tlog.NewID().String(), seed: priv.Seed()}
	newer, err := k.verifier(l.origin(installation))
	if err != nil {
		return err
	}
	facts := map[string]any{"verifier_key": newer}
	if s.current != nil {
		if facts["former_verifier_key"], err = s.current.verifier(l.origin(installation)); err != nil {
			return err
		}
	}
	sealed, err := pen.Seal(keyring.Installation(), labelSigner, k.id, k.seed)
	if err != nil {
		return err
	}
	var wid, wpub string
	var wsealed []byte
	if s.witness == nil {
		wid = tlog.NewID().String()
		var secret string
		if secret, wpub, err = tlog.GenerateCosignerKey(l.host + "/witness"); err != nil {
			return fmt.Errorf("audit: make key: %w", err)
		}
		if wsealed, err = pen.SealText(keyring.Installation(), labelSigner, wid, secret); err != nil {
			return err
		}
	}
	err = l.Store.Update(ctx, store.System("audit.rotate"), func(tx *store.Tx) error {
		if _, err := tx.Exec(retireKey, purposeLog, now); err != nil {
			return err
		}
		if _, err := tx.Exec(insertKey, k.id, purposeLog, hex.EncodeToString(pub), sealed, now); err != nil {
			return err
		}
		if wsealed != nil {
			if _, err := tx.Exec(insertKey, wid, purposeWitness, wpub, wsealed, now); err != nil {
				return err
			}
		}
		return pen.Record(tx, Entry{Kind: kind, Target: Target{Kind: "checkpoint_key", ID: k.id}, Facts: facts})
	})
	if err == nil {
		_, err = l.loadSigners(ctx)
	}
	return err
}

// verifiers are the verifier keys of a log: all that ever signed for it, the
// newest first, and our own witness's.
func (s *signers) verifiers(origin string) ([]string, []note.Verifier, error) {
	var texts []string
	for _, k := range s.logs {
		v, err := k.verifier(origin)
		if err != nil {
			return nil, nil, err
		}
		texts = append(texts, v)
	}
	texts = append(texts, s.vwit)
	keys := make([]note.Verifier, len(texts))
	for i, t := range texts {
		v, err := tlog.ParseVerifier(t)
		if err != nil {
			return nil, nil, fmt.Errorf("audit: verifier key: %w", err)
		}
		keys[i] = v
	}
	return texts, keys, nil
}

// VerifierKeys are the public keys of the log of an organization (zero: of the
// installation), for the recovery kit and for who verifies.
func (l *Log) VerifierKeys(ctx context.Context, org id.Org) ([]string, error) {
	l.signing.Lock()
	defer l.signing.Unlock()
	s, err := l.loadSigners(ctx)
	if err != nil {
		return nil, err
	}
	texts, _, err := s.verifiers(l.origin(refOf(org)))
	return texts, err
}

// signBatch bounds the logs that one transaction of Checkpoint signs.
const signBatch = 256

// Checkpoint signs the head of every log that has grown since its last
// checkpoint, and tells how many these were. A log that does not extend its
// last checkpoint is left unsigned and named in the error; the others are
// signed all the same.
func (l *Log) Checkpoint(ctx context.Context) (int, error) {
	if err := l.ready(); err != nil {
		return 0, err
	}
	l.signing.Lock()
	defer l.signing.Unlock()
	var keys []string
	err := l.Store.View(ctx, store.System("audit.checkpoint"), func(tx *store.Tx) (err error) {
		keys, err = store.All(tx, scanText, selectUnsigned, math.MaxInt32)
		return err
	})
	if err != nil || len(keys) == 0 {
		return 0, err
	}
	signed := 0
	var faults []error
	for batch := range slices.Chunk(keys, signBatch) {
		var notes []signedNote
		for _, key := range batch {
			r, err := parseRef(key)
			if err == nil {
				var n signedNote
				if n, err = l.sign(ctx, r); err == nil {
					notes = append(notes, n)
				}
			}
			if err != nil {
				faults = append(faults, err)
			}
		}
		if err := l.publish(ctx, notes); err != nil {
			return signed, errors.Join(append(faults, err)...)
		}
		signed += len(notes)
	}
	return signed, errors.Join(faults...)
}

func scanText(r *store.Rows) (s string, err error) { return s, r.Scan(&s) }

// signedNote is a checkpoint on its way to the database.
type signedNote struct {
	ref  ref
	size int64
	at   time.Time
	key  string
	note []byte
}

// sign makes the checkpoint of a log's present head. As every witness must,
// ours first makes sure that the tree extends the one it signed last. The
// caller holds signing.
func (l *Log) sign(ctx context.Context, r ref) (signedNote, error) {
	s, err := l.loadSigners(ctx)
	if err != nil {
		return signedNote{}, err
	}
	out := signedNote{ref: r, at: l.Now(), key: s.current.id}
	var row headRow
	var older []byte
	var proof []tlog.Hash
	var root tlog.Hash
	err = l.Store.View(ctx, store.System("audit.checkpoint"), func(tx *store.Tx) error {
		if row, err = readHead(tx, r); err != nil {
			return err
		}
		read := tileReader(tx, r)
		if root, err = tlog.RootAt(row.size, read); err != nil {
			return err
		}
		if row.signed == 0 {
			return nil
		}
		var at int64
		if err := selectNote.row(tx, r, row.signed).Scan(&at, &older); err != nil {
			return err
		}
		proof, err = tlog.ProveConsistency(row.signed, row.size, read)
		return err
	})
	if err != nil {
		return out, fmt.Errorf("audit: checkpoint of %s: %w", r.key, err)
	}
	_, verifiers, err := s.verifiers(row.origin)
	if err != nil {
		return out, err
	}
	if root != row.root {
		return out, fmt.Errorf("%w: %s", ErrInconsistent, row.origin)
	}
	var last *tlog.SignedCheckpoint
	if row.signed > 0 {
		last, err = tlog.OpenCheckpoint(older, row.origin, verifiers...)
		if err != nil || last.Size != row.signed ||
			tlog.CheckConsistency(proof, last.Size, last.Root, row.size, row.root) != nil {
			return out, fmt.Errorf("%w: %s", ErrInconsistent, row.origin)
		}
	}
	signer, err := s.current.signer(row.origin)
	if err != nil {
		return out, err
	}
	with := []note.Signer{signer}
	for _, k := range s.logs {
		// The first checkpoint under a new key hands over: the former signs
		// too, and again whenever a checkpoint of the same size is renewed.
		if k != s.current && (k.id == row.signedKey || row.signed == row.size && signedBy(last, k, row.origin)) {
			former, err := k.signer(row.origin)
			if err != nil {
				return out, err
			}
			with = append(with, former)
		}
	}
	out.size = row.size
	out.note, err = tlog.SignCheckpoint(tlog.Checkpoint{Origin: row.origin, Size: row.size, Root: row.root}, append(with, s.witness)...)
	if err != nil {
		return out, fmt.Errorf("audit: checkpoint of %s: %w", r.key, err)
	}
	return out, nil
}

func signedBy(c *tlog.SignedCheckpoint, k *logKey, origin string) bool {
	v, err := k.signer(origin)
	return err == nil && c != nil && slices.ContainsFunc(c.Signatures, func(s tlog.Signature) bool {
		return s.Name == origin && s.KeyHash == v.KeyHash()
	})
}

func (l *Log) publish(ctx context.Context, notes []signedNote) error {
	if len(notes) == 0 {
		return nil
	}
	err := l.Store.Maintain(ctx, store.System("audit.checkpoint"), func(tx *store.Tx) error {
		for _, n := range notes {
			if _, err := tx.Exec(upsertNote, n.ref.key, n.size, store.Micros(n.at), n.note); err != nil {
				return err
			}
			if _, err := tx.Exec(markSigned, n.ref.key, n.size, n.key, store.Micros(n.at)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("audit: store checkpoints: %w", err)
	}
	return nil
}

// freshFor is how old the cosignature of a checkpoint may be when one is asked
// for.
const freshFor = time.Minute

// Latest is the newest checkpoint of the log of an organization (zero: of the
// installation), as a signed note. If the log has grown since, or the
// cosignature is older than a minute, one is signed now. The size is its own.
func (l *Log) Latest(ctx context.Context, org id.Org) ([]byte, int64, error) {
	return l.latest(ctx, refOf(org))
}

// Platform is the newest checkpoint of the platform log, as a signed note.
func (l *Log) Platform(ctx context.Context) ([]byte, error) {
	n, _, err := l.latest(ctx, platform)
	return n, err
}

func (l *Log) latest(ctx context.Context, r ref) ([]byte, int64, error) {
	if err := l.ready(); err != nil {
		return nil, 0, err
	}
	l.signing.Lock()
	defer l.signing.Unlock()
	var row headRow
	var text []byte
	err := l.Store.View(ctx, store.System("audit.latest"), func(tx *store.Tx) (err error) {
		if row, err = readHead(tx, r); err != nil || row.signed == 0 || row.signed < row.size {
			return err
		}
		var at int64
		return selectNote.row(tx, r, row.signed).Scan(&at, &text)
	})
	if errors.Is(err, store.ErrNone) {
		return nil, 0, errNoLog
	}
	if err != nil {
		return nil, 0, fmt.Errorf("audit: latest checkpoint: %w", err)
	}
	if text != nil && l.Now().Sub(store.Time(row.signedAt)) < freshFor {
		return text, row.signed, nil
	}
	n, err := l.sign(ctx, r)
	if err != nil {
		return nil, 0, err
	}
	return n.note, n.size, l.publish(ctx, []signedNote{n})
}

// Witnesses counts the cosignatures of a checkpoint of ours by known witnesses
// other than our own. A signature by a key that we do not know proves nothing
// and does not count.
func (l *Log) Witnesses(ctx context.Context, checkpoint []byte) (int, error) {
	c, err := tlog.ReadCheckpoint(checkpoint)
	if err != nil {
		return 0, fmt.Errorf("audit: witnesses: %w", err)
	}
	l.signing.Lock()
	defer l.signing.Unlock()
	s, err := l.loadSigners(ctx)
	if err != nil {
		return 0, err
	}
	_, keys, err := s.verifiers(c.Origin)
	if err != nil {
		return 0, err
	}
	signed, err := tlog.OpenCheckpoint(checkpoint, c.Origin, keys...)
	if err != nil {
		return 0, fmt.Errorf("audit: witnesses: %w", err)
	}
	return signed.Witnesses() - 1, nil
}

// Head is size and root of the installation's own log, HeadAt the root that it
// had at a size: by these the keyring finds out that an older database was put
// back.
func (l *Log) Head(ctx context.Context) (size int64, root string, err error) {
	err = l.Store.View(ctx, store.System("audit.head"), func(tx *store.Tx) error {
		row, err := readHead(tx, installation)
		if errors.Is(err, store.ErrNone) {
			row, err = headRow{root: tlog.EmptyRoot()}, nil
		}
		size, root = row.size, row.root.String()
		return err
	})
	return size, root, err
}

// HeadAt is the root of the installation's own log at an earlier size; the
// error is tlog.ErrSize when it is shorter.
func (l *Log) HeadAt(ctx context.Context, size int64) (root string, err error) {
	err = l.Store.View(ctx, store.System("audit.head"), func(tx *store.Tx) error {
		row, err := readHead(tx, installation)
		if errors.Is(err, store.ErrNone) {
			err = nil
		}
		if err != nil {
			return err
		}
		if size > row.size {
			return tlog.ErrSize
		}
		h, err := tlog.RootAt(size, tileReader(tx, installation))
		root = h.String()
		return err
	})
	return root, err
}
