package tlog_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/rempart/rempart/internal/tlog"
)

// log is what a caller keeps: leaf hashes with the entries, tiles in rows.
type log struct {
	edge   tlog.Edge
	leaves []tlog.Hash
	tiles  map[[2]int64][]byte
	reads  int // tiles read
	calls  int
}

func newLog() *log { return &log{tiles: map[[2]int64][]byte{}} }

func (l *log) append(leaves ...tlog.Hash) {
	for _, h := range leaves {
		l.edge.Append(h)
		l.leaves = append(l.leaves, h)
	}
	for _, t := range l.edge.TakeTiles() {
		l.tiles[[2]int64{int64(t.Level), t.Index}] = t.Data
	}
}

func (l *log) read(ids []tlog.TileID) ([][]byte, error) {
	l.calls++
	var out [][]byte
	for _, id := range ids {
		l.reads++
		data := l.tiles[[2]int64{int64(id.Level), id.Index}]
		if id.Level == 0 && data == nil {
			for i := id.Index * tlog.TileWidth; i < int64(len(l.leaves)); i++ {
				data = append(data, l.leaves[i][:]...)
			}
		}
		out = append(out, data)
	}
	return out, nil
}

func leaf(i int) tlog.Hash { return tlog.LeafHash(fmt.Appendf(nil, "leaf %d", i)) }

func grown(n int) *log {
	l := newLog()
	for i := range n {
		l.append(leaf(i))
	}
	return l
}

// The tree of RFC 6962 implementations everywhere: eight leaves, the root after
// each.
func TestRootsAreThoseOfTheRFC6962Vectors(t *testing.T) {
	leaves := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	roots := []string{
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	var e tlog.Edge
	root := e.Root()
	if got, want := hex.EncodeToString(root[:]), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; got != want {
		t.Errorf("root of the empty tree: got %s, want %s", got, want)
	}
	for i, l := range leaves {
		data, _ := hex.DecodeString(l)
		e.Append(tlog.LeafHash(data))
		root := e.Root()
		if got := hex.EncodeToString(root[:]); got != roots[i] {
			t.Errorf("root of %d leaves: got %s, want %s", i+1, got, roots[i])
		}
	}
}

func TestLongLeavesHashLikeShortOnes(t *testing.T) {
	for _, n := range []int{0, 1, 1022, 1023, 1024, 1025, 5000} {
		data := make([]byte, n)
		if got, want := tlog.LeafHash(data), tlog.Hash(rfc6962.DefaultHasher.HashLeaf(data)); got != want {
			t.Errorf("%d bytes: got %v, want %v", n, got, want)
		}
	}
}

// The second implementation is transparency-dev/merkle: roots by its compact
// range, proofs by its verifier.
func TestTreesAgreeWithASecondImplementation(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	sizes := []int{1, 2, 3, 255, 256, 257, 511, 512, 513, 65535, 65536, 65537}
	for range 12 {
		sizes = append(sizes, 1+rng.IntN(4000))
	}
	if testing.Short() {
		sizes = sizes[:9]
	}
	big := newLog()
	factory := compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	other := factory.NewEmptyRange(0)
	roots := []tlog.Hash{tlog.EmptyRoot()}
	for i := range 65537 {
		big.append(leaf(i))
		h := leaf(i)
		if err := other.Append(h[:], nil); err != nil {
			t.Fatal(err)
		}
		root, err := other.GetRootHash(nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := big.edge.Root(); got != tlog.Hash(root) {
			t.Fatalf("root of %d leaves: got %v, want %x", i+1, got, root)
		}
		roots = append(roots, tlog.Hash(root))
	}
	for _, n := range sizes {
		if got, err := tlog.RootAt(int64(n), big.read); err != nil || got != roots[n] {
			t.Errorf("RootAt(%d) = %v, %v, want %v", n, got, err, roots[n])
		}
		for range 20 {
			i := rng.IntN(n)
			p, err := tlog.ProveInclusion(int64(n), int64(i), big.read)
			if err != nil {
				t.Fatalf("prove %d in %d: %v", i, n, err)
			}
			h := leaf(i)
			if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(i), uint64(n), h[:], raw(p), roots[n][:]); err != nil {
				t.Errorf("the second implementation refuses %d in %d: %v", i, n, err)
			}
			if err := tlog.CheckInclusion(p, int64(n), roots[n], int64(i), h); err != nil {
				t.Errorf("%d in %d: %v", i, n, err)
			}
			if err := tlog.CheckInclusion(p, int64(n), roots[n], int64(i), leaf(i+1)); !errors.Is(err, tlog.ErrProof) {
				t.Errorf("another leaf at %d in %d: got %v, want ErrProof", i, n, err)
			}

			m := rng.IntN(n + 1)
			c, err := tlog.ProveConsistency(int64(m), int64(n), big.read)
			if err != nil {
				t.Fatalf("prove %d to %d: %v", m, n, err)
			}
			if m > 0 { // the second implementation has no proof from the empty tree
				if err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(m), uint64(n), raw(c), roots[m][:], roots[n][:]); err != nil {
					t.Errorf("the second implementation refuses %d to %d: %v", m, n, err)
				}
			}
			if err := tlog.CheckConsistency(c, int64(m), roots[m], int64(n), roots[n]); err != nil {
				t.Errorf("%d to %d: %v", m, n, err)
			}
			bad := roots[m]
			bad[7] ^= 1
			if err := tlog.CheckConsistency(c, int64(m), bad, int64(n), roots[n]); !errors.Is(err, tlog.ErrProof) {
				t.Errorf("another root at %d to %d: got %v, want ErrProof", m, n, err)
			}
		}
	}
}

