package tlog_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/rempart/rempart/internal/tlog"
)

func noteHash(name string, key []byte) uint32 {
	h := sha256.Sum256(append([]byte(name+"\n"), key...))
	return binary.BigEndian.Uint32(h[:4])
}

const platform = "id.example.com/log/platform"

func heads(n int) []tlog.EpochHead {
	var out []tlog.EpochHead
	for i := range n {
		out = append(out, tlog.EpochHead{Slot: int64(i * 7 % 64), Origin: fmt.Sprintf("id.example.com/log/org_%d", i), Size: int64(i), Root: leaf(i)})
	}
	return out
}

func TestEachLogFindsItsHeadInTheEpoch(t *testing.T) {
	hs := heads(20)
	e, err := tlog.NewEpoch(tlog.NewEpochSeed(), 64, hs)
	if err != nil {
		t.Fatal(err)
	}
	l := e.Leaf(platform, 1767225600000000)
	for _, h := range hs {
		o, err := e.Opening(h.Origin)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(h, o.EpochHead); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if err := tlog.CheckOpening(l, o); err != nil {
			t.Errorf("%s: %v", h.Origin, err)
		}
		// By hand, from docs/audit-log.md, with the second implementation.
		slot := sha256.Sum256(bytes.Join([][]byte{[]byte("rempart-epoch-slot/v1\n"), o.Blinding[:],
			binary.BigEndian.AppendUint16(nil, uint16(len(h.Origin))), []byte(h.Origin),
			binary.BigEndian.AppendUint64(nil, uint64(h.Size)), h.Root[:]}, nil))
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(h.Slot), 64, rfc6962.DefaultHasher.HashLeaf(slot[:]), raw(o.Path), l.Root[:]); err != nil {
			t.Errorf("the second implementation refuses %s: %v", h.Origin, err)
		}
		for name, change := range map[string]func(*tlog.Opening){
			"another size":      func(o *tlog.Opening) { o.Size++ },
			"a negative size":   func(o *tlog.Opening) { o.Size = -1 },
			"another root":      func(o *tlog.Opening) { o.Root[0] ^= 1 },
			"another log":       func(o *tlog.Opening) { o.Origin += "x" },
			"another slot":      func(o *tlog.Opening) { o.Slot ^= 1 },
			"a slot outside":    func(o *tlog.Opening) { o.Slot = 64 },
			"another blinding":  func(o *tlog.Opening) { o.Blinding[3] ^= 1 },
			"a path too short":  func(o *tlog.Opening) { o.Path = o.Path[1:] },
			"another path":      func(o *tlog.Opening) { o.Path = append([]tlog.Hash{{}}, o.Path[1:]...) },
			"an origin to long": func(o *tlog.Opening) { o.Origin = string(make([]byte, 70000)) },
		} {
			bad := o
			change(&bad)
			if err := tlog.CheckOpening(l, bad); !errors.Is(err, tlog.ErrOpening) {
				t.Errorf("%s: got %v, want ErrOpening", name, err)
			}
		}
	}
	if _, err := e.Opening("id.example.com/log/unknown"); !errors.Is(err, tlog.ErrEpoch) {
		t.Errorf("a log that is not in it: got %v, want ErrEpoch", err)
	}
}

func TestAnEpochIsRebuiltFromItsSeedAndHidesWhatChanged(t *testing.T) {
	seed := tlog.NewEpochSeed()
	hs := heads(10)
	a, _ := tlog.NewEpoch(seed, 64, hs)
	b, _ := tlog.NewEpoch(seed, 64, hs)
	if a.Leaf(platform, 1) != b.Leaf(platform, 1) {
		t.Error("the same seed and heads gave two trees")
	}
	c, _ := tlog.NewEpoch(tlog.NewEpochSeed(), 64, hs)
	oa, _ := a.Opening(hs[0].Origin)
	oc, _ := c.Opening(hs[0].Origin)
	for i := range oa.Path {
		if oa.Path[i] == oc.Path[i] {
			t.Errorf("hash %d of the path is the same under another seed", i)
		}
	}
}

