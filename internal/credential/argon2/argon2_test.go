package argon2

import (
	"bytes"
	"math/rand/v2"
	"testing"

	original "golang.org/x/crypto/argon2"
)

// The original and this copy agree, whatever the memory was used for before.
func TestSameAsTheOriginal(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var m Memory
	for range 60 {
		password, salt := make([]byte, r.IntN(80)), make([]byte, 8+r.IntN(24))
		for _, b := range [][]byte{password, salt} {
			for i := range b {
				b[i] = byte(r.Uint32())
			}
		}
		time, memory, threads, size := 1+r.Uint32N(4), r.Uint32N(600), uint8(1+r.IntN(4)), 16+r.Uint32N(64)
		want := original.IDKey(password, salt, time, memory, threads, size)
		if got := m.IDKey(password, salt, time, memory, threads, size); !bytes.Equal(got, want) {
			t.Fatalf("t=%d m=%d p=%d: got %x, want %x", time, memory, threads, got, want)
		}
		for i := range m.blocks {
			if m.blocks[i] != (block{}) {
				t.Fatal("the memory is not wiped")
			}
		}
	}
}

func TestAHashAllocatesLittle(t *testing.T) {
	var m Memory
	m.IDKey([]byte("password"), []byte("somesalt"), 1, 1024, 1, 32)
	bytes := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			m.IDKey([]byte("password"), []byte("somesalt"), 1, 1024, 1, 32)
		}
	}).AllocedBytesPerOp()
	if bytes > 16<<10 {
		t.Errorf("%d bytes a hash", bytes)
	}
}
