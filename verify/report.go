package verify

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/rempart/rempart/internal/tlog"
)

// Report is what a verification found. Its JSON form is stable: members are
// added, never changed.
type Report struct {
	// File is what the file is: "export", "entry proof", "consistency proof",
	// "epoch proof", "checkpoint" or "statement".
	File string `json:"file"`
	// OK is true when all holds. Exit status 1 otherwise.
	OK bool `json:"ok"`
	// KeysFrom is "you" when the keys were given by the caller, "the file" when
	// only those in the file were there: then the file agrees with itself, and
	// who wrote it is not shown.
	KeysFrom string `json:"keys_from,omitempty"`
	// Checkpoints are those that verified.
	Checkpoints []CheckpointReport `json:"checkpoints,omitempty"`
	// Entry is that of an entry proof.
	Entry *EntryReport `json:"entry,omitempty"`
	// Counts and Ranges are those of an export. Ranges ends after a thousand.
	Counts *Counts `json:"counts,omitempty"`
	Ranges []Range `json:"ranges,omitempty"`
	// Epoch is that of an epoch proof.
	Epoch *EpochReport `json:"epoch,omitempty"`
	// Statement is that of a signed statement.
	Statement *StatementReport `json:"statement,omitempty"`
	// Problems are why OK is false, at most a hundred.
	Problems []string `json:"problems,omitempty"`
	// Notes are what a reader should know although it is no fault.
	Notes []string `json:"notes,omitempty"`

	moreRanges   int64
	moreProblems int64
}

// CheckpointReport is a verified checkpoint.
type CheckpointReport struct {
	Origin     string            `json:"origin"`
	Size       int64             `json:"size"`
	Root       Hash              `json:"root"`
	Signatures []SignatureReport `json:"signatures"`
	// Unknown counts signatures by keys that nobody gave.
	Unknown int `json:"unknown_signatures,omitempty"`
}

// SignatureReport is a verified signature.
type SignatureReport struct {
	// Key is <name>+<key hash>.
	Key string `json:"key"`
	// CosignedAt is when a witness signed; nil for the log's own signature.
	CosignedAt *time.Time `json:"cosigned_at,omitempty"`
}

// EntryReport is a verified entry.
type EntryReport struct {
	Index int64        `json:"index"`
	ID    ID           `json:"id"`
	Time  time.Time    `json:"time"`
	Kind  string       `json:"kind"`
	State State        `json:"state"`
	Parts []PartReport `json:"parts"`
}

// PartReport is one part of a verified entry.
type PartReport struct {
	Label string `json:"label"`
	// State is "opened", "sealed", "erased" or "missing".
	State string `json:"state"`
	// ErasedBy is the entry that is said to record the erasure.
	ErasedBy int64 `json:"erased_by,omitempty"`
	// Content is what an opened part holds.
	Content string `json:"content,omitempty"`
}

// EpochReport is a verified opening.
type EpochReport struct {
	Index  int64     `json:"index"`
	Time   time.Time `json:"time"`
	Slot   int64     `json:"slot"`
	Origin string    `json:"origin"`
	Size   int64     `json:"size"`
	Root   Hash      `json:"root"`
}

// StatementReport is a verified statement in an envelope.
type StatementReport struct {
	PayloadType string `json:"payload_type"`
	// Keys are the keys whose signatures verified.
	Keys []string `json:"keys"`
	// PredicateType, Subjects and Predicate are those of an in-toto statement.
	PredicateType string          `json:"predicate_type,omitempty"`
	Subjects      []string        `json:"subjects,omitempty"`
	Predicate     json.RawMessage `json:"predicate,omitempty"`
}

func (rep *Report) problem(format string, args ...any) {
	if len(rep.Problems) >= maxProblems {
		rep.moreProblems++
		return
	}
	rep.Problems = append(rep.Problems, fmt.Sprintf(format, args...))
}

func (rep *Report) note(text string) { rep.Notes = append(rep.Notes, text) }

// add joins r to the ranges.
func (rep *Report) add(r Range) {
	if n := len(rep.Ranges); n > 0 {
		if last := &rep.Ranges[n-1]; last.Last+1 == r.First && last.State == r.State && last.By == r.By && rep.moreRanges == 0 {
			last.Last = r.Last
			return
		}
		if n >= maxRanges {
			rep.moreRanges++
			return
		}
	}
	rep.Ranges = append(rep.Ranges, r)
}

// keys chooses the keys to verify with.
func (rep *Report) keys(inFile []string, o *Options) []note.Verifier {
	if len(o.VerifierKeys) > 0 {
		rep.KeysFrom = "you"
		return o.keys
	}
	rep.KeysFrom = "the file"
	keys, err := parseKeys(inFile)
	if err != nil {
		rep.problem("a verifier key in the file is malformed")
		return nil
	}
	return keys
}

