package verify_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/rempart/rempart/internal/tlog"
	"github.com/rempart/rempart/verify"
)

func TestAnExportSaysWhatBecameOfEachLeaf(t *testing.T) {
	l := storyLog(t)
	var got []string
	rep := check(t, l.export(), verify.Options{VerifierKeys: l.vkeys, MinWitnesses: 1, Each: func(x verify.Leaf) {
		got = append(got, fmt.Sprintf("%d-%d %s %d %s", x.Index, x.Last, x.State, x.By, x.Kind))
	}})
	if !rep.OK || len(rep.Problems) != 0 {
		t.Fatalf("problems: %q", rep.Problems)
	}
	want := &verify.Counts{Present: 6, Erased: 2, Pruned: 2, Opened: 5}
	if diff := cmp.Diff(want, rep.Counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	ranges := []verify.Range{{First: 0, Last: 1, State: verify.Pruned, By: 9}, {First: 2, Last: 2}, {First: 3, Last: 4, State: verify.Erased, By: 8}, {First: 5, Last: 9}}
	if diff := cmp.Diff(ranges, rep.Ranges); diff != "" {
		t.Errorf("ranges (-want +got):\n%s", diff)
	}
	leaves := []string{"0-0 pruned 9 ", "1-1 pruned 9 ", "2-2 present 0 session.started", "3-3 erased 8 session.started", "4-4 erased 8 session.started",
		"5-5 present 0 session.started", "6-6 present 0 session.started", "7-7 present 0 session.started",
		"8-8 present 0 keyring.member_key.erased", "9-9 present 0 retention.entries.pruned"}
	if diff := cmp.Diff(leaves, got); diff != "" {
		t.Errorf("leaves (-want +got):\n%s", diff)
	}
	if rep.KeysFrom != "you" || len(rep.Notes) != 0 {
		t.Errorf("keys from %s, notes %q", rep.KeysFrom, rep.Notes)
	}
	own := check(t, l.export(), verify.Options{})
	if !own.OK || own.KeysFrom != "the file" || len(own.Notes) != 1 {
		t.Errorf("without keys: %+v", own)
	}
}

// lines lets tests change an export line by line.
func lines(export []byte) []string { return strings.SplitAfter(string(export), "\n") }

func TestExportsThatAreNotWhole(t *testing.T) {
	l := storyLog(t)
	stranger := newTestLog(t, origin)
	good := lines(l.export())
	remove := func(i int) []string { return append(append([]string{}, good[:i]...), good[i+1:]...) }
	replace := func(i int, s string) []string {
		out := append([]string{}, good...)
		out[i] = s
		return out
	}
	swap := func(old, to string) []string {
		all := strings.Join(good, "")
		if !strings.Contains(all, old) {
			t.Fatalf("no %s in the export", old)
		}
		return []string{strings.Replace(all, old, to, 1)}
	}
	other := storyLog(t)
	leafOnly := func(i int) string {
		return good[i][:strings.Index(good[i], `,"header"`)] + "}\n"
	}
	for name, c := range map[string]struct {
		lines   []string
		keys    []string
		missing int64
		altered int64
		problem string
	}{
		"a line is gone":                                 {lines: remove(6), missing: 1, problem: "leaf 5 is missing"},
		"two lines are gone":                             {lines: append(append([]string{}, good[:6]...), good[8:]...), missing: 2, problem: "leaves 5 to 6 are missing"},
		"the first line is gone":                         {lines: remove(1), missing: 1, problem: "leaf 0 is missing"},
		"the closing line is gone":                       {lines: good[:len(good)-2], problem: "cut short"},
		"the second half is gone":                        {lines: good[:6], missing: 9, problem: "cut short"},
		"the last line is half":                          {lines: append(append([]string{}, good[:10]...), good[10][:50]), missing: 3, problem: "the last line is cut short"},
		"two lines change places":                        {lines: append(append(append([]string{}, good[:6]...), good[7], good[6]), good[8:]...), missing: 1, problem: "too late"},
		"a line comes twice":                             {lines: append(append(append([]string{}, good[:6]...), good[5]), good[6:]...), problem: "comes again"},
		"something follows the end":                      {lines: append(good, good[6]), problem: "after the closing line"},
		"an entry is only a hash":                        {lines: replace(6, leafOnly(6)), missing: 1, problem: "leaf 5 is missing: only its hash"},
		"a line is no JSON":                              {lines: replace(6, "{}x\n"), altered: 1, problem: "line 7 is not a line"},
		"a line is empty":                                {lines: replace(6, "\n"), altered: 1, problem: "line 7 is not a line"},
		"an entry of another log run":                    {lines: replace(6, lines(other.export())[6]), problem: "the root recomputed"},
		"an unknown member":                              {lines: swap(`{"index":5,`, `{"note":"x","index":5,`), altered: 1, problem: "line 7 is not a line"},
		"a member twice":                                 {lines: swap(`{"index":5,`, `{"index":5,"index":5,`), altered: 1, problem: "line 7 is not a line"},
		"a member in capitals":                           {lines: swap(`{"index":5,`, `{"Index":5,`), altered: 1, problem: "line 7 is not a line"},
		"an index with a sign":                           {lines: swap(`{"index":5,`, `{"index":-5,`), altered: 1, problem: "line 7 is not a line"},
		"an index with a fraction":                       {lines: swap(`{"index":5,`, `{"index":5.0,`), altered: 1, problem: "line 7 is not a line"},
		"an index beyond all bounds":                     {lines: swap(`{"index":5,`, `{"index":99999999999999999999,`), altered: 1, problem: "line 7 is not a line"},
		"an index beyond the checkpoint":                 {lines: swap(`{"index":9,`, `{"index":10,`), missing: 3, problem: "beyond the checkpoint"},
		"content that is not the part's":                 {lines: swap(`{\"n\":5,`, `{\"n\":6,`), altered: 1, problem: "the content written for part facts"},
		"erased by an entry that only started a session": {lines: swap(`"erased_by":8`, `"erased_by":7`), missing: 1, problem: "are said to be erased by entry 7"},
		"erased by an entry beyond the end":              {lines: swap(`"erased_by":8`, `"erased_by":80`), missing: 1, problem: "are said to be erased by entry 80"},
		"erased by an earlier entry":                     {lines: swap(`"erased_by":8`, `"erased_by":2`), altered: 1, problem: "not later"},
		"erased by the pruning":                          {lines: swap(`"erased_by":8`, `"erased_by":9`), missing: 1, problem: "are said to be erased by entry 9"},
		"pruned by the erasure":                          {lines: swap(`"pruned_by":9`, `"pruned_by":8`), missing: 1, problem: "are said to be pruned by entry 8"},
		"pruned by itself":                               {lines: swap(`"pruned_by":9`, `"pruned_by":0`), altered: 1, problem: "not a line"},
		"a blind part without a reason":                  {lines: swap(`,"erased_by":8}]}`+"\n"+`{"index":5`, `}]}`+"\n"+`{"index":5`), missing: 1, problem: "leaf 4 is missing: part person is not there"},
		"a present entry said to be pruned":              {lines: replace(6, leafOnly(6)[:len(leafOnly(6))-2]+`,"pruned_by":8}`+"\n"), missing: 1, problem: "are said to be pruned by entry 8"},
		"another count at the end":                       {lines: swap(`"leaves":10`, `"leaves":11`), problem: "the closing line says 11"},
		"another origin in the manifest":                 {lines: swap(`"origin":"id.`, `"origin":"xd.`), problem: "checkpoint of another log"},
		"a key of someone else":                          {lines: good, keys: stranger.vkeys, problem: "not signed by a known key"},
		"no manifest":                                    {lines: swap(`,"verifier_keys"`, `,"keys"`), problem: "not the manifest"},
	} {
		rep := check(t, []byte(strings.Join(c.lines, "")), verify.Options{VerifierKeys: c.keys})
		if rep.OK {
			t.Errorf("%s: accepted", name)
		}
		if !strings.Contains(strings.Join(rep.Problems, "\n"), c.problem) {
			t.Errorf("%s: problems %q, want %q among them", name, rep.Problems, c.problem)
		}
		if rep.Counts != nil && (rep.Counts.Missing != c.missing || rep.Counts.Altered != c.altered) {
			t.Errorf("%s: %d missing and %d altered, want %d and %d", name, rep.Counts.Missing, rep.Counts.Altered, c.missing, c.altered)
		}
		var out bytes.Buffer
		if err := rep.Write(&out); err != nil || !strings.HasPrefix(out.String(), "NOT VERIFIED") {
			t.Errorf("%s: the report begins %.30q, %v", name, out.String(), err)
		}
	}
}

// sameReport says whether a changed file still says exactly the same: then the
// change was in what carries no meaning.
func sameReport(a, b verify.Report) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return bytes.Equal(x, y)
}

