package verify_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/rempart/rempart/verify"
)

// FuzzFile gives every parser hostile files. Nothing may panic; what verifies
// against the log's own key must be what the log wrote, and be valid JSON to
// other readers too.
func FuzzFile(f *testing.F) {
	l := storyLog(f)
	export := l.export()
	seeds := [][]byte{export, l.entryProof(5), l.entryProof(4), l.signed().Checkpoint, epochProof(f)}
	consistency, err := (&verify.ConsistencyProof{VerifierKeys: l.vkeys, Older: l.signed().Checkpoint, Newer: l.signed().Checkpoint}).Marshal()
	l.must(err)
	s, _, _ := statementKey(f)
	envelope, err := verify.SignEnvelope(verify.InTotoPayload, []byte(statement), s)
	l.must(err)
	for _, b := range append(seeds, consistency, envelope) {
		f.Add(b)
	}
	f.Add([]byte(`{"a":[1,{"b":null}],"format":"rempart-entry-proof/v1"}`))
	f.Add([]byte(`{"format":"rempart-log-export/v1","origin":"\ud800"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, o := range []verify.Options{{}, {VerifierKeys: l.vkeys}} {
			rep, err := verify.File(bytes.NewReader(b), o)
			if err != nil {
				continue
			}
			if err := rep.Write(&bytes.Buffer{}); err != nil {
				t.Fatal(err)
			}
			if _, err := json.Marshal(rep); err != nil {
				t.Fatal(err)
			}
			if !rep.OK || len(o.VerifierKeys) == 0 {
				continue
			}
			for _, c := range rep.Checkpoints {
				if c.Root != l.edge.Root() || c.Size != l.edge.Size() {
					t.Errorf("verified a checkpoint that was never signed: %+v", c)
				}
			}
			if rep.File == "entry proof" && !json.Valid(b) {
				t.Errorf("verified %q, which is not JSON", b)
			}
		}
	})
}

// FuzzText compares how strings are read with encoding/json.
func FuzzText(f *testing.F) {
	for _, s := range []string{`"a"`, `"\u00e9\ud83d\ude00"`, `"\ud800"`, `"a\nb"`, "\"\x01\"", `"\/\\\""`, "\"\xff\"", `"x" `, `"\u12"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := verify.ReadText(b)
		if !ok {
			return
		}
		var want string
		if err := json.Unmarshal(b, &want); err != nil || want != got {
			t.Errorf("%q reads as %q, encoding/json reads %q, %v", b, got, want, err)
		}
		again, ok := verify.ReadText(verify.WriteText(got))
		if !ok || again != got {
			t.Errorf("%q is written as %q", got, verify.WriteText(got))
		}
	})
}
