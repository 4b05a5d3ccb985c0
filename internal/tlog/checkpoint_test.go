package tlog_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"

	"github.com/rempart/rempart/internal/tlog"
)

func logKey(t testing.TB, name string) (note.Signer, note.Verifier, string) {
	t.Helper()
	secret, public, err := tlog.GenerateKey(name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := tlog.ParseSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	v, err := tlog.ParseVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	return s, v, public
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func witnessKey(t testing.TB, name string) (*tlog.Cosigner, note.Verifier, string) {
	t.Helper()
	secret, public, err := tlog.GenerateCosignerKey(name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := tlog.ParseCosigner(secret, func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	v, err := tlog.ParseVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	return c, v, public
}

func sampleCheckpoint() tlog.Checkpoint {
	l := grown(300)
	return tlog.Checkpoint{Origin: origin, Size: 300, Root: l.edge.Root()}
}

func TestCheckpointTextIsTheStandardsAndHasOneForm(t *testing.T) {
	const root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
	good := "example.com/behind-the-sofa\n20852163\n" + root + "\n" // the example of C2SP tlog-checkpoint
	for _, text := range []string{good, good + "an extension\n", good + "one\ntwo +\n",
		"o\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"} {
		c, err := tlog.ParseCheckpoint(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if c.Text() != text {
			t.Errorf("%q reads back as %q", text, c.Text())
		}
	}
	for name, text := range map[string]string{
		"empty":                      "",
		"no last newline":            strings.TrimSuffix(good, "\n"),
		"two lines":                  "o\n5\n",
		"an empty origin":            "\n5\n" + root + "\n",
		"an empty extension":         good + "\n",
		"a leading zero":             "o\n05\n" + root + "\n",
		"a sign":                     "o\n+5\n" + root + "\n",
		"minus zero":                 "o\n-0\n" + root + "\n",
		"a negative size":            "o\n-5\n" + root + "\n",
		"a size in words":            "o\nfive\n" + root + "\n",
		"a size beyond int64":        "o\n9223372036854775808\n" + root + "\n",
		"a size beyond all bounds":   "o\n9223372036854775807\n" + root + "\n",
		"a space after the size":     "o\n5 \n" + root + "\n",
		"a root too short":           "o\n5\nAAAA\n",
		"a root without padding":     "o\n5\n" + strings.TrimSuffix(root, "=") + "\n",
		"a root with stray bits":     "o\n5\n" + strings.Replace(root, "q2I=", "q2J=", 1) + "\n",
		"a root in URL alphabet":     "o\n5\n" + strings.Replace(root, "/", "_", 1) + "\n",
		"a carriage return":          "o\r\n5\n" + root + "\n",
		"a control character":        "o\x1b[2J\n5\n" + root + "\n",
		"bytes that are not UTF-8":   "o\xff\n5\n" + root + "\n",
		"an empty tree with a root":  "o\n0\n" + root + "\n",
		"a go.sum database tree":     "go.sum database tree\n5\n",
		"a text beyond 64 kilobytes": good + strings.Repeat("x", 1<<16) + "\n",
	} {
		if c, err := tlog.ParseCheckpoint(text); !errors.Is(err, tlog.ErrCheckpoint) {
			t.Errorf("%s: got %+v, %v, want ErrCheckpoint", name, c, err)
		}
	}
}

func TestSignedCheckpointVerifies(t *testing.T) {
	c := sampleCheckpoint()
	s, v, _ := logKey(t, origin)
	msg, err := tlog.SignCheckpoint(c, s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := tlog.OpenCheckpoint(msg, origin, v)
	if err != nil {
		t.Fatal(err)
	}
	want := &tlog.SignedCheckpoint{Checkpoint: c, Signatures: []tlog.Signature{{Name: origin, KeyHash: v.KeyHash()}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	read, err := tlog.ReadCheckpoint(msg)
	if err != nil || !cmp.Equal(read, c) {
		t.Errorf("ReadCheckpoint: %+v, %v", read, err)
	}
	_, stranger, _ := logKey(t, origin)
	if _, err := tlog.OpenCheckpoint(msg, origin, stranger); !errors.Is(err, tlog.ErrSignature) {
		t.Errorf("another key of that name: got %v, want ErrSignature", err)
	}
	if _, err := tlog.OpenCheckpoint(msg, origin); !errors.Is(err, tlog.ErrSignature) {
		t.Errorf("no key: got %v, want ErrSignature", err)
	}
	if _, err := tlog.OpenCheckpoint(msg, "other/log", v); !errors.Is(err, tlog.ErrOrigin) {
		t.Errorf("asked for another log: got %v, want ErrOrigin", err)
	}
	if _, err := tlog.SignCheckpoint(tlog.Checkpoint{Origin: "a\nb", Size: 1}, s); !errors.Is(err, tlog.ErrCheckpoint) {
		t.Errorf("signing a malformed one: got %v, want ErrCheckpoint", err)
	}
}

func TestAKeyOfAnotherNameDoesNotSpeakForTheLog(t *testing.T) {
	s, v, _ := logKey(t, "other.example.com/log")
	msg, err := tlog.SignCheckpoint(sampleCheckpoint(), s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tlog.OpenCheckpoint(msg, origin, v); !errors.Is(err, tlog.ErrSignature) {
		t.Errorf("got %v, want ErrSignature", err)
	}
}

// The signature that we make is the plain note signature that any signed-note
// implementation verifies.
func TestLogSignaturesVerifyWithXMod(t *testing.T) {
	s, _, public := logKey(t, origin)
	theirs, err := note.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := tlog.SignCheckpoint(sampleCheckpoint(), s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := note.Open(msg, note.VerifierList(theirs)); err != nil {
		t.Error(err)
	}
	secret, public2, err := note.GenerateKey(nil, origin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tlog.ParseSigner(secret); err != nil {
		t.Errorf("a key made by x/mod: %v", err)
	}
	if _, err := tlog.ParseVerifier(public2); err != nil {
		t.Errorf("a verifier key made by x/mod: %v", err)
	}
}

func TestEveryChangedByteOfASignedCheckpointIsRefused(t *testing.T) {
	s, v, _ := logKey(t, origin)
	w, wv, _ := witnessKey(t, "witness.example.org/w")
	msg, err := tlog.SignCheckpoint(sampleCheckpoint(), s, w)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := tlog.OpenCheckpoint(msg, origin, v, wv); err != nil || c.Witnesses() != 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	for i := range msg {
		for _, flip := range []byte{1, 2, 0x20, 0x80} {
			bad := bytes.Clone(msg)
			bad[i] ^= flip
			c, err := tlog.OpenCheckpoint(bad, origin, v, wv)
			if err == nil && (c.Unknown == 0 || c.Witnesses() == 1) {
				t.Errorf("byte %d xor %#x was accepted", i, flip)
			}
		}
	}
}

// Made by hand from the text of C2SP tlog-cosignature, not by the package.
func TestACosignatureIsTheOneOfTheStandard(t *testing.T) {
	const name = "witness.example.org/w"
	pub, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	vkey, err := note.NewEd25519VerifierKey(name, pub) // for its layout only
	if err != nil {
		t.Fatal(err)
	}
	raw := append([]byte{4}, pub...)
	hash := noteHash(name, raw)
	vkey = fmt.Sprintf("%s+%08x+%s", strings.Split(vkey, "+")[0], hash, base64.StdEncoding.EncodeToString(raw))
	v, err := tlog.ParseVerifier(vkey)
	if err != nil || !tlog.IsCosigner(v) {
		t.Fatalf("%v", err)
	}
	s, lv, _ := logKey(t, origin)
	c := sampleCheckpoint()
	msg, err := tlog.SignCheckpoint(c, s)
	if err != nil {
		t.Fatal(err)
	}
	line := func(at uint64, text string) string {
		sig := binary.BigEndian.AppendUint32(nil, hash)
		sig = binary.BigEndian.AppendUint64(sig, at)
		sig = append(sig, ed25519.Sign(priv, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, text))...)
		return "— " + name + " " + base64.StdEncoding.EncodeToString(sig) + "\n"
	}
	got, err := tlog.OpenCheckpoint([]byte(string(msg)+line(1679315147, c.Text())), origin, lv, v)
	if err != nil {
		t.Fatal(err)
	}
	if got.Witnesses() != 1 || !got.Signatures[1].Time.Equal(time.Unix(1679315147, 0)) {
		t.Errorf("got %+v", got.Signatures)
	}
	for what, l := range map[string]string{
		"of another text": line(1679315147, "x"+c.Text()), "at time zero": line(0, c.Text()), "at a time beyond int64": line(1<<63, c.Text()),
	} {
		if _, err := tlog.OpenCheckpoint([]byte(string(msg)+l), origin, lv, v); !errors.Is(err, tlog.ErrSignature) {
			t.Errorf("a cosignature %s: got %v, want ErrSignature", what, err)
		}
	}
	if _, err := tlog.OpenCheckpoint([]byte(c.Text()+"\n"+line(1679315147, c.Text())), origin, lv, v); !errors.Is(err, tlog.ErrSignature) {
		t.Errorf("a witness alone: got %v, want ErrSignature", err)
	}
}

func TestCosignAddsToANoteAndVerifiesItFirst(t *testing.T) {
	s, v, _ := logKey(t, origin)
	w, wv, _ := witnessKey(t, "witness.example.org/w")
	msg, _ := tlog.SignCheckpoint(sampleCheckpoint(), s)
	both, err := tlog.Cosign(msg, origin, w, v)
	if err != nil {
		t.Fatal(err)
	}
	c, err := tlog.OpenCheckpoint(both, origin, v, wv)
	if err != nil {
		t.Fatal(err)
	}
	if c.Witnesses() != 1 || !c.Signatures[1].Time.Equal(noon) || c.Signatures[1].Name != "witness.example.org/w" {
		t.Errorf("got %+v", c.Signatures)
	}
	if c, err := tlog.OpenCheckpoint(both, origin, v); err != nil || c.Unknown != 1 || c.Witnesses() != 0 {
		t.Errorf("without the witness's key: %+v, %v", c, err)
	}
	_, stranger, _ := logKey(t, origin)
	if _, err := tlog.Cosign(msg, origin, w, stranger); !errors.Is(err, tlog.ErrSignature) {
		t.Errorf("cosigning what no known key signed: got %v, want ErrSignature", err)
	}
	if _, err := w.Sign([]byte("pay 100 euros\n")); !errors.Is(err, tlog.ErrCheckpoint) {
		t.Errorf("a witness signed another text: %v", err)
	}
}

func TestAChangeOfKeyNeedsBoth(t *testing.T) {
	oldS, oldV, _ := logKey(t, origin)
	newS, newV, _ := logKey(t, origin)
	w, wv, _ := witnessKey(t, origin)
	c := sampleCheckpoint()
	both, _ := tlog.SignCheckpoint(c, oldS, newS)
	if _, err := tlog.CheckKeyChange(both, origin, oldV, newV); err != nil {
		t.Error(err)
	}
	for name, signers := range map[string][]note.Signer{"the old key": {oldS}, "the new key": {newS}, "a witness": {oldS, w}} {
		msg, _ := tlog.SignCheckpoint(c, signers...)
		if _, err := tlog.CheckKeyChange(msg, origin, oldV, newV); !errors.Is(err, tlog.ErrSignature) {
			t.Errorf("signed by %s only: got %v, want ErrSignature", name, err)
		}
	}
	msg, _ := tlog.SignCheckpoint(c, oldS, w)
	if _, err := tlog.CheckKeyChange(msg, origin, oldV, wv); !errors.Is(err, tlog.ErrSignature) {
		t.Errorf("a witness as new key: got %v, want ErrSignature", err)
	}
	if _, err := tlog.CheckKeyChange(both, origin, oldV, oldV); !errors.Is(err, tlog.ErrSignature) {
		t.Errorf("the same key twice: got %v, want ErrSignature", err)
	}
}

func TestMalformedKeysAreRefused(t *testing.T) {
	secret, public, _ := tlog.GenerateKey(origin)
	cosecret, copublic, _ := tlog.GenerateCosignerKey(origin)
	now := func() time.Time { return noon }
	for _, k := range []string{"", "+", "++", public[:len(public)-1], public + "A", strings.Replace(public, "+", " ", 1), "x" + public,
		strings.ToUpper(public), public + "\n", secret} {
		if _, err := tlog.ParseVerifier(k); !errors.Is(err, tlog.ErrKey) {
			t.Errorf("ParseVerifier(%q): got %v, want ErrKey", k, err)
		}
	}
	for _, k := range []string{"", public, cosecret, secret[1:], secret + "A", strings.Replace(secret, origin, origin+"x", 1)} {
		if _, err := tlog.ParseSigner(k); !errors.Is(err, tlog.ErrKey) {
			t.Errorf("ParseSigner of a bad key: got %v, want ErrKey", err)
		}
	}
	for _, k := range []string{"", copublic, secret} {
		if _, err := tlog.ParseCosigner(k, now); !errors.Is(err, tlog.ErrKey) {
			t.Errorf("ParseCosigner of a bad key: got %v, want ErrKey", err)
		}
	}
	for _, name := range []string{"", "a b", "a+b", "a\x00b", strings.Repeat("n", 256)} {
		if _, _, err := tlog.GenerateKey(name); !errors.Is(err, tlog.ErrKey) {
			t.Errorf("GenerateKey(%q): got %v, want ErrKey", name, err)
		}
	}
}

func FuzzParseCheckpoint(f *testing.F) {
	f.Add(sampleCheckpoint().Text())
	f.Add("o\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\next\n")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := tlog.ParseCheckpoint(text); err == nil && c.Text() != text {
			t.Errorf("%q reads back as %q", text, c.Text())
		}
	})
}

func FuzzOpenCheckpoint(f *testing.F) {
	s, v, _ := logKey(f, origin)
	w, wv, _ := witnessKey(f, "witness.example.org/w")
	c := sampleCheckpoint()
	msg, err := tlog.SignCheckpoint(c, s, w)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(msg)
	f.Add([]byte("a\n1\n\n— b AAAA\n"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		got, err := tlog.OpenCheckpoint(msg, origin, v, wv)
		if err == nil && !cmp.Equal(got.Checkpoint, c) {
			t.Errorf("accepted %+v, which was never signed", got.Checkpoint)
		}
	})
}

func FuzzParseVerifier(f *testing.F) {
	_, public, _ := tlog.GenerateKey(origin)
	_, copublic, _ := tlog.GenerateCosignerKey(origin)
	f.Add(public)
	f.Add(copublic)
	f.Fuzz(func(t *testing.T, vkey string) {
		if v, err := tlog.ParseVerifier(vkey); err == nil && !strings.HasPrefix(vkey, tlog.KeyID(v.Name(), v.KeyHash())+"+") {
			t.Errorf("%q gives key %s", vkey, tlog.KeyID(v.Name(), v.KeyHash()))
		}
	})
}