func TestHeadsThatDoNotFitAreRefused(t *testing.T) {
	seed := tlog.NewEpochSeed()
	good := heads(2)
	for name, c := range map[string]struct {
		width int64
		heads []tlog.EpochHead
	}{
		"two heads in a slot":     {64, []tlog.EpochHead{good[0], {Slot: good[0].Slot, Origin: "b"}}},
		"two heads of a log":      {64, []tlog.EpochHead{good[0], {Slot: 9, Origin: good[0].Origin}}},
		"a slot outside":          {64, []tlog.EpochHead{{Slot: 64, Origin: "a"}}},
		"a negative slot":         {64, []tlog.EpochHead{{Slot: -1, Origin: "a"}}},
		"a head without log":      {64, []tlog.EpochHead{{Slot: 1}}},
		"a width of 100":          {100, good},
		"a width under the least": {32, nil},
		"a width over the most":   {1 << 25, nil},
	} {
		if _, err := tlog.NewEpoch(seed, c.width, c.heads); !errors.Is(err, tlog.ErrEpoch) {
			t.Errorf("%s: got %v, want ErrEpoch", name, err)
		}
	}
}

func TestSlotsAreFreeAndInside(t *testing.T) {
	taken := map[int64]bool{}
	for i := range int64(64) {
		if i != 17 {
			taken[i] = true
		}
	}
	got, err := tlog.ChooseSlot(64, func(s int64) bool { return taken[s] })
	if err != nil || got != 17 {
		t.Errorf("got %d, %v, want the only free one, 17", got, err)
	}
	if _, err := tlog.ChooseSlot(64, func(int64) bool { return true }); !errors.Is(err, tlog.ErrEpoch) {
		t.Errorf("a full tree: got %v, want ErrEpoch", err)
	}
	if _, err := tlog.ChooseSlot(65, func(int64) bool { return false }); !errors.Is(err, tlog.ErrEpoch) {
		t.Errorf("a width of 65: got %v, want ErrEpoch", err)
	}
	for logs, want := range map[int64]int64{0: 64, 32: 64, 33: 128, 10000: 32768} {
		if got := tlog.EpochWidth(logs); got != want {
			t.Errorf("EpochWidth(%d) = %d, want %d", logs, got, want)
		}
	}
}

func TestEpochLeafReadsBackAndIsNoEntry(t *testing.T) {
	l := tlog.EpochLeaf{Origin: platform, Time: 1767225600000000, Width: 64, Root: leaf(1)}
	b, err := l.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tlog.ParseEpochLeaf(b); err != nil || got != l {
		t.Errorf("got %+v, %v, want %+v", got, err, l)
	}
	if _, _, err := tlog.ParseLeaf(b); !errors.Is(err, tlog.ErrLeaf) {
		t.Errorf("read as an entry: got %v, want ErrLeaf", err)
	}
	for i := range b {
		if _, err := tlog.ParseEpochLeaf(b[:i]); !errors.Is(err, tlog.ErrLeaf) {
			t.Errorf("cut at %d: got %v, want ErrLeaf", i, err)
		}
	}
	for _, bad := range []tlog.EpochLeaf{{}, {Origin: platform, Width: 63}, {Origin: platform, Width: 64, Time: -1}, {Origin: "a b", Width: 64}} {
		if _, err := bad.MarshalBinary(); !errors.Is(err, tlog.ErrLeaf) {
			t.Errorf("%+v: got %v, want ErrLeaf", bad, err)
		}
	}
}

func FuzzParseEpochLeaf(f *testing.F) {
	b, _ := tlog.EpochLeaf{Origin: platform, Time: 1, Width: 64}.MarshalBinary()
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := tlog.ParseEpochLeaf(b)
		if err != nil {
			return
		}
		if back, err := l.MarshalBinary(); err != nil || !bytes.Equal(back, b) {
			t.Errorf("%x reads back as %x, %v", b, back, err)
		}
	})
}

func BenchmarkEpochOf10000Logs(b *testing.B) {
	var hs []tlog.EpochHead
	for i := range 10000 {
		hs = append(hs, tlog.EpochHead{Slot: int64(i), Origin: fmt.Sprint("o", i)})
	}
	seed := tlog.NewEpochSeed()
	for b.Loop() {
		if _, err := tlog.NewEpoch(seed, tlog.EpochWidth(10000), hs); err != nil {
			b.Fatal(err)
		}
	}
}
