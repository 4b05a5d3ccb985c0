package verify

import (
	"bytes"
	"crypto/sha256"

	"github.com/rempart/rempart/internal/tlog"
)

// State is what became of one leaf.
type State uint8

// The states. A leaf that is Missing or Altered fails the verification.
const (
	// Present: the entry is there, and it is the one the tree commits to. Its
	// parts may be sealed for the reader.
	Present State = iota
	// Erased: a part can no longer be opened, as a later entry records.
	Erased
	// Pruned: the entry was deleted at the end of its term, as a later entry
	// records.
	Pruned
	// Missing: the entry or a part is not there, and nothing says why.
	Missing
	// Altered: what is there is not what the tree commits to.
	Altered
)

// String is the word that reports use.
func (s State) String() string {
	return [...]string{"present", "erased", "pruned", "missing", "altered"}[s]
}

// MarshalText is String, for JSON.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Leaf is the outcome for one leaf of an export.
type Leaf struct {
	Index int64
	// Last is Index, save for a run of leaves that are not in the file: these
	// come as one.
	Last  int64
	State State
	// By is the entry that records the erasure or the pruning.
	By int64
	// Time and Kind are those of the header; zero when there is none.
	Time int64
	Kind string
	// Problem says what is wrong with an Altered or Missing leaf.
	Problem string
}

// record is a leaf as it was read, or the closing line.
type record struct {
	Leaf
	hash   tlog.Hash
	end    bool
	leaves int64 // of the closing line
	broken bool  // the line could not be read: index and hash mean nothing
	opened bool  // the contents of all parts were given and agree
	refs   [tlog.MaxParts]int64
	nrefs  int
}

// part is a part as it was read. Slices point into the decoder's buffers.
type part struct {
	label      []byte
	seen       uint
	keyID      tlog.ID
	ciphertext []byte
	hash       tlog.Hash
	key        []byte
	commitment tlog.Hash
	content    []byte
	erasedBy   int64
	opened     []byte // what the key gave
}

// decoder reads leaves and compares each with its own hash. One goroutine uses
// it; its buffers are reused from leaf to leaf.
type decoder struct {
	origin string
	header []byte
	epoch  []byte
	bytes  []byte // ciphertexts and keys
	plain  []byte // opened contents
	text   []byte // contents as written
	data   []byte
	h      tlog.Header
	parts  []part
}

var (
	leafMembers = []string{"index", "leaf_hash", "header", "parts", "epoch", "pruned_by", "end", "leaves"}
	partMembers = []string{"label", "key_id", "ciphertext", "ciphertext_sha256", "key", "key_commitment", "content", "erased_by"}
)

// Bits of the members seen, as places in leafMembers and partMembers.
const (
	hasIndex = 1 << iota
	hasLeafHash
	hasHeader
	hasParts
	hasEpoch
	hasPrunedBy
	hasEnd
	hasLeaves
)

const (
	hasLabel = 1 << iota
	hasKeyID
	hasCiphertext
	hasCiphertextHash
	hasKey
	hasCommitment
	hasContent
	hasErasedBy
)

// line reads one line of an export.
func (d *decoder) line(b []byte, out *record) {
	*out = record{}
	s := scan{b: b, buf: d.text[:0]}
	d.leaf(&s, out)
	d.text = s.buf
	if !s.end() || out.broken {
		*out = record{broken: true}
	}
}

// leaf reads a leaf object, or the closing object, and judges it.
func (d *decoder) leaf(s *scan, out *record) {
	d.header, d.epoch, d.bytes, d.plain, d.parts = d.header[:0], d.epoch[:0], d.bytes[:0], d.plain[:0], d.parts[:0]
	var end []byte
	seen := s.object(leafMembers, func(i int) {
		switch 1 << i {
		case hasIndex:
			out.Index = s.integer()
		case hasLeafHash:
			out.hash = s.hash()
		case hasHeader:
			d.header = s.base64(d.header)
		case hasParts:
			s.array(tlog.MaxParts, func() { d.part(s) })
		case hasEpoch:
			d.epoch = s.base64(d.epoch)
		case hasPrunedBy:
			out.By = s.integer()
		case hasEnd:
			end = s.plain()
		case hasLeaves:
			out.leaves = s.integer()
		}
	})
	if s.bad {
		out.broken = true
		return
	}
	switch seen {
	case hasEnd | hasLeaves:
		out.end = true
		out.broken = string(end) != FormatExport
	case hasIndex | hasLeafHash | hasPrunedBy:
		out.State = Pruned
		out.refs[0], out.nrefs = out.By, 1
		out.broken = out.By <= out.Index
	case hasIndex | hasLeafHash | hasEpoch:
		d.judgeEpoch(out)
	case hasIndex | hasLeafHash | hasHeader | hasParts:
		d.judgeEntry(out)
	case hasIndex | hasLeafHash:
		out.State, out.Problem = Missing, "only its hash is there"
	default:
		out.broken = true
	}
}

