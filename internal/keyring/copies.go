package keyring

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

// Objects at the second place are named kind-made-change-random.keys; a copy's
// have a part before the suffix, and the last part is "end". made is the time
// in microseconds, change the number of the change of the keys database that
// the object is not older than.
const (
	kindJournal = "journal" // keys made since a copy
	kindCopy    = "copy"    // everything
	kindMark    = "mark"    // nothing was made since
)

// journal is what a journal and a mark hold.
type journal struct {
	Keys []keyRow `json:"keys,omitempty"`
	KEKs []kekRow `json:"keks,omitempty"`
}

// copyEnd is the last object of a copy.
type copyEnd struct {
	Meta  metaRow    `json:"meta"`
	KEKs  []kekRow   `json:"keks"`
	Parts []copyPart `json:"parts"`
	Rows  int64      `json:"rows"`
}

type copyPart struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Rows   int64  `json:"rows"`
}

// object is a parsed name.
type object struct {
	name, kind string
	made       time.Time
	change     int64
	set        string // what the parts of one copy share
	part       string
}

func parseObject(name string) (object, bool) {
	base, ok := strings.CutSuffix(name, ".keys")
	f := strings.Split(base, "-")
	if !ok || len(f) < 4 || len(f) > 5 || (f[0] == kindCopy) != (len(f) == 5) {
		return object{}, false
	}
	us, err1 := strconv.ParseInt(f[1], 10, 64)
	change, err2 := strconv.ParseInt(f[2], 10, 64)
	if err1 != nil || err2 != nil || us <= 0 || change < 0 || !slices.Contains([]string{kindCopy, kindJournal, kindMark}, f[0]) {
		return object{}, false
	}
	o := object{name: name, kind: f[0], made: store.Time(us), change: change, set: strings.Join(f[:4], "-")}
	if len(f) == 5 {
		o.part = f[4]
	}
	return o, true
}

func (s *Service) objectName(kind string, change int64) string {
	var r [6]byte
	_, _ = rand.Read(r[:])
	return fmt.Sprintf("%s-%016d-%016d-%s", kind, micros(s.Now()), change, hex.EncodeToString(r[:]))
}

// objects lists what is at the second place, oldest first.
func objects(ctx context.Context, p Place) ([]object, error) {
	names, err := p.List(ctx)
	if err != nil {
		return nil, err
	}
	var out []object
	for _, n := range names {
		if o, ok := parseObject(n); ok {
			out = append(out, o)
		}
	}
	slices.SortStableFunc(out, func(a, b object) int { return a.made.Compare(b.made) })
	return out, nil
}

// put seals an object and stores it at the second place.
func (s *Service) put(ctx context.Context, st *opened, name string, v any) (sum string, err error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	sealed, err := s.sealObject(ctx, st.installation, st.recipient, name, plain)
	clear(plain)
	if err != nil {
		return "", err
	}
	if err := s.Second.Put(ctx, name, sealed); err != nil {
		return "", fault.New(fault.Unavailable, "keyring.error.second-place", fmt.Errorf("keyring: second place %s: %w", s.Second.Name(), err)).After(time.Minute)
	}
	h := sha256.Sum256(sealed)
	return hex.EncodeToString(h[:]), nil
}