func raw(p []tlog.Hash) [][]byte {
	out := make([][]byte, len(p))
	for i := range p {
		out[i] = p[i][:]
	}
	return out
}

func TestProofsRefuseEveryChange(t *testing.T) {
	const n = 700
	l := grown(n)
	root := l.edge.Root()
	for _, i := range []int64{0, 255, 256, 511, 699} {
		p, err := tlog.ProveInclusion(n, i, l.read)
		if err != nil {
			t.Fatal(err)
		}
		for j := range p {
			for b := range tlog.HashSize {
				p[j][b] ^= 0x40
				if tlog.CheckInclusion(p, n, root, i, leaf(int(i))) == nil {
					t.Fatalf("proof of %d accepted with byte %d of hash %d changed", i, b, j)
				}
				p[j][b] ^= 0x40
			}
		}
		if tlog.CheckInclusion(p[:len(p)-1], n, root, i, leaf(int(i))) == nil {
			t.Errorf("proof of %d accepted without its last hash", i)
		}
		if tlog.CheckInclusion(append(p[:len(p):len(p)], root), n, root, i, leaf(int(i))) == nil {
			t.Errorf("proof of %d accepted with a hash too many", i)
		}
		if tlog.CheckInclusion(p, n, root, i^1, leaf(int(i))) == nil {
			t.Errorf("proof of %d accepted for its neighbor", i)
		}
		if tlog.CheckInclusion(p, n-1, root, i, leaf(int(i))) == nil && i == n-2 {
			t.Errorf("proof of %d accepted in another size", i)
		}
	}
}

func TestNumbersOutsideTheTreeAreRefused(t *testing.T) {
	l := grown(5)
	root := l.edge.Root()
	for _, c := range [][2]int64{{0, 0}, {-1, 0}, {5, 5}, {5, -1}, {1 << 60, 0}, {-1 << 63, -1 << 63}} {
		if _, err := tlog.ProveInclusion(c[0], c[1], l.read); !errors.Is(err, tlog.ErrSize) {
			t.Errorf("ProveInclusion(%d, %d): got %v, want ErrSize", c[0], c[1], err)
		}
		if err := tlog.CheckInclusion(nil, c[0], root, c[1], root); !errors.Is(err, tlog.ErrSize) {
			t.Errorf("CheckInclusion(%d, %d): got %v, want ErrSize", c[0], c[1], err)
		}
	}
	for _, c := range [][2]int64{{-1, 5}, {6, 5}, {1, 1 << 60}} {
		if _, err := tlog.ProveConsistency(c[0], c[1], l.read); !errors.Is(err, tlog.ErrSize) {
			t.Errorf("ProveConsistency(%d, %d): got %v, want ErrSize", c[0], c[1], err)
		}
		if err := tlog.CheckConsistency(nil, c[0], root, c[1], root); !errors.Is(err, tlog.ErrSize) {
			t.Errorf("CheckConsistency(%d, %d): got %v, want ErrSize", c[0], c[1], err)
		}
	}
	if err := tlog.CheckConsistency(nil, 0, root, 5, root); !errors.Is(err, tlog.ErrProof) {
		t.Errorf("an empty tree with a root of its own: got %v, want ErrProof", err)
	}
	if _, err := tlog.RootAt(-1, l.read); !errors.Is(err, tlog.ErrSize) {
		t.Errorf("RootAt(-1): got %v, want ErrSize", err)
	}
}

