package keyring

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
)

// Kinds of line in the erasure ledger.
const (
	lineOpen    = "open"    // the first line of an installation
	lineDestroy = "destroy" // keys of an owner ended, by an act
	lineSweep   = "sweep"   // keys that an earlier line had made unreadable were removed
	lineEpoch   = "epoch"   // a restore was finished
)

// LedgerLine is one line of the erasure ledger. It names no person: keys by
// their ids, the owner by a digest.
type LedgerLine struct {
	N            int64        `json:"n"`
	At           time.Time    `json:"at"`
	Installation string       `json:"installation"`
	Kind         string       `json:"kind"`
	Act          id.Intent    `json:"act,omitzero"`
	Epoch        int64        `json:"epoch"`
	Owner        string       `json:"owner,omitempty"`
	Keys         []id.DataKey `json:"keys,omitempty"`
	LogSize      int64        `json:"log_size"`
	LogHead      string       `json:"log_head,omitempty"`
	Prev         string       `json:"prev"`
	Sig          []byte       `json:"sig,omitempty"`
}

const ledgerContext = "rempart/erasure-ledger/1\n"

// signed is what the signature of a line is over.
func (l LedgerLine) signed() ([]byte, error) {
	l.Sig = nil
	b, err := json.Marshal(l)
	return append([]byte(ledgerContext), b...), err
}

func lineHash(line []byte) string {
	h := sha256.Sum256(line)
	return hex.EncodeToString(h[:])
}

// ErrLedger is returned for a ledger that does not verify.
var ErrLedger = errors.New("keyring: the erasure ledger does not verify")

// VerifyLedger checks the lines of an erasure ledger against its public key:
// numbers, chain, installation, signatures. head is the hash of the last line.
func VerifyLedger(public ed25519.PublicKey, installation string, lines [][]byte) (out []LedgerLine, head string, err error) {
	return verifyLines(public, installation, lines, 0, "")
}

func verifyLines(public ed25519.PublicKey, installation string, lines [][]byte, n int64, head string) ([]LedgerLine, string, error) {
	var out []LedgerLine
	for _, text := range lines {
		n++
		var l LedgerLine
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&l); err != nil {
			return nil, "", fmt.Errorf("%w: line %d is not readable", ErrLedger, n)
		}
		if l.N != n || l.Prev != head || l.Installation != installation {
			return nil, "", fmt.Errorf("%w: line %d is not the one that follows", ErrLedger, n)
		}
		msg, err := l.signed()
		if err != nil || len(public) != ed25519.PublicKeySize || !ed25519.Verify(public, msg, l.Sig) {
			return nil, "", fmt.Errorf("%w: the signature of line %d is wrong", ErrLedger, n)
		}
		head = lineHash(text)
		out = append(out, l)
	}
	return out, head, nil
}

// ledgerState is what this process has verified of the ledger.
type ledgerState struct {
	mu     sync.Mutex
	lines  []LedgerLine // without their key lists, which only the last reading needs
	heads  []string
	signer ed25519.PrivateKey
	public ed25519.PublicKey
}

// readLedger reads every place, verifies what is new since the last reading,
// and brings a place that lacks only the last line up: a crash between the two
// leaves it so. Any other difference is an error, and so is a place that can't
// be read. The caller holds s.ledger.mu.
func (s *Service) readLedger(ctx context.Context) ([]LedgerLine, error) {
	l := &s.ledger
	if len(s.Ledgers) == 0 {
		return nil, errors.New("keyring: no place for the erasure ledger is configured")
	}
	var longest [][]byte
	texts := make([][][]byte, len(s.Ledgers))
	for i, p := range s.Ledgers {
		t, err := p.Lines(ctx)
		if err != nil {
			return nil, fault.New(fault.Unavailable, "keyring.error.ledger-away", fmt.Errorf("keyring: the erasure ledger at %s can't be read: %w", p.Name(), err)).After(time.Minute)
		}
		texts[i] = t
		if len(t) > len(longest) {
			longest = t
		}
	}
	for i, t := range texts {
		for n := range t {
			if !bytes.Equal(t[n], longest[n]) {
				return nil, fmt.Errorf("%w: the places differ at line %d (%s)", ErrLedger, n+1, s.Ledgers[i].Name())
			}
		}
		if len(longest)-len(t) > 1 {
			return nil, fmt.Errorf("%w: the place %s lacks %d lines", ErrOlder, s.Ledgers[i].Name(), len(longest)-len(t))
		}
	}
	known := len(l.lines)
	if len(longest) < known {
		return nil, fmt.Errorf("%w: the erasure ledger lost %d lines", ErrOlder, known-len(longest))
	}
	head := ""
	if known > 0 {
		head = l.heads[known-1]
		if lineHash(longest[known-1]) != head {
			return nil, fmt.Errorf("%w: line %d was changed", ErrLedger, known)
		}
	}
	fresh, _, err := verifyLines(l.public, s.installation(), longest[known:], int64(known), head)
	if err != nil {
		return nil, err
	}
	for i, t := range texts {
		if len(t) < len(longest) {
			if err := s.Ledgers[i].Append(ctx, int64(len(longest)), longest[len(longest)-1]); err != nil {
				return nil, fmt.Errorf("keyring: the erasure ledger at %s: %w", s.Ledgers[i].Name(), err)
			}
		}
	}
	for i, f := range fresh {
		l.lines = append(l.lines, f)
		l.heads = append(l.heads, lineHash(longest[known+i]))
	}
	return l.lines, nil
}

// appendLine adds a line at every place and answers it once all have
// acknowledged. A line of the same act is not added twice.
func (s *Service) appendLine(ctx context.Context, line LedgerLine) (LedgerLine, string, error) {
	l := &s.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	lines, err := s.readLedger(ctx)
	if err != nil {
		return line, "", err
	}
	if !line.Act.IsZero() {
		for i, have := range lines {
			if have.Act == line.Act {
				return have, l.heads[i], nil
			}
		}
	}
	line.N, line.Installation, line.At = int64(len(lines))+1, s.installation(), s.Now()
	if n := len(lines); n > 0 {
		line.Prev = l.heads[n-1]
		line.Epoch = max(line.Epoch, lines[n-1].Epoch)
	}
	if s.LogHead != nil {
		if line.LogSize, line.LogHead, err = s.LogHead(ctx); err != nil {
			return line, "", fmt.Errorf("keyring: head of the log: %w", err)
		}
	}
	msg, err := line.signed()
	if err != nil {
		return line, "", err
	}
	line.Sig = ed25519.Sign(l.signer, msg)
	text, err := json.Marshal(line)
	if err != nil {
		return line, "", err
	}
	for _, p := range s.Ledgers {
		if err := p.Append(ctx, line.N, text); err != nil {
			return line, "", fault.New(fault.Unavailable, "keyring.error.ledger-away", fmt.Errorf("keyring: the erasure ledger at %s: %w", p.Name(), err)).After(time.Minute)
		}
	}
	l.lines = append(l.lines, line)
	l.heads = append(l.heads, lineHash(text))
	return line, l.heads[len(l.heads)-1], nil
}

// Ledger gives the verified lines of the erasure ledger, and the hash of the
// last.
func (s *Service) Ledger(ctx context.Context) ([]LedgerLine, string, error) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	lines, err := s.readLedger(ctx)
	if err != nil || len(lines) == 0 {
		return nil, "", err
	}
	return append([]LedgerLine(nil), lines...), s.ledger.heads[len(lines)-1], nil
}

// LedgerKey is the public key that verifies the erasure ledger.
func (s *Service) LedgerKey() ed25519.PublicKey {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	return s.ledger.public
}