// acknowledge has the second place store the rows, and marks them as usable.
func (s *Service) acknowledge(ctx context.Context, st *opened, rows []keyRow) error {
	var m metaRow
	err := s.Store.Keys.View(ctx, system, func(tx *store.Tx) (err error) {
		m, err = readMeta(tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("keyring: acknowledge keys: %w", err)
	}
	if _, err := s.put(ctx, st, s.objectName(kindJournal, m.Changes)+".keys", journal{Keys: rows}); err != nil {
		return err
	}
	return s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error {
		for _, k := range rows {
			if _, err := tx.Exec(markAcked, k.ID, k.State); err != nil {
				return err
			}
		}
		return nil
	})
}

// send has the second place store every row that it lacks.
func (s *Service) send(ctx context.Context, st *opened) error {
	for {
		var rows []keyRow
		err := s.Store.Keys.View(ctx, system, func(tx *store.Tx) (err error) {
			rows, err = store.All(tx, scanKey, selectUnacked, int64(1000))
			return err
		})
		if err != nil {
			return fmt.Errorf("keyring: copies: %w", err)
		}
		if len(rows) == 0 {
			return nil
		}
		if err := s.acknowledge(ctx, st, rows); err != nil {
			return err
		}
	}
}

// CopyAge is how old the newest proof is that the second place holds every
// key: a complete copy, or a mark that no key is missing there.
func (s *Service) CopyAge(ctx context.Context) (time.Duration, error) {
	all, err := objects(ctx, s.Second)
	if err != nil {
		return 0, fault.New(fault.Unavailable, "keyring.error.second-place", fmt.Errorf("keyring: second place %s: %w", s.Second.Name(), err)).After(time.Minute)
	}
	var newest time.Time
	for _, o := range all {
		if (o.kind == kindMark || o.part == "end") && o.made.After(newest) {
			newest = o.made
		}
	}
	if newest.IsZero() {
		return 0, errNoCopy
	}
	s.copied.Store(micros(newest))
	return max(0, s.Now().Sub(newest)), nil
}

var errNoCopy = fault.New(fault.Unavailable, "keyring.error.copies-old", errors.New("keyring: the second place holds no copy of the keys"))

// RequireFresh refuses when the newest copy is older than an hour: new
// organizations and users, and rotations, ask it first.
func (s *Service) RequireFresh(ctx context.Context) error {
	if s.Now().Sub(store.Time(s.copied.Load())) < copyRefuse/2 {
		return nil
	}
	age, err := s.CopyAge(ctx)
	if err != nil {
		return err
	}
	if age > copyRefuse {
		return fault.New(fault.Unavailable, "keyring.error.copies-old", fmt.Errorf("keyring: the newest copy of the keys is %s old", age.Round(time.Second))).After(time.Minute)
	}
	return nil
}

// term is how long copies that are not the newest live.
func (s *Service) term() time.Duration {
	if s.Term == 0 {
		return defaultTerm
	}
	return min(max(s.Term, minTerm), maxTerm)
}

// MakeCopies is the job that keeps the second place complete: it sends keys
// that are not there yet, makes a full copy when one is due and verifies it,
// else leaves a mark, and removes what is older than the term.
func (s *Service) MakeCopies(ctx context.Context) error {
	st := s.opened.Load()
	if st == nil {
		return ErrNotStarted
	}
	if err := s.send(ctx, st); err != nil {
		return err
	}
	var m metaRow
	err := s.Store.Keys.View(ctx, system, func(tx *store.Tx) (err error) {
		m, err = readMeta(tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("keyring: copies: %w", err)
	}
	all, err := objects(ctx, s.Second)
	if err != nil {
		return fmt.Errorf("keyring: second place %s: %w", s.Second.Name(), err)
	}
	newest, journals := object{}, 0
	for _, o := range all {
		if o.part == "end" {
			newest = o
		}
	}
	for _, o := range all {
		if o.kind == kindJournal && o.change > newest.change {
			journals++
		}
	}
	due := newest.name == "" || m.CopyDue || journals > copyJournals || s.Now().Sub(newest.made) > min(copyFull, s.term()/2)
	if due {
		end, err := s.copyAll(ctx, st)
		if err != nil {
			return err
		}
		if newest, _ = parseObject(end); newest.name == "" {
			return errNoCopy
		}
	} else if _, err := s.put(ctx, st, s.objectName(kindMark, m.Changes)+".keys", journal{}); err != nil {
		return err
	}
	// What is not verified is not relied on, by the removal least of all.
	if s.verified.Load() == nil || *s.verified.Load() != newest.name {
		if err := s.VerifyCopy(ctx, newest.name); err != nil {
			return fmt.Errorf("keyring: copy %s does not verify: %w", newest.name, err)
		}
		s.verified.Store(&newest.name)
	}
	if due {
		err := s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error {
			_, err := tx.Exec(updateCopied, m.Generation)
			return err
		})
		if err != nil {
			return fmt.Errorf("keyring: copies: %w", err)
		}
	}
	s.copied.Store(micros(s.Now()))
	return s.prune(ctx, newest)
}

// copyAll writes a full copy and answers the name of its last object.
func (s *Service) copyAll(ctx context.Context, st *opened) (string, error) {
	var end copyEnd
	var name string
	// The parts are written inside the view: they must be of one snapshot, and
	// a large installation's do not fit in memory. A view holds no lock.
	err := s.Store.Keys.View(ctx, system, func(tx *store.Tx) error {
		var err error
		end = copyEnd{}
		if end.Meta, err = readMeta(tx); err != nil {
			return err
		}
		if end.KEKs, err = store.All(tx, scanKEK, selectKEKs); err != nil {
			return err
		}
		name = s.objectName(kindCopy, end.Meta.Changes)
		after := ""
		for {
			rows, err := store.All(tx, scanKey, selectKeysAfter, after, int64(copyRows))
			if err != nil || len(rows) == 0 {
				return err
			}
			after = rows[len(rows)-1].ID.String()
			part := copyPart{Name: fmt.Sprintf("%s-%05d.keys", name, len(end.Parts)+1), Rows: int64(len(rows))}
			if part.SHA256, err = s.put(ctx, st, part.Name, journal{Keys: rows}); err != nil {
				return err
			}
			end.Parts = append(end.Parts, part)
			end.Rows += part.Rows
		}
	})
	if err != nil {
		return "", fmt.Errorf("keyring: copy: %w", err)
	}
	_, err = s.put(ctx, st, name+"-end.keys", end)
	return name + "-end.keys", err
}

// VerifyCopy reads a copy back and opens all of it with the root key: every
// part is there and whole, every key-encryption key unwraps, every key below
// it too, and every other key's wrapping key is known.
func (s *Service) VerifyCopy(ctx context.Context, name string) error {
	st := s.opened.Load()
	if st == nil {
		return ErrNotStarted
	}
	end, rows, err := readCopy(ctx, s.Second, s.Root, nil, st.installation, name)
	if err != nil {
		return err
	}
	keks, _, err := unwrapKEKs(ctx, s.Root, st.installation, end.KEKs)
	if err != nil {
		return err
	}
	known := make(map[id.DataKey]bool, len(rows))
	for _, k := range rows {
		known[k.ID] = true
	}
	for _, k := range rows {
		if by := keks[k.Parent]; by != nil {
			raw, err := unwrapKey(by, k)
			if err != nil {
				return err
			}
			raw.Wipe()
			continue
		}
		if !known[k.Parent] {
			line, err := s.ErasedLine(ctx, k.Parent)
			if err != nil {
				return err
			}
			if line == 0 {
				return fmt.Errorf("%w: key %s is wrapped under %s, which is nowhere", ErrCorrupt, k.ID, k.Parent)
			}
		}
	}
	return nil
}

// readCopy reads a whole copy, with the root or the recovery identity.
func readCopy(ctx context.Context, p Place, root Root, identity age.Identity, installation, name string) (copyEnd, []keyRow, error) {
	var end copyEnd
	read := func(name string, v any) (string, error) {
		sealed, err := p.Open(ctx, name)
		if err != nil {
			return "", err
		}
		h := sha256.Sum256(sealed)
		plain, err := openObject(ctx, root, identity, installation, name, sealed)
		if err != nil {
			return "", err
		}
		defer clear(plain)
		return hex.EncodeToString(h[:]), json.Unmarshal(plain, v)
	}
	if _, err := read(name, &end); err != nil {
		return end, nil, err
	}
	var rows []keyRow
	for _, part := range end.Parts {
		var j journal
		sum, err := read(part.Name, &j)
		if err != nil {
			return end, nil, err
		}
		if sum != part.SHA256 || int64(len(j.Keys)) != part.Rows {
			return end, nil, fmt.Errorf("%w: %s", ErrCorrupt, part.Name)
		}
		rows = append(rows, j.Keys...)
	}
	if int64(len(rows)) != end.Rows {
		return end, nil, fmt.Errorf("%w: %s holds %d keys of %d", ErrCorrupt, name, len(rows), end.Rows)
	}
	return end, rows, nil
}

// prune removes what the verified copy makes superfluous once its term is over.
func (s *Service) prune(ctx context.Context, newest object) error {
	all, err := objects(ctx, s.Second)
	if err != nil {
		return fmt.Errorf("keyring: second place %s: %w", s.Second.Name(), err)
	}
	limit := s.Now().Add(-s.term())
	lastMark := ""
	for _, o := range all {
		if o.kind == kindMark {
			lastMark = o.name
		}
	}
	for _, o := range all {
		var over bool
		switch o.kind {
		case kindMark:
			over = o.name != lastMark
		case kindCopy:
			over = o.set != newest.set && !o.made.After(limit)
		case kindJournal:
			over = o.change <= newest.change && !o.made.After(limit)
		}
		if !over {
			continue
		}
		if err := s.Second.Remove(ctx, o.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("keyring: remove %s: %w", path.Join(s.Second.Name(), o.name), err)
		}
	}
	return nil
}

// LastCopy tells whether, and until when at most, a copy at the second place
// may still hold a key that was destroyed at the instant: the zero time when
// no object there is that old.
func (s *Service) LastCopy(ctx context.Context, destroyed time.Time) (time.Time, error) {
	all, err := objects(ctx, s.Second)
	if err != nil {
		return time.Time{}, fmt.Errorf("keyring: second place %s: %w", s.Second.Name(), err)
	}
	var until time.Time
	for _, o := range all {
		if o.kind != kindMark && !o.made.After(destroyed) {
			if end := o.made.Add(s.term()); end.After(until) {
				until = end
			}
		}
	}
	return until, nil
}
