package keyring

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"filippo.io/age"

	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

// Errors of opening the keyring.
var (
	// ErrEmpty is returned by Start when the keys database was never set up.
	ErrEmpty = errors.New("keyring: the keys database is empty")
	// ErrThere is returned by Setup and Recover when the keys database is in use.
	ErrThere = errors.New("keyring: the keys database is in use")
	// ErrOlder is returned when main, keys and erasure ledger are not of one
	// time and no open act explains it: an older copy was put back.
	ErrOlder = errors.New("keyring: an older copy was put back; run `rempart restore --finish`")
)

// What the installation seals for itself, under its own key.
const (
	labelCanary    = "keyring.meta.canary"
	labelLedgerKey = "keyring.meta.ledger_key"
	canaryText     = "rempart: these are the keys of this installation"
)

func (s *Service) installation() string {
	if st := s.opened.Load(); st != nil {
		return st.installation
	}
	return ""
}

func (s *Service) meta(ctx context.Context) (m metaRow, keks []kekRow, err error) {
	err = s.Store.Keys.View(ctx, system, func(tx *store.Tx) error {
		var err error
		if m, err = readMeta(tx); err != nil {
			return err
		}
		keks, err = store.All(tx, scanKEK, selectKEKs)
		return err
	})
	if errors.Is(err, store.ErrNone) {
		return m, nil, ErrEmpty
	}
	return m, keks, err
}

// Setup makes the keys of a new installation and starts the keyring. It answers
// the recovery identity, which is kept nowhere: it belongs in the recovery kit.
func (s *Service) Setup(ctx context.Context) (Secret, error) {
	if _, _, err := s.meta(ctx); err == nil {
		return Secret{}, ErrThere
	} else if !errors.Is(err, ErrEmpty) {
		return Secret{}, fmt.Errorf("keyring: set up: %w", err)
	}
	for _, p := range s.Ledgers {
		if lines, err := p.Lines(ctx); err != nil {
			return Secret{}, fmt.Errorf("keyring: the erasure ledger at %s: %w", p.Name(), err)
		} else if len(lines) > 0 {
			return Secret{}, fmt.Errorf("%w: the keys database is empty and the erasure ledger at %s is not", ErrOlder, p.Name())
		}
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return Secret{}, fmt.Errorf("keyring: recovery identity: %w", err)
	}
	s.cache.init(s.Cached)
	now := s.Now()
	m := metaRow{
		Installation: id.New[installationKind](now).String(), Recipient: identity.Recipient().String(),
		Changes: 1, Epoch: 1, Created: micros(now),
	}
	kek, raw, err := s.makeKEK(ctx, m.Installation, m.Recipient, id.NewDataKey(now), 1)
	if err != nil {
		return Secret{}, err
	}
	by := wrapper(raw)
	raw.Wipe()
	first := newKey()
	row := keyRow{ID: id.NewDataKey(now), Owner: Installation().String(), Class: ClassInstallation, Purpose: purposeSeal, Version: 1, State: stateActive, Parent: kek.ID, Created: micros(now)}
	row.Wrapped = wrapKey(by, row, first)
	index := keyRow{ID: id.NewDataKey(now), Owner: row.Owner, Class: ClassInstallation, Purpose: purposeIndex, Version: 1, State: stateActive, Parent: row.ID, Created: micros(now)}
	index.Wrapped = wrapKey(wrapper(first), index, newKey())
	ring := newRing([]*ownerKeys{{owner: Installation(), active: newDataKey(row.ID, 1, first)}})
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return Secret{}, fmt.Errorf("keyring: ledger key: %w", err)
	}
	if m.LedgerKey, m.Canary, err = sealOwn(ring, m.Installation, private); err != nil {
		return Secret{}, err
	}
	m.LedgerPublic = public
	err = s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error {
		if err := putKEK(tx, kek); err != nil {
			return err
		}
		for _, k := range []keyRow{row, index} {
			if _, err := putKey(tx, k); err != nil {
				return err
			}
		}
		return putMeta(tx, m)
	})
	if errors.Is(err, store.ErrUnique) {
		return Secret{}, ErrThere
	}
	if err != nil {
		return Secret{}, fmt.Errorf("keyring: set up: %w", err)
	}
	if err := s.Start(ctx); err != nil {
		return Secret{}, err
	}
	return NewSecret([]byte(identity.String())), nil
}

// sealOwn seals the ledger's signing key and the canary.
func sealOwn(ring *Ring, installation string, private ed25519.PrivateKey) (key, canary []byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	defer clear(der)
	if key, err = ring.Seal(Installation(), labelLedgerKey, installation, der); err != nil {
		return nil, nil, err
	}
	canary, err = ring.Seal(Installation(), labelCanary, installation, []byte(canaryText))
	return key, canary, err
}