func TestEveryChangedByteIsRefused(t *testing.T) {
	l := storyLog(t)
	older := l.signed().Checkpoint
	olderSize := l.edge.Size()
	for i := range 5 {
		l.add("session.ended", fmt.Sprint(i), "")
	}
	proof, err := tlog.ProveConsistency(olderSize, l.edge.Size(), l.read)
	l.must(err)
	consistency, err := (&verify.ConsistencyProof{VerifierKeys: l.vkeys, Older: older, Newer: l.signed().Checkpoint, Consistency: proof}).Marshal()
	l.must(err)
	for name, file := range map[string][]byte{
		"an entry proof, opened": l.entryProof(5),
		"an entry proof, sealed": l.entryProof(6),
		"an entry proof, erased": l.entryProof(4),
		"a consistency proof":    consistency,
		"an epoch proof":         epochProof(t),
		"an export":              l.export(),
		"a checkpoint":           l.signed().Checkpoint,
	} {
		// A witness is asked for: a signature by a name that nobody knows is
		// ignored, so that otherwise the witness's own may be spoiled.
		o := verify.Options{VerifierKeys: l.vkeys, MinWitnesses: 1}
		if name == "an epoch proof" {
			o.VerifierKeys = nil
		}
		good := check(t, file, o)
		if !good.OK {
			t.Fatalf("%s: %q", name, good.Problems)
		}
		for i := range file {
			flip := []byte{0x01, 0x20, 0x80, 0x04}[i%4]
			bad := bytes.Clone(file)
			bad[i] ^= flip
			rep, err := verify.File(bytes.NewReader(bad), o)
			switch {
			case err != nil || !rep.OK:
			case inVerifierKeys(file, i), (file[i] == ' ' || file[i] == '\n') && sameReport(rep, good):
			case name == "an entry proof, erased" && erasureClaim(file, i) && !sameReport(rep, good):
			default:
				t.Errorf("%s: byte %d (%q in %q) xor %#x was accepted", name, i, file[i], file[max(0, i-20):min(len(file), i+20)], flip)
			}
		}
	}
}

