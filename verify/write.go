package verify

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"

	"github.com/rempart/rempart/internal/tlog"
)

// Names of the formats, the first member of each file.
const (
	FormatExport      = "rempart-log-export/v1"
	FormatEntry       = "rempart-entry-proof/v1"
	FormatConsistency = "rempart-consistency-proof/v1"
	FormatEpoch       = "rempart-epoch-proof/v1"
)

// MaxLine is the longest line of an export, and the largest file of the other
// kinds, in bytes. Writers keep to it, readers refuse more.
const MaxLine = 4 << 20

// maxKeys bounds the verifier keys of a file.
const maxKeys = 64

// ErrWrite: what was to be written would not verify. It is returned by all
// that writes files, wrapped with the reason; nothing useful was written then.
var ErrWrite = errors.New("verify: the file would not verify")

// Names of package tlog that appear here, for callers outside this module.
type (
	Header    = tlog.Header
	Hash      = tlog.Hash
	ID        = tlog.ID
	EpochLeaf = tlog.EpochLeaf
	Opening   = tlog.Opening
)

// Signed is a signed checkpoint with the keys to verify it.
type Signed struct {
	// Checkpoint is the signed note.
	Checkpoint []byte
	// VerifierKeys are keys of the log and of witnesses, as in C2SP
	// signed-note. Readers who have keys from elsewhere do not use these.
	VerifierKeys []string
}

func (s Signed) open() (*tlog.SignedCheckpoint, error) {
	if len(s.VerifierKeys) > maxKeys {
		return nil, fmt.Errorf("%w: too many verifier keys", ErrWrite)
	}
	keys, err := parseKeys(s.VerifierKeys)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrite, err)
	}
	return openOwn(s.Checkpoint, keys)
}

// openOwn verifies a checkpoint under the origin it names itself.
func openOwn(msg []byte, keys []note.Verifier) (*tlog.SignedCheckpoint, error) {
	claim, err := tlog.ReadCheckpoint(msg)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrite, err)
	}
	c, err := tlog.OpenCheckpoint(msg, claim.Origin, keys...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrite, err)
	}
	return c, nil
}

func parseKeys(vkeys []string) ([]note.Verifier, error) {
	keys := make([]note.Verifier, 0, len(vkeys))
	for _, k := range vkeys {
		v, err := tlog.ParseVerifier(k)
		if err != nil {
			return nil, err
		}
		keys = append(keys, v)
	}
	return keys, nil
}

// Entry is one entry of a log, as files hold it.
type Entry struct {
	Index  int64
	Header tlog.Header
	// Parts are those the header lists, in its order.
	Parts []Part
}

// Part is a sealed part of an entry with as much as the reader may have.
type Part struct {
	tlog.Part
	// Ciphertext is nil when it was deleted; then its hash stands in.
	Ciphertext []byte
	// Key opens the part for the reader; nil leaves it sealed. The content is
	// written beside it when it is UTF-8.
	Key *tlog.PartKey
	// ErasedBy is the index of the later entry that records the destruction of
	// the part's key; 0 when not erased.
	ErasedBy int64
}

// appendEntry appends the JSON form of e to dst and returns the leaf's hash.
func appendEntry(dst []byte, e *Entry) ([]byte, tlog.Hash, error) {
	h := &e.Header
	header, err := h.MarshalBinary()
	if err != nil {
		return dst, tlog.Hash{}, fmt.Errorf("%w: %w", ErrWrite, err)
	}
	records := make([]tlog.Part, len(e.Parts))
	for i := range e.Parts {
		records[i] = e.Parts[i].Part
	}
	data, err := tlog.AppendLeafData(nil, h, records)
	if err != nil {
		return dst, tlog.Hash{}, fmt.Errorf("%w: %w", ErrWrite, err)
	}
	leaf := tlog.LeafHash(data)
	dst = appendIndex(dst, e.Index, leaf)
	dst = append(dst, `,"header":`...)
	dst = appendBase64(dst, header)
	dst = append(dst, `,"parts":[`...)
	for i := range e.Parts {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendPart(dst, e, &e.Parts[i]); err != nil {
			return dst, leaf, err
		}
	}
	return append(dst, `]}`...), leaf, nil
}

