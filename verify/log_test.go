package verify_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/rempart/rempart/internal/tlog"
	"github.com/rempart/rempart/verify"
)

const origin = "id.example.com/log/org_01h455vb4pex5vsknk084sn02q"

// testLog is a log in memory: entries with their part keys, and the tree.
type testLog struct {
	t       testing.TB
	origin  string
	signer  note.Signer
	witness *tlog.Cosigner
	vkeys   []string
	entries []verify.Entry
	keys    [][]tlog.PartKey
	epochs  map[int]tlog.EpochLeaf
	pruned  map[int]int64
	edge    tlog.Edge
	leaves  []tlog.Hash
	tiles   map[[2]int64][]byte
}

func newTestLog(t testing.TB, origin string) *testLog {
	t.Helper()
	l := &testLog{t: t, origin: origin, tiles: map[[2]int64][]byte{}, epochs: map[int]tlog.EpochLeaf{}, pruned: map[int]int64{}}
	secret, public, err := tlog.GenerateKey(origin)
	l.must(err)
	l.signer, err = tlog.ParseSigner(secret)
	l.must(err)
	wsecret, wpublic, err := tlog.GenerateCosignerKey("witness.example.org/w1")
	l.must(err)
	l.witness, err = tlog.ParseCosigner(wsecret, func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) })
	l.must(err)
	l.vkeys = []string{public, wpublic}
	return l
}

func (l *testLog) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *testLog) append(h tlog.Hash) {
	l.edge.Append(h)
	l.leaves = append(l.leaves, h)
	for _, t := range l.edge.TakeTiles() {
		l.tiles[[2]int64{int64(t.Level), t.Index}] = t.Data
	}
}

func (l *testLog) add(kind, facts, person string) {
	l.t.Helper()
	i := len(l.entries)
	e := verify.Entry{Index: int64(i), Header: tlog.Header{Origin: l.origin, Entry: tlog.NewID(),
		Time: 1767225600000000 + int64(i)*1000003, Kind: kind, Labels: []string{"facts", "person"}}}
	var keys []tlog.PartKey
	var parts []tlog.Part
	for j, text := range []string{facts, person} {
		p, sealed, key, err := tlog.SealPart(l.origin, e.Header.Entry, e.Header.Labels[j], []byte(text))
		l.must(err)
		e.Parts = append(e.Parts, verify.Part{Part: p, Ciphertext: sealed})
		keys = append(keys, key)
		parts = append(parts, p)
	}
	data, err := tlog.LeafData(&e.Header, parts)
	l.must(err)
	l.append(tlog.LeafHash(data))
	l.entries = append(l.entries, e)
	l.keys = append(l.keys, keys)
}

func (l *testLog) addEpoch(leaf tlog.EpochLeaf) {
	l.t.Helper()
	data, err := leaf.MarshalBinary()
	l.must(err)
	l.epochs[len(l.entries)] = leaf
	l.entries = append(l.entries, verify.Entry{})
	l.keys = append(l.keys, nil)
	l.append(tlog.LeafHash(data))
}

// open hands the reader the keys of an entry.
func (l *testLog) open(i int) {
	for j := range l.entries[i].Parts {
		l.entries[i].Parts[j].Key = &l.keys[i][j]
	}
}

func (l *testLog) read(ids []tlog.TileID) ([][]byte, error) {
	var out [][]byte
	for _, id := range ids {
		data := l.tiles[[2]int64{int64(id.Level), id.Index}]
		if id.Level == 0 && data == nil {
			for _, h := range l.leaves[id.Index*tlog.TileWidth:] {
				data = append(data, h[:]...)
			}
		}
		out = append(out, data)
	}
	return out, nil
}

func (l *testLog) signed() verify.Signed {
	l.t.Helper()
	msg, err := tlog.SignCheckpoint(tlog.Checkpoint{Origin: l.origin, Size: l.edge.Size(), Root: l.edge.Root()}, l.signer, l.witness)
	l.must(err)
	return verify.Signed{Checkpoint: msg, VerifierKeys: l.vkeys}
}

func (l *testLog) inclusion(i int) []tlog.Hash {
	l.t.Helper()
	p, err := tlog.ProveInclusion(l.edge.Size(), int64(i), l.read)
	l.must(err)
	return p
}

func (l *testLog) export() []byte {
	l.t.Helper()
	var b bytes.Buffer
	x, err := verify.NewExporter(&b, l.signed())
	l.must(err)
	for i := range l.entries {
		if by, ok := l.pruned[i]; ok {
			l.must(x.Pruned(int64(i), l.leaves[i], by))
		} else if leaf, ok := l.epochs[i]; ok {
			l.must(x.Epoch(int64(i), leaf))
		} else {
			l.must(x.Entry(&l.entries[i]))
		}
	}
	l.must(x.Close())
	return b.Bytes()
}

func (l *testLog) entryProof(i int) []byte {
	l.t.Helper()
	b, err := (&verify.EntryProof{Signed: l.signed(), Entry: l.entries[i], Inclusion: l.inclusion(i)}).Marshal()
	l.must(err)
	return b
}

// storyLog is a log in which everything happens: opened and sealed entries, an
// erased person, pruned entries.
func storyLog(t testing.TB) *testLog {
	l := newTestLog(t, origin)
	for i := range 8 {
		l.add("session.started", fmt.Sprintf(`{"n":%d,"text":"entrée \"à\" l’heure\n"}`, i), `{"address":"198.51.100.7"}`)
	}
	l.add("keyring.member_key.erased", `{"keys":1}`, `{}`)
	l.add("retention.entries.pruned", `{"until":2}`, `{}`)
	for i := range l.entries {
		if i != 6 {
			l.open(i)
		}
	}
	for _, i := range []int{3, 4} { // the person part is blind, the facts stay
		l.entries[i].Parts[1].Key = nil
		l.entries[i].Parts[1].ErasedBy = 8
	}
	l.entries[4].Parts[1].Ciphertext = nil
	l.pruned[0], l.pruned[1] = 9, 9
	return l
}

func check(t testing.TB, file []byte, o verify.Options) verify.Report {
	t.Helper()
	rep, err := verify.File(bytes.NewReader(file), o)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}