func (d *decoder) part(s *scan) {
	d.parts = append(d.parts, part{})
	p := &d.parts[len(d.parts)-1]
	p.seen = s.object(partMembers, func(i int) {
		switch 1 << i {
		case hasLabel:
			p.label = s.plain()
		case hasKeyID:
			if p.keyID.UnmarshalText(s.plain()) != nil {
				s.fail()
			}
		case hasCiphertext:
			p.ciphertext = d.take(s)
		case hasCiphertextHash:
			p.hash = s.hash()
		case hasKey:
			p.key = d.take(s)
		case hasCommitment:
			p.commitment = s.hash()
		case hasContent:
			p.content = s.text()
		case hasErasedBy:
			p.erasedBy = s.integer()
		}
	})
	has := func(bits uint) bool { return p.seen&bits == bits }
	switch {
	case !has(hasLabel | hasKeyID), // each value or its hash, never both
		has(hasCiphertext) == has(hasCiphertextHash), has(hasKey) == has(hasCommitment),
		has(hasKey) && (!has(hasCiphertext) || has(hasErasedBy)), has(hasContent) && !has(hasKey):
		s.fail()
	}
}

// take decodes base64 behind what is already in d.bytes.
func (d *decoder) take(s *scan) []byte {
	n := len(d.bytes)
	d.bytes = s.base64(d.bytes)
	return d.bytes[n:len(d.bytes):len(d.bytes)]
}

func (d *decoder) judgeEpoch(out *record) {
	l, err := tlog.ParseEpochLeaf(d.epoch)
	switch {
	case err != nil:
		out.alter("its epoch leaf is malformed")
	case l.Origin != d.origin:
		out.alter("it belongs to another log")
	case tlog.LeafHash(d.epoch) != out.hash:
		out.alter("its content does not give its leaf hash")
	default:
		out.Time, out.opened = l.Time, true
	}
}

func (d *decoder) judgeEntry(out *record) {
	h, err := tlog.ParseHeader(d.header)
	d.h = h
	switch {
	case err != nil:
		out.alter("its header is malformed")
		return
	case h.Origin != d.origin:
		out.alter("it belongs to another log")
		return
	case len(h.Labels) != len(d.parts):
		out.alter("its parts are not those of its header")
		return
	}
	out.Time, out.Kind, out.opened = h.Time, h.Kind, true
	d.data = append(d.data[:0], d.header...)
	for i := range d.parts {
		p := &d.parts[i]
		if string(p.label) != h.Labels[i] {
			out.alter("its parts are not those of its header")
			return
		}
		if p.seen&hasCiphertext != 0 {
			p.hash = sha256.Sum256(p.ciphertext)
		}
		if p.seen&hasKey != 0 {
			key, err := tlog.ParsePartKey(p.key)
			if err != nil {
				out.alter("a part key has a wrong length")
				return
			}
			p.commitment = key.Commitment(h.Labels[i])
		}
		d.data = append(d.data, p.keyID[:]...)
		d.data = append(d.data, p.hash[:]...)
		d.data = append(d.data, p.commitment[:]...)
	}
	if tlog.LeafHash(d.data) != out.hash {
		out.alter("its content does not give its leaf hash")
		return
	}
	for i := range d.parts {
		d.judgePart(&d.parts[i], out)
	}
}

// judgePart runs when the leaf hash has shown that ciphertext and key are the
// committed ones.
func (d *decoder) judgePart(p *part, out *record) {
	label := string(p.label)
	if p.seen&hasKey != 0 {
		key, _ := tlog.ParsePartKey(p.key) // judgeEntry saw to its length
		n := len(d.plain)
		plain, err := tlog.AppendOpened(d.plain, d.origin, d.h.Entry, label, p.ciphertext, &key)
		if err != nil {
			out.alter("part " + label + " does not open with its key")
			return
		}
		d.plain = plain
		p.opened = plain[n:len(plain):len(plain)]
		if p.seen&hasContent != 0 && !bytes.Equal(p.opened, p.content) {
			out.alter("the content written for part " + label + " is not what it holds")
		}
		return
	}
	out.opened = false
	switch {
	case p.seen&hasErasedBy != 0:
		if p.erasedBy <= out.Index {
			out.alter("part " + label + " is said to be erased by an entry that is not later")
			return
		}
		if out.State == Present {
			out.State, out.By = Erased, p.erasedBy
		}
		if out.nrefs == 0 || out.refs[out.nrefs-1] != p.erasedBy {
			out.refs[out.nrefs] = p.erasedBy
			out.nrefs++
		}
	case p.seen&hasCiphertext == 0:
		if out.State != Altered {
			out.State, out.Problem = Missing, "part "+label+" is not there, and no entry says that it was erased"
		}
	}
}

func (r *record) alter(problem string) {
	r.State, r.Problem, r.opened = Altered, problem, false
}
