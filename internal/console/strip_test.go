package console_test

import (
	"strings"
	"testing"

	"github.com/rempart/rempart/internal/console"
)

func TestAStripJoinsNeighboursAndEscapesItsLabel(t *testing.T) {
	days := []console.Day{{Verdict: "none"}, {Verdict: "none"}, {Verdict: "pass"}, {Verdict: `"><script>`}, {Verdict: "fail"}}
	got := string(console.Strip(days, `a "label" <b>`))
	want := `<svg class="strip" viewBox="0 0 5 10" preserveAspectRatio="none" role="img" aria-label="a &#34;label&#34; &lt;b&gt;">` +
		`<path class="none" d="M0 5h2"/><path class="pass" d="M2 5h1"/><path class="none" d="M3 5h1"/><path class="fail" d="M4 5h1"/></svg>`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	year := make([]console.Day, 90)
	for i := range year {
		year[i].Verdict = "pass"
	}
	if s := string(console.Strip(year, "")); len(s) > 200 || strings.Count(s, "<path") != 1 {
		t.Errorf("90 equal days take %d bytes", len(s))
	}
}