// The keys in the file are not used when the caller gives some, as here.
func inVerifierKeys(file []byte, i int) bool {
	from := bytes.Index(file, []byte(`"verifier_keys":[`))
	to := bytes.IndexByte(file[max(from, 0):], ']')
	return from >= 0 && i > from && i < from+to
}

// In the proof of one entry the erasing entry is not there to be compared; the
// report says so. Its number alone may change, and then the report does too.
func erasureClaim(file []byte, i int) bool {
	return bytes.Contains(file[max(0, i-14):i+1], []byte("erased_by"))
}

func epochProof(t testing.TB) []byte {
	t.Helper()
	const platform = "id.example.com/log/platform"
	l := newTestLog(t, platform)
	l.add("platform.started", "{}", "{}")
	org := storyLog(t)
	e, err := tlog.NewEpoch(tlog.NewEpochSeed(), 64, []tlog.EpochHead{{Slot: 12, Origin: origin, Size: org.edge.Size(), Root: org.edge.Root()}})
	l.must(err)
	leaf := e.Leaf(platform, 1767225660000000)
	l.addEpoch(leaf)
	l.add("platform.stopped", "{}", "{}")
	rep := check(t, l.export(), verify.Options{VerifierKeys: l.vkeys})
	if !rep.OK || rep.Counts.Present != 3 {
		t.Errorf("the export of the platform log: %q", rep.Problems)
	}
	o, err := e.Opening(origin)
	l.must(err)
	b, err := (&verify.EpochProof{Signed: l.signed(), Leaf: leaf, Index: 1, Inclusion: l.inclusion(1), Opening: o}).Marshal()
	l.must(err)
	rep = check(t, b, verify.Options{VerifierKeys: l.vkeys})
	if !rep.OK || rep.Epoch == nil || rep.Epoch.Slot != 12 || rep.Epoch.Origin != origin || rep.Epoch.Root != org.edge.Root() {
		t.Errorf("the epoch proof: %+v", rep)
	}
	return b
}

