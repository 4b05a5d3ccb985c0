package tlog_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rempart/rempart/internal/tlog"
)

const origin = "id.example.com/log/org_01h455vb4pex5vsknk084sn02q"

func sampleHeader() tlog.Header {
	return tlog.Header{Origin: origin, Entry: tlog.ID{1, 2, 3, 15: 16}, Time: 1767225600000000,
		Kind: "policy.ip_rule.added", Labels: []string{"facts", "person"}}
}

func TestHeaderReadsBackAsWritten(t *testing.T) {
	for name, h := range map[string]tlog.Header{
		"two parts":   sampleHeader(),
		"no part":     {Origin: "a", Kind: "k"},
		"the largest": {Origin: strings.Repeat("o", 255), Time: 253402300799999999, Kind: strings.Repeat("k", 100), Labels: []string{"1", "2", "3", "4", "5", "6", "7", strings.Repeat("l", 32)}},
	} {
		b, err := h.MarshalBinary()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := tlog.ParseHeader(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(h, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		for i := range b {
			if _, err := tlog.ParseHeader(b[:i]); !errors.Is(err, tlog.ErrHeader) {
				t.Errorf("%s cut at %d: got %v, want ErrHeader", name, i, err)
			}
		}
		if _, err := tlog.ParseHeader(append(b, 0)); !errors.Is(err, tlog.ErrHeader) {
			t.Errorf("%s with a byte more: got %v, want ErrHeader", name, err)
		}
	}
}

func TestHeaderBoundsAreKept(t *testing.T) {
	for name, change := range map[string]func(*tlog.Header){
		"no origin":                  func(h *tlog.Header) { h.Origin = "" },
		"an origin with a space":     func(h *tlog.Header) { h.Origin = "a b" },
		"an origin with a plus":      func(h *tlog.Header) { h.Origin = "a+b" },
		"an origin with a newline":   func(h *tlog.Header) { h.Origin = "a\nb" },
		"an origin beyond ASCII":     func(h *tlog.Header) { h.Origin = "é" },
		"an origin too long":         func(h *tlog.Header) { h.Origin = strings.Repeat("o", 256) },
		"no kind":                    func(h *tlog.Header) { h.Kind = "" },
		"a kind in capitals":         func(h *tlog.Header) { h.Kind = "Policy" },
		"a kind too long":            func(h *tlog.Header) { h.Kind = strings.Repeat("k", 101) },
		"a time before 1970":         func(h *tlog.Header) { h.Time = -1 },
		"a time after the year 9999": func(h *tlog.Header) { h.Time = math.MaxInt64 },
		"a label twice":              func(h *tlog.Header) { h.Labels = []string{"a", "a"} },
		"a label with a dot":         func(h *tlog.Header) { h.Labels = []string{"a.b"} },
		"an empty label":             func(h *tlog.Header) { h.Labels = []string{""} },
		"too many parts":             func(h *tlog.Header) { h.Labels = strings.Split("abcdefghi", "") },
	} {
		h := sampleHeader()
		change(&h)
		if _, err := h.MarshalBinary(); !errors.Is(err, tlog.ErrHeader) {
			t.Errorf("%s: got %v, want ErrHeader", name, err)
		}
	}
}

func TestLeafReadsBackAndMatchesTheHeaderList(t *testing.T) {
	h := sampleHeader()
	facts, _, _, err := tlog.SealPart(h.Origin, h.Entry, "facts", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	person, _, _, err := tlog.SealPart(h.Origin, h.Entry, "person", nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := tlog.LeafData(&h, []tlog.Part{facts, person})
	if err != nil {
		t.Fatal(err)
	}
	gotHeader, gotParts, err := tlog.ParseLeaf(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(h, gotHeader) + cmp.Diff([]tlog.Part{facts, person}, gotParts); diff != "" {
		t.Error(diff)
	}
	for i := range b {
		if _, _, err := tlog.ParseLeaf(b[:i]); !errors.Is(err, tlog.ErrLeaf) {
			t.Errorf("cut at %d: got %v, want ErrLeaf", i, err)
		}
	}
	for name, parts := range map[string][]tlog.Part{
		"one part missing": {facts}, "parts swapped": {person, facts}, "a part too many": {facts, person, person}, "none": nil,
	} {
		if _, err := tlog.LeafData(&h, parts); !errors.Is(err, tlog.ErrLeaf) {
			t.Errorf("%s: got %v, want ErrLeaf", name, err)
		}
	}
}

func TestAPartOpensOnlyWhereItWasSealed(t *testing.T) {
	h := sampleHeader()
	want := []byte(`{"rule":"203.0.113.0/24"}`)
	p, sealed, key, err := tlog.SealPart(h.Origin, h.Entry, "facts", want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tlog.OpenPart(h.Origin, h.Entry, &p, sealed, &key); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("got %q, %v, want %q", got, err, want)
	}
	back, err := tlog.ParsePartKey(key.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tlog.OpenPart(h.Origin, h.Entry, &p, sealed, &back); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("with the key read back: %q, %v", got, err)
	}
	if _, err := tlog.OpenPart(h.Origin+"x", h.Entry, &p, sealed, &key); !errors.Is(err, tlog.ErrOpen) {
		t.Errorf("in another log: got %v, want ErrOpen", err)
	}
	if _, err := tlog.OpenPart(h.Origin, tlog.NewID(), &p, sealed, &key); !errors.Is(err, tlog.ErrOpen) {
		t.Errorf("in another entry: got %v, want ErrOpen", err)
	}
	other := p
	other.Label = "person"
	if _, err := tlog.OpenPart(h.Origin, h.Entry, &other, sealed, &key); !errors.Is(err, tlog.ErrPartKey) {
		t.Errorf("as another part: got %v, want ErrPartKey", err)
	}
	other.KeyCommitment = key.Commitment("person")
	if _, err := tlog.OpenPart(h.Origin, h.Entry, &other, sealed, &key); !errors.Is(err, tlog.ErrOpen) {
		t.Errorf("as another part with its commitment: got %v, want ErrOpen", err)
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := tlog.OpenPart(h.Origin, h.Entry, &p, bad, &key); !errors.Is(err, tlog.ErrCiphertext) {
			t.Errorf("byte %d changed: got %v, want ErrCiphertext", i, err)
		}
		forged := p
		forged.CiphertextHash = sha256.Sum256(bad)
		if _, err := tlog.OpenPart(h.Origin, h.Entry, &forged, bad, &key); !errors.Is(err, tlog.ErrOpen) {
			t.Errorf("byte %d changed and the hash with it: got %v, want ErrOpen", i, err)
		}
	}
	raw := key.Bytes()
	for i := range raw {
		raw[i] ^= 1
		bad, _ := tlog.ParsePartKey(raw)
		if _, err := tlog.OpenPart(h.Origin, h.Entry, &p, sealed, &bad); !errors.Is(err, tlog.ErrPartKey) {
			t.Errorf("key byte %d changed: got %v, want ErrPartKey", i, err)
		}
		raw[i] ^= 1
	}
	short := p
	short.CiphertextHash = sha256.Sum256(sealed[:20])
	if _, err := tlog.OpenPart(h.Origin, h.Entry, &short, sealed[:20], &key); !errors.Is(err, tlog.ErrOpen) {
		t.Errorf("a stump: got %v, want ErrOpen", err)
	}
	if _, err := tlog.ParsePartKey(raw[:31]); !errors.Is(err, tlog.ErrPartKeySize) {
		t.Errorf("31 bytes of key: got %v, want ErrPartKeySize", err)
	}
	if _, _, _, err := tlog.SealPart(h.Origin, h.Entry, "Facts", nil); !errors.Is(err, tlog.ErrLabel) {
		t.Errorf("a bad label: got %v, want ErrLabel", err)
	}
	if _, _, _, err := tlog.SealPart("a b", h.Entry, "facts", nil); !errors.Is(err, tlog.ErrHeader) {
		t.Errorf("a bad origin: got %v, want ErrHeader", err)
	}
}

func TestTheSameContentSealsDifferentlyEachTime(t *testing.T) {
	a, sealedA, keyA, _ := tlog.SealPart(origin, tlog.ID{}, "facts", []byte("x"))
	b, sealedB, keyB, _ := tlog.SealPart(origin, tlog.ID{}, "facts", []byte("x"))
	if a.KeyID == b.KeyID || a.KeyCommitment == b.KeyCommitment || bytes.Equal(sealedA, sealedB) || bytes.Equal(keyA.Bytes(), keyB.Bytes()) {
		t.Error("two seals share something")
	}
}

func TestAPartKeyDoesNotPrint(t *testing.T) {
	key, _ := tlog.ParsePartKey(bytes.Repeat([]byte{0xAB}, 32))
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("m", "key", key, "pointer", &key)
	for _, out := range []string{fmt.Sprint(key), fmt.Sprintf("%v %+v %#v %x %s %d %v", key, key, key, key, key, key, &key), fmt.Sprintf("%+v", struct{ K tlog.PartKey }{key}), logged.String()} {
		if strings.Contains(strings.ToLower(out), "abab") || strings.Contains(out, "171") {
			t.Errorf("a key was printed: %s", out)
		}
	}
	if b, err := json.Marshal(key); err == nil {
		t.Errorf("a key was marshalled: %s", b)
	}
	secret, _, err := tlog.GenerateKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	s, err := tlog.ParseSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	if out := fmt.Sprintf("%v %+v %#v", s, s, s); strings.Count(out, "[signer") != 3 || len(out) > 300 {
		t.Errorf("a signer was printed: %s", out)
	}
}

func TestIDTextHasOneForm(t *testing.T) {
	id := tlog.NewID()
	text, _ := id.MarshalText()
	var back tlog.ID
	if err := back.UnmarshalText(text); err != nil || back != id || id.String() != string(text) {
		t.Errorf("%s reads back as %s, %v", text, back, err)
	}
	for _, bad := range []string{"", "00", strings.Repeat("A", 32), strings.Repeat("g", 32), strings.Repeat("0", 34)} {
		if back.UnmarshalText([]byte(bad)) == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func FuzzParseHeader(f *testing.F) {
	h := sampleHeader()
	b, _ := h.MarshalBinary()
	f.Add(b)
	f.Add([]byte{1, 0, 1, 'a'})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := tlog.ParseHeader(b)
		if err != nil {
			return
		}
		if back, err := h.MarshalBinary(); err != nil || !bytes.Equal(back, b) {
			t.Errorf("%x reads back as %x, %v", b, back, err)
		}
	})
}

func FuzzParseLeaf(f *testing.F) {
	h := sampleHeader()
	b, _ := tlog.LeafData(&h, []tlog.Part{{Label: "facts"}, {Label: "person"}})
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, parts, err := tlog.ParseLeaf(b)
		if err != nil {
			return
		}
		if back, err := tlog.LeafData(&h, parts); err != nil || !bytes.Equal(back, b) {
			t.Errorf("%x reads back as %x, %v", b, back, err)
		}
	})
}

func BenchmarkSealPart(b *testing.B) {
	b.ReportAllocs()
	text := bytes.Repeat([]byte("x"), 300)
	for b.Loop() {
		if _, _, _, err := tlog.SealPart(origin, tlog.ID{}, "facts", text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLeafHash(b *testing.B) {
	b.ReportAllocs()
	h := sampleHeader()
	parts := []tlog.Part{{Label: "facts"}, {Label: "person"}}
	var buf []byte
	for b.Loop() {
		buf, _ = tlog.AppendLeafData(buf[:0], &h, parts)
		tlog.LeafHash(buf)
	}
}
