package verify_test

import (
	"bytes"
	"testing"

	"github.com/rempart/rempart/verify"
)

// The export that the benchmarks verify: two parts an entry, of usual size.
func benchExport(b *testing.B, n int, opened bool) ([]byte, *testLog) {
	l := newTestLog(b, origin)
	facts := `{"activity_id":1,"category_uid":3,"class_uid":3002,"time":1767225600000,"outcome":"success","session":"ses_01h455vb4pex5vsknk084sn02q","method":"password","factors":["totp"],"node":"a","build":"1.0.0"}`
	person := `{"actor":"usr_01h455vb4pex5vsknk084sn02q","address":"198.51.100.7","port":51422,"user_agent":"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}`
	for i := range n {
		l.add("session.started", facts, person)
		if opened {
			l.open(i)
		}
	}
	return l.export(), l
}

func benchmarkExport(b *testing.B, opened bool) {
	const n = 20000
	export, l := benchExport(b, n, opened)
	b.SetBytes(int64(len(export)))
	b.ReportAllocs()
	rounds := 0
	for b.Loop() {
		rep, err := verify.File(bytes.NewReader(export), verify.Options{VerifierKeys: l.vkeys})
		if err != nil || !rep.OK {
			b.Fatal(err, rep.Problems)
		}
		rounds++
	}
	b.ReportMetric(float64(n*rounds)/b.Elapsed().Seconds(), "entries/s")
}

func BenchmarkExportSealed(b *testing.B) { benchmarkExport(b, false) }
func BenchmarkExportOpened(b *testing.B) { benchmarkExport(b, true) }
