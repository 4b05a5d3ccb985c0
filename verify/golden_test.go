package verify_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rempart/rempart/internal/tlog"
	"github.com/rempart/rempart/verify"
)

var update = flag.Bool("update", false, "write the golden reports again")

// fresh also makes new golden files, with new keys. Files once released stay:
// they show that what was written years ago still verifies.
var fresh = flag.Bool("fresh", false, "make the golden files again, with new keys")

func TestGoldenFiles(t *testing.T) {
	if *fresh {
		makeGolden(t)
	}
	keys, err := os.ReadFile("testdata/keys.txt")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/*.file")
	if err != nil || len(files) != 9 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	for _, name := range files {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		rep := check(t, file, verify.Options{VerifierKeys: strings.Fields(string(keys))})
		if bad := strings.Contains(name, "bad-"); rep.OK == bad {
			t.Errorf("%s: ok is %v: %q", name, rep.OK, rep.Problems)
		}
		var got bytes.Buffer
		if err := rep.Write(&got); err != nil {
			t.Fatal(err)
		}
		asJSON, err := json.MarshalIndent(rep, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got.WriteString("\nAs JSON\n")
		got.Write(append(asJSON, '\n'))
		golden := strings.TrimSuffix(name, ".file") + ".report"
		if *update || *fresh {
			if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func makeGolden(t *testing.T) {
	l := storyLog(t)
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join("testdata", name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, _, public := statementKey(t)
	envelope, err := verify.SignEnvelope(verify.InTotoPayload, []byte(statement), s)
	l.must(err)

	platform := newTestLog(t, "id.example.com/log/platform")
	platform.add("platform.started", "{}", "{}")
	var seed tlog.EpochSeed
	e, err := tlog.NewEpoch(seed, 64, []tlog.EpochHead{{Slot: 12, Origin: origin, Size: l.edge.Size(), Root: l.edge.Root()}})
	l.must(err)
	leaf := e.Leaf(platform.origin, 1767225660000000)
	platform.addEpoch(leaf)
	platform.vkeys[1], platform.witness = l.vkeys[1], l.witness
	opening, err := e.Opening(origin)
	l.must(err)
	epoch, err := (&verify.EpochProof{Signed: platform.signed(), Leaf: leaf, Index: 1, Inclusion: platform.inclusion(1), Opening: opening}).Marshal()
	l.must(err)

	write("keys.txt", []byte(strings.Join([]string{l.vkeys[0], l.vkeys[1], platform.vkeys[0], public}, "\n")+"\n"))
	write("export.file", l.export())
	write("platform-export.file", platform.export())
	write("bad-export.file", []byte(strings.Join(append(lines(l.export())[:6], lines(l.export())[7:]...), "")))
	write("entry-opened.file", l.entryProof(5))
	write("entry-erased.file", l.entryProof(4))
	write("checkpoint.file", l.signed().Checkpoint)
	write("epoch.file", epoch)
	write("statement.file", envelope)
	older, size := l.signed().Checkpoint, l.edge.Size()
	l.add("session.ended", "{}", "{}")
	proof, err := tlog.ProveConsistency(size, l.edge.Size(), l.read)
	l.must(err)
	consistency, err := (&verify.ConsistencyProof{VerifierKeys: l.vkeys, Older: older, Newer: l.signed().Checkpoint, Consistency: proof}).Marshal()
	l.must(err)
	write("consistency.file", consistency)
}