func appendPart(dst []byte, e *Entry, p *Part) ([]byte, error) {
	if p.ErasedBy != 0 && (p.Key != nil || p.ErasedBy <= e.Index) || p.Key != nil && p.Ciphertext == nil {
		return dst, fmt.Errorf("%w: part %s of entry %d: key, ciphertext and erasure do not go together", ErrWrite, p.Label, e.Index)
	}
	dst = append(dst, `{"label":`...)
	dst = appendText(dst, p.Label)
	dst = append(dst, `,"key_id":"`...)
	dst = append(dst, p.KeyID.String()...)
	if p.Ciphertext != nil {
		if sha256.Sum256(p.Ciphertext) != p.CiphertextHash {
			return dst, fmt.Errorf("%w: part %s of entry %d: %w", ErrWrite, p.Label, e.Index, tlog.ErrCiphertext)
		}
		dst = append(dst, `","ciphertext":`...)
		dst = appendBase64(dst, p.Ciphertext)
	} else {
		dst = append(dst, `","ciphertext_sha256":`...)
		dst = appendBase64(dst, p.CiphertextHash[:])
	}
	if p.Key != nil {
		content, err := tlog.OpenPart(e.Header.Origin, e.Header.Entry, &p.Part, p.Ciphertext, p.Key)
		if err != nil {
			return dst, fmt.Errorf("%w: part %s of entry %d: %w", ErrWrite, p.Label, e.Index, err)
		}
		dst = append(dst, `,"key":`...)
		dst = appendBase64(dst, p.Key.Bytes())
		if utf8.Valid(content) {
			dst = append(dst, `,"content":`...)
			dst = appendText(dst, string(content))
		}
	} else {
		dst = append(dst, `,"key_commitment":`...)
		dst = appendBase64(dst, p.KeyCommitment[:])
	}
	if p.ErasedBy != 0 {
		dst = append(dst, `,"erased_by":`...)
		dst = strconv.AppendInt(dst, p.ErasedBy, 10)
	}
	return append(dst, '}'), nil
}

func appendIndex(dst []byte, index int64, leaf tlog.Hash) []byte {
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, index, 10)
	dst = append(dst, `,"leaf_hash":`...)
	return appendBase64(dst, leaf[:])
}

// Exporter writes an export: every leaf of a log up to a checkpoint, in order.
// It recomputes the tree while it writes, so that Close fails rather than
// leave a file that does not verify.
type Exporter struct {
	w    *bufio.Writer
	c    *tlog.SignedCheckpoint
	edge tlog.Edge
	buf  []byte
}

// NewExporter verifies the checkpoint and writes the manifest line.
func NewExporter(w io.Writer, s Signed) (*Exporter, error) {
	c, err := s.open()
	if err != nil {
		return nil, err
	}
	x := &Exporter{w: bufio.NewWriterSize(w, 64<<10), c: c}
	b := append(x.buf[:0], `{"format":"`+FormatExport+`","origin":`...)
	b = appendText(b, c.Origin)
	b = append(b, `,"verifier_keys":`...)
	b = appendTexts(b, s.VerifierKeys)
	b = append(b, `,"checkpoint":`...)
	b = appendText(b, string(s.Checkpoint))
	return x, x.line(append(b, '}'))
}

// Entry writes the next leaf, an entry.
func (x *Exporter) Entry(e *Entry) error {
	if e.Header.Origin != x.c.Origin {
		return fmt.Errorf("%w: entry %d is of another log", ErrWrite, e.Index)
	}
	b, leaf, err := appendEntry(x.buf[:0], e)
	if err != nil {
		return err
	}
	return x.leaf(b, e.Index, leaf)
}

// Epoch writes the next leaf, the root of an epoch tree.
func (x *Exporter) Epoch(index int64, l EpochLeaf) error {
	data, err := l.MarshalBinary()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrWrite, err)
	}
	if l.Origin != x.c.Origin {
		return fmt.Errorf("%w: leaf %d is of another log", ErrWrite, index)
	}
	leaf := tlog.LeafHash(data)
	b := appendIndex(x.buf[:0], index, leaf)
	b = append(b, `,"epoch":`...)
	b = appendBase64(b, data)
	return x.leaf(append(b, '}'), index, leaf)
}

// Pruned writes the next leaf, an entry that was deleted at the end of its
// term, as the later entry with index by records.
func (x *Exporter) Pruned(index int64, leaf Hash, by int64) error {
	if by <= index {
		return fmt.Errorf("%w: entry %d pruned by entry %d", ErrWrite, index, by)
	}
	b := appendIndex(x.buf[:0], index, leaf)
	b = append(b, `,"pruned_by":`...)
	b = strconv.AppendInt(b, by, 10)
	return x.leaf(append(b, '}'), index, leaf)
}

// Close writes the closing line and flushes. It returns ErrWrite when the
// leaves written are not those of the checkpoint.
func (x *Exporter) Close() error {
	if x.edge.Size() != x.c.Size || x.edge.Root() != x.c.Root {
		return fmt.Errorf("%w: the leaves are not those of the checkpoint", ErrWrite)
	}
	b := append(x.buf[:0], `{"end":"`+FormatExport+`","leaves":`...)
	b = strconv.AppendInt(b, x.c.Size, 10)
	if err := x.line(append(b, '}')); err != nil {
		return err
	}
	if err := x.w.Flush(); err != nil {
		return fmt.Errorf("verify: write export: %w", err)
	}
	return nil
}

func (x *Exporter) leaf(line []byte, index int64, leaf tlog.Hash) error {
	if index != x.edge.Size() || index >= x.c.Size {
		return fmt.Errorf("%w: leaf %d where %d is due", ErrWrite, index, x.edge.Size())
	}
	if err := x.line(line); err != nil {
		return err
	}
	x.edge.Append(leaf)
	// Only the root is wanted: let complete tiles go.
	if x.edge.Size()%tlog.TileWidth == 0 {
		x.edge.TakeTiles()
	}
	return nil
}