// Start opens the keyring of an installation: it unwraps the key-encryption
// keys, opens the canary, compares main, keys and erasure ledger, finishes
// acts that a crash cut short, and makes sure of a copy. Before it, Ready
// answers ErrNotStarted. The error is ErrEmpty, ErrRoot, ErrOlder, ErrLedger or
// says which place can't be reached; nothing may be served then.
func (s *Service) Start(ctx context.Context) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	if err := s.compare(ctx); err != nil {
		s.opened.Store(nil)
		return err
	}
	if err := s.FinishOpen(ctx); err != nil {
		s.opened.Store(nil)
		return err
	}
	if _, err := s.CopyAge(ctx); errors.Is(err, errNoCopy) {
		return s.MakeCopies(ctx)
	} else if err != nil {
		s.Log.Warn("the second place of the keys is away", "error", err)
	}
	return nil
}

// open unwraps, without comparing.
func (s *Service) open(ctx context.Context) error {
	if s.Store == nil || s.Root == nil || s.Second == nil || s.Now == nil || s.Log == nil || len(s.Ledgers) == 0 {
		return errors.New("keyring: Store, Root, Second, Ledgers, Now and Log are required")
	}
	if s.Term != 0 && (s.Term < minTerm || s.Term > maxTerm) {
		return fmt.Errorf("keyring: keys.term is %s; it goes from %s to %s", s.Term, minTerm, maxTerm)
	}
	s.cache.init(s.Cached)
	if err := s.reopen(ctx); err != nil {
		return err
	}
	if err := s.loadOrphans(ctx, s.opened.Load()); err != nil {
		return err
	}
	m, _, err := s.meta(ctx)
	if err != nil {
		return fmt.Errorf("keyring: start: %w", err)
	}
	ring, err := s.Ready(ctx, Installation())
	if err != nil {
		return err
	}
	if text, err := ring.Open(Installation(), labelCanary, m.Installation, m.Canary); err != nil || string(text) != canaryText {
		return fmt.Errorf("keyring: these are not the keys of this installation: the canary does not open: %w", errors.Join(err, ErrCorrupt))
	}
	der, err := ring.Open(Installation(), labelLedgerKey, m.Installation, m.LedgerKey)
	if err != nil {
		return fmt.Errorf("keyring: ledger key: %w", err)
	}
	defer clear(der)
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return fmt.Errorf("keyring: ledger key: %w", err)
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok || !ed25519.PublicKey(m.LedgerPublic).Equal(private.Public()) {
		return fmt.Errorf("%w: its key in the keys database is not the one that signed", ErrLedger)
	}
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	s.ledger.signer, s.ledger.public = private, ed25519.PublicKey(m.LedgerPublic)
	s.ledger.lines, s.ledger.heads = nil, nil
	return nil
}

// reopen unwraps the key-encryption keys.
func (s *Service) reopen(ctx context.Context) error {
	m, rows, err := s.meta(ctx)
	if err != nil {
		return err
	}
	keks, active, err := unwrapKEKs(ctx, s.Root, m.Installation, rows)
	if err != nil {
		return err
	}
	s.generation.Store(m.Generation)
	s.opened.Store(&opened{installation: m.Installation, recipient: m.Recipient, keks: keks, active: active})
	return nil
}

// compare refuses to go on when main, keys and erasure ledger are not of one
// time, save for what an open act explains, which FinishOpen then ends.
func (s *Service) compare(ctx context.Context) error {
	m, _, err := s.meta(ctx)
	if err != nil {
		return fmt.Errorf("keyring: start: %w", err)
	}
	var main stateRow
	var open []Act
	err = s.Store.Main.View(ctx, system, func(tx *store.Tx) (err error) {
		if main, err = readState(tx); err != nil {
			return err
		}
		open, err = store.All(tx, scanAct, selectIntents)
		return err
	})
	if err != nil {
		return fmt.Errorf("keyring: start: %w", err)
	}
	s.ledger.mu.Lock()
	lines, err := s.readLedger(ctx)
	heads := s.ledger.heads
	s.ledger.mu.Unlock()
	if err != nil {
		return err
	}
	if len(lines) == 0 && m.LedgerLines == 0 && main.none {
		return s.begin(ctx, m)
	}
	if main.none {
		// Setup was cut short after the ledger's first line, and nothing was done since.
		if len(lines) != 1 || m.LedgerLines > 1 || m.LogSize > 0 {
			return fmt.Errorf("%w: the main database is older than the keys", ErrOlder)
		}
		return s.begin(ctx, m)
	}
	if main.Installation != m.Installation {
		return fmt.Errorf("keyring: the main database is of installation %s and the keys are of %s", main.Installation, m.Installation)
	}
	explained := map[id.Intent]bool{}
	for _, a := range open {
		explained[a.ID] = true
	}
	for _, side := range []struct {
		name  string
		lines int64
		head  string
		epoch int64
	}{{"main", main.LedgerLines, main.LedgerHead, main.Epoch}, {"keys", m.LedgerLines, m.LedgerHead, m.Epoch}} {
		switch {
		case side.lines > int64(len(lines)):
			return fmt.Errorf("%w: the erasure ledger is older than the %s database", ErrOlder, side.name)
		case side.lines > 0 && heads[side.lines-1] != side.head:
			return fmt.Errorf("%w: the %s database knows another line %d", ErrLedger, side.name, side.lines)
		}
		for _, l := range lines[side.lines:] {
			if l.Kind == lineDestroy && !explained[l.Act] || l.Kind == lineEpoch {
				return fmt.Errorf("%w: the %s database is older than line %d of the erasure ledger", ErrOlder, side.name, l.N)
			}
		}
		if n := len(lines); n > 0 && lines[n-1].Epoch != side.epoch {
			return fmt.Errorf("%w: the %s database is of restore %d, the erasure ledger of %d", ErrOlder, side.name, side.epoch, lines[n-1].Epoch)
		}
	}
	return s.compareLog(ctx, m, lines)
}

