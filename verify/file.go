package verify

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"

	"github.com/rempart/rempart/internal/tlog"
)

// Errors of File. All that a file can be wrong about is in the Report instead.
var (
	// ErrUnknown: the file is of no kind that this package knows.
	ErrUnknown = errors.New("verify: not a file that can be verified")
	// ErrKey: a key in the options is malformed.
	ErrKey = errors.New("verify: malformed verifier key")
)

// Options say what to verify against. The zero value uses the keys in the
// file.
type Options struct {
	// VerifierKeys are the keys to trust: of logs (and of the signers of
	// statements), and of witnesses, as in C2SP signed-note. When any are
	// given, keys in the file are not used.
	VerifierKeys []string
	// MinWitnesses is how many witnesses must have cosigned each checkpoint.
	MinWitnesses int
	// Each, if not nil, is called with every leaf of an export, in order. What
	// a leaf says of a later entry is judged when that entry comes, and is then
	// in the Report only.
	Each func(Leaf)

	keys []note.Verifier
}

// File recognizes and verifies one file. It returns an error when the file
// cannot be read, is no file of ours (ErrUnknown), or the options are wrong
// (ErrKey); anything else is in the Report, whose OK is true only if all holds.
func File(r io.Reader, o Options) (Report, error) {
	keys, err := parseKeys(o.VerifierKeys)
	if err != nil {
		return Report{}, ErrKey
	}
	o.keys = keys
	var rep Report
	if err := rep.file(bufio.NewReaderSize(r, readerBuffer), &o); err != nil {
		return Report{}, err
	}
	if rep.KeysFrom == "the file" {
		rep.note("The keys used are those in the file itself: it agrees with itself, but who wrote it is not shown. Give the verifier key that you have from elsewhere.")
	}
	rep.OK = len(rep.Problems) == 0
	return rep, nil
}

func (rep *Report) file(r *bufio.Reader, o *Options) error {
	first, err := readLine(r, nil)
	if errors.Is(err, errLine) {
		return ErrUnknown
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("verify: read: %w", err)
	}
	if formatOf(first) == FormatExport {
		rep.File = "export"
		return rep.export(first, r, o)
	}
	all := first
	if err == nil {
		rest, err := io.ReadAll(io.LimitReader(r, int64(MaxLine-len(first))))
		if err != nil {
			return fmt.Errorf("verify: read: %w", err)
		}
		all = append(append(first, '\n'), rest...)
	}
	if len(all) > MaxLine {
		return ErrUnknown
	}
	switch formatOf(all) {
	case FormatEntry:
		rep.File = "entry proof"
		rep.entryProof(all, o)
	case FormatConsistency:
		rep.File = "consistency proof"
		rep.consistencyProof(all, o)
	case FormatEpoch:
		rep.File = "epoch proof"
		rep.epochProof(all, o)
	case formatEnvelope:
		rep.File = "statement"
		rep.envelope(all, o)
	default:
		if _, err := tlog.ReadCheckpoint(all); err != nil {
			return ErrUnknown
		}
		rep.File = "checkpoint"
		if len(o.VerifierKeys) == 0 {
			rep.problem("a checkpoint holds no key: give the verifier key of its log")
			return nil
		}
		rep.checkpoint(all, "", nil, o)
	}
	return nil
}

// formatOf tells the kind of a JSON object without reading more of it than it
// must; "" if it is none of ours.
func formatOf(b []byte) string {
	s := scan{b: b}
	if !s.is('{') {
		return ""
	}
	for !s.bad && !s.is('}') {
		name := s.text()
		s.want(':')
		switch {
		case string(name) == "format":
			return string(s.text())
		case string(name) == "payloadType":
			return formatEnvelope
		}
		s.skip(maxDepth)
		s.is(',')
	}
	return ""
}