func TestAReaderThatGivesTooLittleIsAnErrorAndNeverAProof(t *testing.T) {
	l := grown(600)
	readers := map[string]tlog.TileReader{
		"nothing":        func([]tlog.TileID) ([][]byte, error) { return nil, nil },
		"empty tiles":    func(ids []tlog.TileID) ([][]byte, error) { return make([][]byte, len(ids)), nil },
		"half a hash":    func(ids []tlog.TileID) ([][]byte, error) { return [][]byte{make([]byte, 8191)}, nil },
		"oversize tiles": func(ids []tlog.TileID) ([][]byte, error) { return [][]byte{make([]byte, 8224)}, nil },
	}
	for name, r := range readers {
		if _, err := tlog.ProveInclusion(600, 3, r); !errors.Is(err, tlog.ErrTile) {
			t.Errorf("%s: got %v, want ErrTile", name, err)
		}
		if _, err := tlog.LoadEdge(600, r); !errors.Is(err, tlog.ErrTile) {
			t.Errorf("%s: LoadEdge got %v, want ErrTile", name, err)
		}
	}
	down := errors.New("database away")
	if _, err := tlog.ProveInclusion(600, 3, func([]tlog.TileID) ([][]byte, error) { return nil, down }); !errors.Is(err, down) {
		t.Errorf("got %v, want the reader's error", err)
	}
	if _, err := l.read(nil); err != nil {
		t.Fatal(err)
	}
}

func TestProofsNeedOneReadOfFewTiles(t *testing.T) {
	l := grown(70000)
	for _, i := range []int64{0, 255, 65535, 65536, 69999} {
		l.reads, l.calls = 0, 0
		if _, err := tlog.ProveInclusion(70000, i, l.read); err != nil {
			t.Fatal(err)
		}
		if l.calls != 1 || l.reads > 5 {
			t.Errorf("proof of %d: %d calls for %d tiles, want 1 for at most 5", i, l.calls, l.reads)
		}
	}
}

func TestTilesAreWrittenOncePerTileAndNotPerNode(t *testing.T) {
	var e tlog.Edge
	rows := map[tlog.TileID]int{}
	writes := 0
	const n = 3 * 65536
	for i := range n {
		e.Append(leaf(i))
		if (i+1)%64 == 0 { // a commit of 64 entries
			for _, tile := range e.TakeTiles() {
				writes++
				if len(tile.Data) != tile.Width*tlog.HashSize {
					t.Fatalf("%s has %d bytes", tile.Path(), len(tile.Data))
				}
				if tile.Level == 0 && !tile.Complete() {
					t.Fatalf("%s was given to store", tile.Path())
				}
				id := tile.TileID
				id.Width = 0
				rows[id]++
			}
		}
	}
	if got, want := len(rows), n/256+3+1; got != want {
		t.Errorf("%d rows, want %d", got, want)
	}
	// Level 0 once each; level 1 once each 256 leaves; level 2 once each 65536.
	if want := n/256 + n/256 + 3; writes != want {
		t.Errorf("%d writes, want %d", writes, want)
	}
	if len(e.TakeTiles()) != 0 {
		t.Error("tiles were given twice")
	}
}

// The example in the text of C2SP tlog-tiles.
func TestTheTilesOfATreeOf70000LeavesAreThoseOfTheStandard(t *testing.T) {
	l := grown(70000)
	count := map[int]int{}
	for k, data := range l.tiles {
		count[int(k[0])*1000+len(data)/tlog.HashSize]++
	}
	want := map[int]int{256: 273, 1256: 1, 1017: 1, 2001: 1}
	if diff := cmp.Diff(want, count); diff != "" {
		t.Errorf("tiles by level*1000+width (-want +got):\n%s", diff)
	}
}

func TestAnEdgeSurvivesStorageAndRollBack(t *testing.T) {
	for _, n := range []int{0, 1, 255, 256, 257, 3000, 65535, 65536, 65800} {
		l := grown(n)
		b, err := l.edge.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var back tlog.Edge
		if err := back.UnmarshalBinary(b); err != nil {
			t.Fatalf("size %d: %v", n, err)
		}
		loaded, err := tlog.LoadEdge(int64(n), l.read)
		if err != nil {
			t.Fatalf("size %d: %v", n, err)
		}
		clone := l.edge.Clone()
		clone.Append(leaf(-1)) // rolled back
		if l.edge.Root() != back.Root() || loaded.Root() != back.Root() || loaded.Size() != int64(n) {
			t.Errorf("size %d: roots differ after storage", n)
		}
		for i := n; i < n+600; i++ {
			l.append(leaf(i))
			back.Append(leaf(i))
			loaded.Append(leaf(i))
		}
		if l.edge.Root() != back.Root() || loaded.Root() != back.Root() {
			t.Errorf("size %d: roots differ after growing on", n)
		}
		sameTiles(t, back.TakeTiles(), l)
		sameTiles(t, loaded.TakeTiles(), l)
		for _, cut := range [][]byte{nil, b[:len(b)-1], append(b[:len(b):len(b)], 0)} {
			if err := new(tlog.Edge).UnmarshalBinary(cut); !errors.Is(err, tlog.ErrEdge) {
				t.Errorf("size %d: an edge of %d bytes: got %v, want ErrEdge", n, len(cut), err)
			}
		}
	}
}