// compareLog refuses a main database whose log is shorter than, or another
// than, the one that keys and ledger have seen.
func (s *Service) compareLog(ctx context.Context, m metaRow, lines []LedgerLine) error {
	size, head := m.LogSize, m.LogHead
	if n := len(lines); n > 0 && lines[n-1].LogSize > size {
		size, head = lines[n-1].LogSize, lines[n-1].LogHead
	}
	if size == 0 || s.LogHead == nil {
		return nil
	}
	have, _, err := s.LogHead(ctx)
	if err != nil {
		return fmt.Errorf("keyring: head of the log: %w", err)
	}
	if have < size {
		return fmt.Errorf("%w: the log in the main database has %d entries, the keys have seen %d", ErrOlder, have, size)
	}
	if s.LogAt == nil || head == "" {
		return nil
	}
	was, err := s.LogAt(ctx, size)
	if err != nil {
		return fmt.Errorf("keyring: head of the log: %w", err)
	}
	if was != head {
		return fmt.Errorf("%w: the log in the main database is not the one that the keys have seen", ErrOlder)
	}
	return nil
}

// begin writes the first line of the ledger and the first state of main.
func (s *Service) begin(ctx context.Context, m metaRow) error {
	line, head, err := LedgerLine{}, "", error(nil)
	if lines, have, lerr := s.Ledger(ctx); lerr != nil {
		return lerr
	} else if len(lines) == 1 {
		line, head = lines[0], have
	} else if line, head, err = s.appendLine(ctx, LedgerLine{Kind: lineOpen, Epoch: m.Epoch}); err != nil {
		return err
	}
	if err := s.keepHead(ctx, line, head); err != nil {
		return err
	}
	return s.Store.Main.Maintain(ctx, system, func(tx *store.Tx) error {
		_, err := tx.Exec(insertState, m.Installation, line.Epoch, line.N, head, micros(s.Now()))
		return err
	})
}

// keepHead notes the ledger's head in the keys database.
func (s *Service) keepHead(ctx context.Context, line LedgerLine, head string) error {
	return s.Store.Keys.Maintain(ctx, system, func(tx *store.Tx) error {
		_, err := tx.Exec(updateHead, line.N, head, line.Epoch)
		return err
	})
}

// Watch keeps the cache of this node true when others change keys: it looks
// four times a second, and ends with the context. The embedded engine has one
// process and needs none.
func (s *Service) Watch(ctx context.Context) {
	if s.Store.Keys.Engine() == store.SQLite {
		return
	}
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		at := s.Now()
		if err := s.poll(ctx); err != nil {
			if ctx.Err() != nil {
				return
			}
			s.Log.Error("the keys database does not answer", "error", err)
		} else {
			s.polled.Store(micros(at))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Service) poll(ctx context.Context) error {
	var gen int64
	err := s.Store.Keys.View(ctx, system, func(tx *store.Tx) error { return tx.Row(selectGeneration).Scan(&gen) })
	if err != nil {
		return fmt.Errorf("keyring: poll: %w", err)
	}
	if gen != s.generation.Load() {
		if err := s.reopen(ctx); err != nil {
			return err
		}
		s.cache.reset()
	}
	return nil
}

// unstale forgets what another node may have destroyed, when Watch has not had
// an answer for a second.
func (s *Service) unstale() {
	if at := s.polled.Load(); at != 0 && s.Now().Sub(store.Time(at)) > time.Second {
		s.cache.reset()
	}
}