func (rep *Report) entryProof(b []byte, o *Options) {
	claim := originOf(b)
	d := decoder{origin: claim}
	var r record
	var vkeys []string
	var checkpoint []byte
	var inclusion []tlog.Hash
	s := scan{b: b}
	seen := s.object([]string{"format", "verifier_keys", "checkpoint", "entry", "inclusion"}, func(i int) {
		switch i {
		case 0:
			s.plain()
		case 1:
			vkeys = s.strings(maxKeys)
		case 2:
			checkpoint = s.text()
		case 3:
			d.leaf(&s, &r)
		case 4:
			inclusion = s.hashes()
		}
	})
	if !s.end() || seen != 1<<5-1 || r.broken || r.end {
		rep.problem("the file is not a well-formed entry proof")
		return
	}
	c := rep.checkpoint(checkpoint, claim, vkeys, o)
	if c == nil {
		return
	}
	if r.State == Altered || r.State == Missing {
		rep.problem("entry %d is %s: %s", r.Index, r.State, r.Problem)
	}
	if r.Kind == "" {
		if r.State != Altered {
			rep.problem("the proof holds no entry")
		}
		return
	}
	if err := tlog.CheckInclusion(inclusion, c.Size, c.Root, r.Index, r.hash); err != nil {
		rep.problem("the inclusion proof does not lead to the checkpoint's root")
		return
	}
	if r.State == Altered {
		return
	}
	e := &EntryReport{Index: r.Index, ID: d.h.Entry, Time: d.h.When(), Kind: d.h.Kind, State: r.State}
	for i := range d.parts {
		p := &d.parts[i]
		out := PartReport{Label: string(p.label), State: "sealed"}
		switch {
		case p.seen&hasKey != 0:
			out.State = "opened"
			out.Content = string(bytes.ToValidUTF8(p.opened, []byte(string(utf8.RuneError))))
		case p.seen&hasErasedBy != 0:
			out.State, out.ErasedBy = "erased", p.erasedBy
		case p.seen&hasCiphertext == 0:
			out.State = "missing"
		}
		e.Parts = append(e.Parts, out)
	}
	rep.Entry = e
}

// originOf reads which log the checkpoint of a proof claims to be of. The
// entry may come before the checkpoint in the file, and is judged by it.
func originOf(b []byte) string {
	s := scan{b: b}
	s.want('{')
	for !s.bad {
		name := s.text()
		s.want(':')
		if string(name) == "checkpoint" {
			if c, err := tlog.ReadCheckpoint(s.text()); err == nil {
				return c.Origin
			}
			return ""
		}
		s.skip(maxDepth)
		s.want(',')
	}
	return ""
}

func (rep *Report) consistencyProof(b []byte, o *Options) {
	var vkeys []string
	var older, newer []byte
	var proof []tlog.Hash
	s := scan{b: b}
	seen := s.object([]string{"format", "verifier_keys", "older", "newer", "consistency"}, func(i int) {
		switch i {
		case 0:
			s.plain()
		case 1:
			vkeys = s.strings(maxKeys)
		case 2:
			older = s.text()
		case 3:
			newer = s.text()
		case 4:
			proof = s.hashes()
		}
	})
	if !s.end() || seen != 1<<5-1 {
		rep.problem("the file is not a well-formed consistency proof")
		return
	}
	a := rep.checkpoint(older, "", vkeys, o)
	if a == nil {
		return
	}
	z := rep.checkpoint(newer, a.Origin, vkeys, o)
	if z == nil {
		return
	}
	if err := tlog.CheckConsistency(proof, a.Size, a.Root, z.Size, z.Root); err != nil {
		rep.problem("the newer tree is not shown to begin with the older one")
	}
}

func (rep *Report) epochProof(b []byte, o *Options) {
	var vkeys []string
	var checkpoint, data []byte
	var index int64
	var inclusion []tlog.Hash
	var op tlog.Opening
	var openingSeen uint
	s := scan{b: b}
	seen := s.object([]string{"format", "verifier_keys", "checkpoint", "index", "epoch", "inclusion", "opening"}, func(i int) {
		switch i {
		case 0:
			s.plain()
		case 1:
			vkeys = s.strings(maxKeys)
		case 2:
			checkpoint = s.text()
		case 3:
			index = s.integer()
		case 4:
			data = s.base64(nil)
		case 5:
			inclusion = s.hashes()
		case 6:
			openingSeen = s.object([]string{"slot", "origin", "size", "root", "blinding", "path"}, func(i int) {
				switch i {
				case 0:
					op.Slot = s.integer()
				case 1:
					op.Origin = string(s.plain())
				case 2:
					op.Size = s.integer()
				case 3:
					op.Root = s.hash()
				case 4:
					op.Blinding = s.hash()
				case 5:
					op.Path = s.hashes()
				}
			})
		}
	})
	leaf, err := tlog.ParseEpochLeaf(data)
	if !s.end() || seen != 1<<7-1 || openingSeen != 1<<6-1 || err != nil {
		rep.problem("the file is not a well-formed epoch proof")
		return
	}
	c := rep.checkpoint(checkpoint, leaf.Origin, vkeys, o)
	if c == nil {
		return
	}
	if tlog.CheckInclusion(inclusion, c.Size, c.Root, index, tlog.LeafHash(data)) != nil {
		rep.problem("the inclusion proof does not lead to the checkpoint's root")
		return
	}
	if tlog.CheckOpening(leaf, op) != nil {
		rep.problem("the opening does not lead to the root of the epoch tree")
		return
	}
	rep.Epoch = &EpochReport{Index: index, Time: time.UnixMicro(leaf.Time).UTC(), Slot: op.Slot, Origin: op.Origin, Size: op.Size, Root: op.Root}
}