func sameTiles(t *testing.T, tiles []tlog.Tile, l *log) {
	t.Helper()
	for _, tile := range tiles {
		if diff := cmp.Diff(l.tiles[[2]int64{int64(tile.Level), tile.Index}], tile.Data); diff != "" {
			t.Errorf("%s differs", tile.Path())
		}
	}
}

func TestAppendDoesNotAllocatePerLeaf(t *testing.T) {
	e := grown(100).edge
	h := leaf(0)
	got := testing.AllocsPerRun(1, func() {
		for range 256 * 40 {
			e.Append(h)
		}
		e.TakeTiles()
	})
	if per := got / (256 * 40); per > 0.05 {
		t.Errorf("%.3f allocations a leaf, want under 0.05", per)
	}
}

func TestTilePaths(t *testing.T) {
	for want, id := range map[string]tlog.TileID{
		"tile/0/000":                {Level: 0, Index: 0, Width: 256},
		"tile/0/000.p/1":            {Level: 0, Index: 0, Width: 1},
		"tile/1/x001/x234/067.p/8":  {Level: 1, Index: 1234067, Width: 8},
		"tile/63/x999/999":          {Level: 63, Index: 999999, Width: 256},
		"tile/2/x001/000":           {Level: 2, Index: 1000, Width: 256},
		"tile/0/x001/x000/x000/001": {Level: 0, Index: 1000000001, Width: 256},
	} {
		if got := id.Path(); got != want {
			t.Errorf("Path(%+v) = %s, want %s", id, got, want)
		}
		if got, err := tlog.ParseTilePath(want); err != nil || got != id {
			t.Errorf("ParseTilePath(%s) = %+v, %v, want %+v", want, got, err, id)
		}
	}
	for _, bad := range []string{"", "tile", "tile/0", "tile/0/", "tile/0/0", "tile/0/0000", "tile/00/000", "tile/64/000",
		"tile/-1/000", "tile/0/000.p/256", "tile/0/000.p/0", "tile/0/000.p/01", "tile/0/x000/000", "tile/0/001/000",
		"tile/0/x001", "tile/0/+01", "tile/0/000/", "tile/0/000.p/", "tile/8/0/000"} {
		if id, err := tlog.ParseTilePath(bad); err == nil {
			t.Errorf("ParseTilePath(%q) = %+v, want an error", bad, id)
		}
	}
}

func FuzzParseTilePath(f *testing.F) {
	f.Add("tile/1/x001/x234/067.p/8")
	f.Add("tile/0/000")
	f.Fuzz(func(t *testing.T, path string) {
		id, err := tlog.ParseTilePath(path)
		if err == nil && id.Path() != path {
			t.Errorf("%q parses to %+v, whose path is %q", path, id, id.Path())
		}
	})
}

func FuzzEdge(f *testing.F) {
	for _, n := range []int{0, 1, 256, 300} {
		l := grown(n)
		b, _ := l.edge.MarshalBinary()
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var e tlog.Edge
		if e.UnmarshalBinary(b) != nil {
			return
		}
		if back, _ := e.MarshalBinary(); !cmp.Equal(back, b) {
			t.Errorf("%x reads back as %x", b, back)
		}
		if e.Size() < 1<<40 {
			e.Append(leaf(0))
			e.Root()
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	b.ReportAllocs()
	var e tlog.Edge
	h := leaf(0)
	for i := 0; b.Loop(); i++ {
		e.Append(h)
		if i%256 == 255 {
			e.TakeTiles()
		}
	}
}

// A reader that makes tiles up: the hash at (level, index) follows from its
// place, so that 10 million leaves need no storage.
func synthetic(ids []tlog.TileID) ([][]byte, error) {
	out := make([][]byte, len(ids))
	for i, id := range ids {
		d := make([]byte, id.Width*tlog.HashSize)
		for j := range id.Width {
			binary.BigEndian.PutUint64(d[j*tlog.HashSize:], uint64(id.Index)<<8|uint64(j))
			d[j*tlog.HashSize+8] = byte(id.Level)
		}
		out[i] = d
	}
	return out, nil
}

func BenchmarkInclusionProofIn10M(b *testing.B) {
	b.ReportAllocs()
	const n = 10_000_000
	var hashes, i int64
	for ; b.Loop(); i++ {
		p, err := tlog.ProveInclusion(n, i*7919%n, synthetic)
		if err != nil {
			b.Fatal(err)
		}
		hashes += int64(len(p))
	}
	b.ReportMetric(float64(hashes*tlog.HashSize)/float64(i), "B/proof")
}

func BenchmarkConsistencyProofIn10M(b *testing.B) {
	b.ReportAllocs()
	const n = 10_000_000
	for i := int64(1); b.Loop(); i++ {
		if _, err := tlog.ProveConsistency(1+i*7919%n, n, synthetic); err != nil {
			b.Fatal(err)
		}
	}
}