// checkpoint verifies a signed checkpoint and puts it in the report. An origin
// of "" stands for the one that the checkpoint names. It returns nil after
// noting a problem.
func (rep *Report) checkpoint(msg []byte, origin string, inFile []string, o *Options) *tlog.SignedCheckpoint {
	keys := rep.keys(inFile, o)
	if origin == "" {
		claim, err := tlog.ReadCheckpoint(msg)
		if err != nil {
			rep.problem("the checkpoint is malformed")
			return nil
		}
		origin = claim.Origin
	}
	c, err := tlog.OpenCheckpoint(msg, origin, keys...)
	if err != nil {
		rep.problem("checkpoint of %q: %s", origin, strings.TrimPrefix(err.Error(), "tlog: "))
		return nil
	}
	out := CheckpointReport{Origin: c.Origin, Size: c.Size, Root: c.Root, Unknown: c.Unknown}
	for _, s := range c.Signatures {
		sig := SignatureReport{Key: tlog.KeyID(s.Name, s.KeyHash)}
		if s.Cosigned() {
			sig.CosignedAt = &s.Time
		}
		out.Signatures = append(out.Signatures, sig)
	}
	rep.Checkpoints = append(rep.Checkpoints, out)
	if n := c.Witnesses(); n < o.MinWitnesses {
		rep.problem("%d witnesses cosigned the checkpoint, and %d are asked for", n, o.MinWitnesses)
	}
	return c
}

// Write prints the report in plain English. Everything that comes from the
// file is quoted, so that it cannot speak to the terminal.
func (rep *Report) Write(w io.Writer) error {
	var b strings.Builder
	verdict := "VERIFIED"
	if !rep.OK {
		verdict = "NOT VERIFIED"
	}
	fmt.Fprintf(&b, "%s: %s\n", verdict, rep.File)
	for _, c := range rep.Checkpoints {
		fmt.Fprintf(&b, "\nCheckpoint of %q\n  %d leaves, root %s\n", c.Origin, c.Size, c.Root)
		for _, s := range c.Signatures {
			if s.CosignedAt == nil {
				fmt.Fprintf(&b, "  signed by the log's key %q\n", s.Key)
			} else {
				fmt.Fprintf(&b, "  cosigned by witness %q at %s\n", s.Key, s.CosignedAt.Format(time.RFC3339))
			}
		}
		if c.Unknown > 0 {
			fmt.Fprintf(&b, "  signatures by unknown keys, which count for nothing: %d\n", c.Unknown)
		}
	}
	if e := rep.Entry; e != nil {
		fmt.Fprintf(&b, "\nEntry %d, id %s\n  %s, kind %q: %s\n", e.Index, e.ID, e.Time.Format(time.RFC3339Nano), e.Kind, e.State)
		for _, p := range e.Parts {
			switch p.State {
			case "opened":
				fmt.Fprintf(&b, "  part %s, opened: %q\n", p.Label, p.Content)
			case "erased":
				fmt.Fprintf(&b, "  part %s: said to be erased by entry %d, which is not in this file\n", p.Label, p.ErasedBy)
			default:
				fmt.Fprintf(&b, "  part %s: %s\n", p.Label, p.State)
			}
		}
	}
	if rep.Counts != nil {
		rep.writeLeaves(&b)
	}
	if e := rep.Epoch; e != nil {
		fmt.Fprintf(&b, "\nEpoch of %s, leaf %d of the platform log\n  slot %d: log %q with %d leaves, root %s\n",
			e.Time.Format(time.RFC3339Nano), e.Index, e.Slot, e.Origin, e.Size, e.Root)
	}
	if s := rep.Statement; s != nil {
		fmt.Fprintf(&b, "\nStatement of type %q\n", s.PayloadType)
		for _, k := range s.Keys {
			fmt.Fprintf(&b, "  signed by %q\n", k)
		}
		if s.PredicateType != "" {
			fmt.Fprintf(&b, "  predicate %q\n", s.PredicateType)
		}
		for _, sub := range s.Subjects {
			fmt.Fprintf(&b, "  about %q\n", sub)
		}
	}
	for i, p := range rep.Problems {
		if i == 0 {
			b.WriteString("\nProblems\n")
		}
		fmt.Fprintf(&b, "  %s\n", p)
	}
	if rep.moreProblems > 0 {
		fmt.Fprintf(&b, "  and %d more\n", rep.moreProblems)
	}
	for i, n := range rep.Notes {
		if i == 0 {
			b.WriteString("\nNotes\n")
		}
		fmt.Fprintf(&b, "  %s\n", n)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("verify: write report: %w", err)
	}
	return nil
}

func (rep *Report) writeLeaves(b *strings.Builder) {
	b.WriteString("\nLeaves\n")
	for _, r := range rep.Ranges {
		name := fmt.Sprint(r.First)
		if r.Last != r.First {
			name += "-" + fmt.Sprint(r.Last)
		}
		switch r.State {
		case Erased:
			fmt.Fprintf(b, "  %s: erased by entry %d\n", name, r.By)
		case Pruned:
			fmt.Fprintf(b, "  %s: pruned by term, entry %d\n", name, r.By)
		default:
			fmt.Fprintf(b, "  %s: %s\n", name, r.State)
		}
	}
	if rep.moreRanges > 0 {
		fmt.Fprintf(b, "  and %d changes more\n", rep.moreRanges)
	}
	c := rep.Counts
	fmt.Fprintf(b, "Summary: %d present (%d of them opened), %d erased, %d pruned by term, %d missing, %d altered\n",
		c.Present, c.Opened, c.Erased, c.Pruned, c.Missing, c.Altered)
}
