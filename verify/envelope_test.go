package verify_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"

	"github.com/rempart/rempart/internal/tlog"
	"github.com/rempart/rempart/verify"
)

const signerName = "id.example.com/statements"

const statement = `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"policy.ip-allow-list","digest":{"sha256":"aa"}}],"predicateType":"https://example.com/control-result/v1","predicate":{"verdict":"pass"}}`

func statementKey(t testing.TB) (note.Signer, note.Verifier, string) {
	t.Helper()
	secret, public, err := tlog.GenerateKey(signerName)
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

// The example of the DSSE protocol text: its pre-authentication encoding,
// signed here without the package.
func TestAnEnvelopeIsTheOneOfTheStandard(t *testing.T) {
	s, v, public := statementKey(t)
	const pae = "DSSEv1 29 http://example.com/HelloWorld 11 hello world"
	file, err := verify.SignEnvelope("http://example.com/HelloWorld", []byte("hello world"), s)
	if err != nil {
		t.Fatal(err)
	}
	var e struct {
		PayloadType string `json:"payloadType"`
		Payload     []byte `json:"payload"`
		Signatures  []struct {
			KeyID string `json:"keyid"`
			Sig   []byte `json:"sig"`
		} `json:"signatures"`
	}
	if err := json.Unmarshal(file, &e); err != nil {
		t.Fatal(err)
	}
	raw, _ := base64.StdEncoding.DecodeString(strings.SplitN(public, "+", 3)[2])
	if len(e.Signatures) != 1 || !ed25519.Verify(raw[1:], []byte(pae), e.Signatures[0].Sig) {
		t.Error("the signature is not over the pre-authentication encoding")
	}
	if e.PayloadType != "http://example.com/HelloWorld" || string(e.Payload) != "hello world" || !strings.HasPrefix(public, e.Signatures[0].KeyID+"+") {
		t.Errorf("got %+v", e)
	}
	got, err := verify.OpenEnvelope(file, v)
	if err != nil || string(got.Payload) != "hello world" {
		t.Fatalf("%+v, %v", got, err)
	}
	// As another writer would put it: other order, URL alphabet, a signature by a stranger.
	payload := base64.URLEncoding.EncodeToString([]byte("hello world"))
	sig := base64.URLEncoding.EncodeToString(e.Signatures[0].Sig)
	other := `{ "signatures": [ {"sig": "AAAA"}, {"sig": "` + sig + `", "keyid": "` + e.Signatures[0].KeyID + `"} ],
		"payload": "` + payload + `", "payloadType": "http://example.com/HelloWorld" }`
	if got, err := verify.OpenEnvelope([]byte(other), v); err != nil || len(got.Keys) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAStatementVerifiesAgainstAGivenKeyOnly(t *testing.T) {
	s, _, public := statementKey(t)
	s2, _, public2 := statementKey(t)
	file, err := verify.SignEnvelope(verify.InTotoPayload, []byte(statement), s, s2)
	if err != nil {
		t.Fatal(err)
	}
	rep := check(t, file, verify.Options{VerifierKeys: []string{public, public2}})
	want := &verify.StatementReport{PayloadType: verify.InTotoPayload, PredicateType: "https://example.com/control-result/v1",
		Subjects: []string{"policy.ip-allow-list sha256:aa"}, Predicate: json.RawMessage(`{"verdict":"pass"}`)}
	if rep.Statement == nil || len(rep.Statement.Keys) != 2 {
		t.Fatalf("%+v", rep)
	}
	want.Keys = rep.Statement.Keys
	if diff := cmp.Diff(want, rep.Statement); diff != "" || !rep.OK {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if rep := check(t, file, verify.Options{VerifierKeys: []string{public2}}); !rep.OK || len(rep.Statement.Keys) != 1 {
		t.Errorf("with one key: %+v", rep)
	}
	if rep := check(t, file, verify.Options{}); rep.OK {
		t.Error("verified with no key")
	}
	_, _, stranger := statementKey(t)
	if rep := check(t, file, verify.Options{VerifierKeys: []string{stranger}}); rep.OK {
		t.Error("verified with another key of that name")
	}
	for i := range file {
		bad := bytes.Clone(file)
		bad[i] ^= []byte{1, 0x20, 4, 0x80}[i%4]
		if rep, err := verify.File(bytes.NewReader(bad), verify.Options{VerifierKeys: []string{public}}); err == nil && rep.OK && i != len(file)-1 && i < bytes.Index(file, []byte(`},{`)) {
			t.Errorf("byte %d (%q) was accepted", i, file[i])
		}
	}
	for name, payload := range map[string]string{"no statement": "{}", "no JSON": "x", "an older type": strings.Replace(statement, "/v1", "/v0.1", 1)} {
		file, _ := verify.SignEnvelope(verify.InTotoPayload, []byte(payload), s)
		if rep := check(t, file, verify.Options{VerifierKeys: []string{public}}); rep.OK {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestEnvelopesThatAreRefused(t *testing.T) {
	s, v, _ := statementKey(t)
	good, err := verify.SignEnvelope("t", []byte("p"), s)
	if err != nil {
		t.Fatal(err)
	}
	secret, public, _ := tlog.GenerateCosignerKey("w")
	w, _ := tlog.ParseCosigner(secret, time.Now)
	wv, _ := tlog.ParseVerifier(public)
	if _, err := verify.SignEnvelope("t", []byte("p"), w); err == nil {
		t.Error("a witness signed a statement")
	}
	if _, err := verify.OpenEnvelope(good, wv); !errors.Is(err, verify.ErrEnvelope) {
		t.Errorf("got %v, want ErrEnvelope", err)
	}
	unsigned, _ := verify.SignEnvelope("t", []byte("p"))
	swap := func(old, to string) []byte { return bytes.Replace(good, []byte(old), []byte(to), 1) }
	for name, file := range map[string][]byte{
		"unsigned":              unsigned,
		"an unknown member":     swap(`{"payloadType"`, `{"x":1,"payloadType"`),
		"a member twice":        swap(`{"payloadType"`, `{"payloadType":"t","payloadType"`),
		"another payload type":  swap(`"t"`, `"u"`),
		"no payload type":       swap(`"t"`, `""`),
		"another payload":       swap(`"cA=="`, `"cQ=="`),
		"stray bits in base64":  swap(`"cA=="`, `"cB=="`),
		"a line break in it":    swap(`"cA=="`, "\"cA\n==\""),
		"a signature cut short": swap(`=="}]`, `"}]`),
		"too many signatures":   swap(`"signatures":[`, `"signatures":[`+strings.Repeat(`{"sig":"AAAA"},`, 40)),
		"a list":                []byte("[]"),
	} {
		if e, err := verify.OpenEnvelope(file, v); !errors.Is(err, verify.ErrEnvelope) {
			t.Errorf("%s: got %+v, %v, want ErrEnvelope", name, e, err)
		}
	}
}