func (x *Exporter) line(b []byte) error {
	x.buf = b
	if len(b) >= MaxLine {
		return fmt.Errorf("%w: a line is longer than %d bytes", ErrWrite, MaxLine)
	}
	if _, err := x.w.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("verify: write export: %w", err)
	}
	return nil
}

// EntryProof shows one entry and that it is in the log.
type EntryProof struct {
	Signed
	Entry Entry
	// Inclusion is the proof from the leaf to the root of the checkpoint.
	Inclusion []Hash
}

// Marshal gives the file, after verifying it.
func (p *EntryProof) Marshal() ([]byte, error) {
	c, err := p.Signed.open()
	if err != nil {
		return nil, err
	}
	b := start(FormatEntry, p.Signed)
	b = append(b, `,"entry":`...)
	b, leaf, err := appendEntry(b, &p.Entry)
	if err != nil {
		return nil, err
	}
	if p.Entry.Header.Origin != c.Origin {
		return nil, fmt.Errorf("%w: the entry is of another log", ErrWrite)
	}
	if err := tlog.CheckInclusion(p.Inclusion, c.Size, c.Root, p.Entry.Index, leaf); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrite, err)
	}
	b = append(b, `,"inclusion":`...)
	return finish(appendHashes(b, p.Inclusion))
}

// ConsistencyProof shows that a log at one checkpoint begins with what it was
// at an older one.
type ConsistencyProof struct {
	// VerifierKeys are those of both checkpoints.
	VerifierKeys []string
	// Older and Newer are signed notes.
	Older, Newer []byte
	// Consistency is the proof from the older root to the newer one.
	Consistency []Hash
}

// Marshal gives the file, after verifying it.
func (p *ConsistencyProof) Marshal() ([]byte, error) {
	older, err := Signed{p.Older, p.VerifierKeys}.open()
	if err != nil {
		return nil, err
	}
	newer, err := Signed{p.Newer, p.VerifierKeys}.open()
	if err != nil {
		return nil, err
	}
	if older.Origin != newer.Origin {
		return nil, fmt.Errorf("%w: checkpoints of two logs", ErrWrite)
	}
	if err := tlog.CheckConsistency(p.Consistency, older.Size, older.Root, newer.Size, newer.Root); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrite, err)
	}
	b := append([]byte(nil), `{"format":"`+FormatConsistency+`","verifier_keys":`...)
	b = appendTexts(b, p.VerifierKeys)
	b = append(b, `,"older":`...)
	b = appendText(b, string(p.Older))
	b = append(b, `,"newer":`...)
	b = appendText(b, string(p.Newer))
	b = append(b, `,"consistency":`...)
	return finish(appendHashes(b, p.Consistency))
}

// EpochProof shows the head of one log in an epoch tree, and that tree in the
// platform log.
type EpochProof struct {
	// Signed is the platform log's checkpoint.
	Signed
	// Leaf is the epoch's leaf, at Index of the platform log.
	Leaf  EpochLeaf
	Index int64
	// Inclusion is the proof of Leaf.
	Inclusion []Hash
	// Opening is that of the one log.
	Opening Opening
}

// Marshal gives the file, after verifying it.
func (p *EpochProof) Marshal() ([]byte, error) {
	c, err := p.Signed.open()
	if err != nil {
		return nil, err
	}
	data, err := p.Leaf.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrite, err)
	}
	if p.Leaf.Origin != c.Origin {
		return nil, fmt.Errorf("%w: the leaf is of another log", ErrWrite)
	}
	if err := tlog.CheckInclusion(p.Inclusion, c.Size, c.Root, p.Index, tlog.LeafHash(data)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrite, err)
	}
	if err := tlog.CheckOpening(p.Leaf, p.Opening); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrite, err)
	}
	b := start(FormatEpoch, p.Signed)
	b = append(b, `,"index":`...)
	b = strconv.AppendInt(b, p.Index, 10)
	b = append(b, `,"epoch":`...)
	b = appendBase64(b, data)
	b = append(b, `,"inclusion":`...)
	b = appendHashes(b, p.Inclusion)
	o := &p.Opening
	b = append(b, `,"opening":{"slot":`...)
	b = strconv.AppendInt(b, o.Slot, 10)
	b = append(b, `,"origin":`...)
	b = appendText(b, o.Origin)
	b = append(b, `,"size":`...)
	b = strconv.AppendInt(b, o.Size, 10)
	b = append(b, `,"root":`...)
	b = appendBase64(b, o.Root[:])
	b = append(b, `,"blinding":`...)
	b = appendBase64(b, o.Blinding[:])
	b = append(b, `,"path":`...)
	b = appendHashes(b, o.Path)
	return finish(append(b, '}'))
}

func start(format string, s Signed) []byte {
	b := append([]byte(nil), `{"format":"`+format+`","verifier_keys":`...)
	b = appendTexts(b, s.VerifierKeys)
	b = append(b, `,"checkpoint":`...)
	return appendText(b, string(s.Checkpoint))
}

func finish(b []byte) ([]byte, error) {
	b = append(b, "}\n"...)
	if len(b) > MaxLine {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrWrite, MaxLine)
	}
	return b, nil
}