func TestAnEntryProofShowsTheEntry(t *testing.T) {
	l := storyLog(t)
	rep := check(t, l.entryProof(5), verify.Options{VerifierKeys: l.vkeys})
	e := rep.Entry
	if !rep.OK || e == nil || e.Index != 5 || e.Kind != "session.started" || e.ID != l.entries[5].Header.Entry {
		t.Fatalf("%+v", rep)
	}
	want := []verify.PartReport{{Label: "facts", State: "opened", Content: "{\"n\":5,\"text\":\"entrée \\\"à\\\" l’heure\\n\"}"}, {Label: "person", State: "opened", Content: `{"address":"198.51.100.7"}`}}
	if diff := cmp.Diff(want, e.Parts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	sealed := check(t, l.entryProof(6), verify.Options{VerifierKeys: l.vkeys})
	if !sealed.OK || sealed.Entry.Parts[0].State != "sealed" || sealed.Entry.Parts[0].Content != "" {
		t.Errorf("a sealed entry: %+v", sealed.Entry)
	}
	erased := check(t, l.entryProof(4), verify.Options{VerifierKeys: l.vkeys})
	if !erased.OK || erased.Entry.State != verify.Erased || erased.Entry.Parts[1].ErasedBy != 8 {
		t.Errorf("an erased entry: %+v", erased.Entry)
	}
}

func TestTheReaderChoosesKeysAndWitnesses(t *testing.T) {
	l := storyLog(t)
	file := l.entryProof(5)
	if rep := check(t, file, verify.Options{VerifierKeys: l.vkeys, MinWitnesses: 2}); rep.OK {
		t.Error("accepted with one witness where two were asked for")
	}
	if rep := check(t, file, verify.Options{VerifierKeys: l.vkeys[:1], MinWitnesses: 1}); rep.OK {
		t.Error("accepted a witness whose key was not given")
	}
	if rep := check(t, l.signed().Checkpoint, verify.Options{}); rep.OK {
		t.Error("a checkpoint was verified with no key")
	}
	if rep := check(t, l.signed().Checkpoint, verify.Options{VerifierKeys: l.vkeys}); !rep.OK || rep.Checkpoints[0].Size != 10 || len(rep.Checkpoints[0].Signatures) != 2 {
		t.Errorf("%+v", rep)
	}
	if _, err := verify.File(bytes.NewReader(file), verify.Options{VerifierKeys: []string{"nonsense"}}); !errors.Is(err, verify.ErrKey) {
		t.Errorf("a malformed key: got %v, want ErrKey", err)
	}
}

func TestFilesThatAreNotOurs(t *testing.T) {
	for name, file := range map[string]string{
		"empty": "", "a text": "hello\n", "other JSON": `{"a":1}`, "an array": "[]", "an unknown format": `{"format":"rempart-entry-proof/v2"}`,
		"half an object": `{"format`, "bytes": "\x00\xff\xfe", "deep nesting": strings.Repeat(`{"a":`, 100000), "deep arrays": `{"a":` + strings.Repeat("[", 100000),
		"a line too long": strings.Repeat("x", verify.MaxLine+10), "a file too long": "x\n" + strings.Repeat("y", verify.MaxLine+10),
	} {
		if _, err := verify.File(strings.NewReader(file), verify.Options{}); !errors.Is(err, verify.ErrUnknown) {
			t.Errorf("%s: got %v, want ErrUnknown", name, err)
		}
	}
	down := errors.New("disk gone")
	l := storyLog(t)
	export := l.export()
	for _, n := range []int{0, 100, len(export) - 1} {
		if _, err := verify.File(io.MultiReader(bytes.NewReader(export[:n]), iotest.ErrReader(down)), verify.Options{}); !errors.Is(err, down) {
			t.Errorf("a read error after %d bytes: got %v", n, err)
		}
	}
	if rep, err := verify.File(iotest.OneByteReader(bytes.NewReader(export)), verify.Options{}); err != nil || !rep.OK {
		t.Errorf("byte by byte: %+v, %v", rep, err)
	}
	long := append(bytes.Clone(export[:bytes.IndexByte(export, '\n')+1]), bytes.Repeat([]byte(" "), verify.MaxLine+1)...)
	if rep := check(t, long, verify.Options{}); rep.OK || !strings.Contains(strings.Join(rep.Problems, "\n"), "line 2 is longer") {
		t.Errorf("a line without end: %q", rep.Problems)
	}
}

// A checkpoint may claim any size. Whoever signs its file herself can make it
// claim 2^56 leaves: that must cost nothing.
func TestAHugeClaimCostsNothing(t *testing.T) {
	l := newTestLog(t, origin)
	msg, err := tlog.SignCheckpoint(tlog.Checkpoint{Origin: origin, Size: 1 << 56}, l.signer)
	l.must(err)
	manifest, err := json.Marshal(map[string]any{"format": verify.FormatExport, "origin": origin, "verifier_keys": l.vkeys, "checkpoint": string(msg)})
	l.must(err)
	calls := 0
	for _, body := range []string{"", `{"index":72057594037927930,"leaf_hash":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=","pruned_by":72057594037927931}` + "\n"} {
		rep := check(t, []byte(string(manifest)+"\n"+body), verify.Options{Each: func(verify.Leaf) { calls++ }})
		if rep.OK || rep.Counts.Missing != 1<<56 {
			t.Errorf("counts: %+v", rep.Counts)
		}
	}
	if calls != 4 {
		t.Errorf("%d calls, want 4", calls)
	}
}

func TestAManifestIsReadInAnyMemberOrder(t *testing.T) {
	l := storyLog(t)
	good := lines(l.export())
	var m map[string]any
	l.must(json.Unmarshal([]byte(good[0]), &m))
	for i := range good[1 : len(good)-2] {
		var v any
		l.must(json.Unmarshal([]byte(good[i+1]), &v))
		b, err := json.Marshal(v) // members by name
		l.must(err)
		good[i+1] = string(b) + "\r\n"
	}
	first, err := json.Marshal(m)
	l.must(err)
	good[0] = string(first) + "\n"
	if rep := check(t, []byte(strings.Join(good, "")), verify.Options{VerifierKeys: l.vkeys}); !rep.OK {
		t.Errorf("%q", rep.Problems)
	}
	var indented bytes.Buffer
	l.must(json.Indent(&indented, l.entryProof(5), "", "  "))
	if rep := check(t, indented.Bytes(), verify.Options{VerifierKeys: l.vkeys}); !rep.OK {
		t.Errorf("an indented proof: %q", rep.Problems)
	}
}

func TestNothingFromAFileReachesTheTerminalUnquoted(t *testing.T) {
	l := newTestLog(t, origin)
	l.add("session.started", "\x1b[2J\u202e\u0085 VERIFIED\nVERIFIED", "")
	l.open(0)
	rep := check(t, l.entryProof(0), verify.Options{VerifierKeys: l.vkeys})
	var out bytes.Buffer
	l.must(rep.Write(&out))
	if !rep.OK || strings.ContainsAny(out.String(), "\x1b\u202e\u0085") || strings.Count(out.String(), "\nVERIFIED") != 0 {
		t.Errorf("%q", out.String())
	}
}

func TestWritersRefuseWhatWouldNotVerify(t *testing.T) {
	l := storyLog(t)
	signed := l.signed()
	refuse := func(name string, err error) {
		t.Helper()
		if !errors.Is(err, verify.ErrWrite) {
			t.Errorf("%s: got %v, want ErrWrite", name, err)
		}
	}
	_, err := verify.NewExporter(io.Discard, verify.Signed{Checkpoint: signed.Checkpoint, VerifierKeys: newTestLog(t, origin).vkeys})
	refuse("a checkpoint signed by another key", err)
	_, err = verify.NewExporter(io.Discard, verify.Signed{Checkpoint: []byte("x"), VerifierKeys: l.vkeys})
	refuse("no checkpoint", err)
	newExporter := func() *verify.Exporter {
		x, err := verify.NewExporter(io.Discard, signed)
		l.must(err)
		return x
	}
	refuse("nothing written", newExporter().Close())
	refuse("the second leaf first", newExporter().Entry(&l.entries[1]))
	refuse("pruned by an earlier entry", newExporter().Pruned(0, l.leaves[0], 0))
	refuse("an epoch of another log", newExporter().Epoch(0, tlog.EpochLeaf{Origin: "o", Width: 64}))
	refuse("an impossible epoch", newExporter().Epoch(0, tlog.EpochLeaf{}))
	x := newExporter()
	for i := range l.entries {
		e := l.entries[i]
		if i == 2 { // one letter of one header, as a hand in the database would change it
			e.Header.Kind = "session.stopped"
			for j := range e.Parts {
				e.Parts[j].Key = nil
			}
		}
		l.must(x.Entry(&e))
	}
	refuse("an entry changed in the store", x.Close())
	for name, change := range map[string]func(*verify.Entry){
		"an entry of another log":              func(e *verify.Entry) { e.Header.Origin = "o" },
		"a malformed header":                   func(e *verify.Entry) { e.Header.Kind = "" },
		"a part missing":                       func(e *verify.Entry) { e.Parts = e.Parts[:1] },
		"a key without ciphertext":             func(e *verify.Entry) { e.Parts[0].Ciphertext = nil },
		"a key of an erased part":              func(e *verify.Entry) { e.Parts[0].ErasedBy = 8 },
		"erased by itself":                     func(e *verify.Entry) { e.Parts[0].Key, e.Parts[0].ErasedBy = nil, 5 },
		"another ciphertext":                   func(e *verify.Entry) { e.Parts[0].Ciphertext = []byte("x") },
		"the key of another part":              func(e *verify.Entry) { e.Parts[0].Key = e.Parts[1].Key },
		"another index":                        func(e *verify.Entry) { e.Index = 4 },
		"a content longer than a line may be ": func(e *verify.Entry) { e.Parts[0].Key = nil; e.Parts[0].Ciphertext = make([]byte, verify.MaxLine) },
	} {
		e := l.entries[5]
		e.Parts = append([]verify.Part{}, e.Parts...)
		change(&e)
		_, err := (&verify.EntryProof{Signed: signed, Entry: e, Inclusion: l.inclusion(5)}).Marshal()
		refuse(name, err)
	}
	_, err = (&verify.EntryProof{Signed: signed, Entry: l.entries[5], Inclusion: l.inclusion(6)}).Marshal()
	refuse("the proof of another entry", err)
	_, err = (&verify.ConsistencyProof{VerifierKeys: l.vkeys, Older: signed.Checkpoint, Newer: signed.Checkpoint, Consistency: l.inclusion(1)}).Marshal()
	refuse("a proof where none is needed", err)
	if _, err := (&verify.ConsistencyProof{VerifierKeys: l.vkeys, Older: signed.Checkpoint, Newer: signed.Checkpoint}).Marshal(); err != nil {
		t.Errorf("a checkpoint is consistent with itself: %v", err)
	}
}
