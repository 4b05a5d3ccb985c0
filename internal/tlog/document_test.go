package tlog_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/rempart/rempart/internal/tlog"
)

// docExample reads the worked example of docs/audit-log.md.
func docExample(t *testing.T) (map[string][]byte, string) {
	t.Helper()
	doc, err := os.ReadFile("../../docs/audit-log.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string) string {
		m := regexp.MustCompile("(?s)\n```" + kind + "\n(.*?)```\n").FindSubmatch(doc)
		if m == nil {
			t.Fatalf("the document has no %s block", kind)
		}
		return string(m[1])
	}
	values := map[string][]byte{}
	for line := range strings.Lines(block("example")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " = ")
		b, err := hex.DecodeString(value)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		values[name] = b
	}
	return values, block("checkpoint")
}

func TestTheWorkedExampleOfTheDocumentIsWhatTheCodeDoes(t *testing.T) {
	v, text := docExample(t)
	same := func(name string, got []byte) {
		t.Helper()
		if !bytes.Equal(got, v[name]) {
			t.Errorf("%s: the code gives %x, the document %x", name, got, v[name])
		}
		delete(v, name)
	}
	h := tlog.Header{Origin: "id.example.com/log/org_1", Time: 1767225600000000, Kind: "policy.ip_rule.added", Labels: []string{"facts"}}
	second := tlog.Header{Origin: h.Origin, Time: 1767225660000000, Kind: "keyring.keys.erased"}
	for i := range h.Entry {
		h.Entry[i], second.Entry[i] = byte(i), byte(16+i)
	}
	key, err := tlog.ParsePartKey(v["part_key"])
	if err != nil {
		t.Fatal(err)
	}
	p := tlog.Part{Label: "facts", KeyID: tlog.ID(v["key_id"]), CiphertextHash: sha256.Sum256(v["ciphertext"]), KeyCommitment: key.Commitment("facts")}
	content, err := tlog.OpenPart(h.Origin, h.Entry, &p, v["ciphertext"], &key)
	if err != nil || string(content) != `{"rule":"203.0.113.0/24"}` {
		t.Errorf("the part opens to %q, %v", content, err)
	}
	// The same with plain AES-GCM and the associated data as written.
	block, err := aes.NewCipher(v["part_key"])
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block) // takes the nonce off the front; allowed under FIPS 140-3
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := gcm.Open(nil, nil, v["ciphertext"], v["associated_data"]); err != nil || !bytes.Equal(plain, content) {
		t.Errorf("by the document the part opens to %q, %v", plain, err)
	}
	header, err := h.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := tlog.LeafData(&h, []tlog.Part{p})
	if err != nil {
		t.Fatal(err)
	}
	leaf2, err := tlog.LeafData(&second, nil)
	if err != nil {
		t.Fatal(err)
	}
	hash, hash2 := tlog.LeafHash(leaf), tlog.LeafHash(leaf2)
	var e tlog.Edge
	e.Append(hash)
	e.Append(hash2)
	root := e.Root()
	slot := sha256.Sum256(bytes.Join([][]byte{[]byte("rempart-epoch-slot/v1\n"), v["blinding"],
		binary.BigEndian.AppendUint16(nil, uint16(len(h.Origin))), []byte(h.Origin), binary.BigEndian.AppendUint64(nil, 2), root[:]}, nil))
	same("header", header)
	same("ciphertext_hash", p.CiphertextHash[:])
	same("key_commitment", p.KeyCommitment[:])
	same("leaf", leaf)
	same("leaf_hash", hash[:])
	same("second_leaf", leaf2)
	same("second_leaf_hash", hash2[:])
	same("root", root[:])
	same("slot", slot[:])
	for _, input := range []string{"part_key", "key_id", "ciphertext", "associated_data", "blinding"} {
		delete(v, input)
	}
	for name := range v {
		t.Errorf("%s is compared with nothing", name)
	}
	if got := (tlog.Checkpoint{Origin: h.Origin, Size: 2, Root: root}).Text(); got != text {
		t.Errorf("checkpoint: the code gives\n%s\nthe document\n%s", got, text)
	}
}
