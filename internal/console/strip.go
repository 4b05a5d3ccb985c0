package console

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
)

// stripVerdicts are the classes that the styles colour.
var stripVerdicts = []string{"none", "pass", "fail", "mixed", "stale", "lapsed", "unknown"}

// Strip draws the days as the component "history" does, oldest first, in a
// picture of a few hundred bytes: neighbours of one verdict are one line, which
// the styles cut into days. For pages that show many.
func Strip(days []Day, label string) template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="strip" viewBox="0 0 %d 10" preserveAspectRatio="none" role="img" aria-label="%s">`, len(days), template.HTMLEscapeString(label))
	for i := 0; i < len(days); {
		n := i + 1
		for n < len(days) && days[n].Verdict == days[i].Verdict {
			n++
		}
		class := days[i].Verdict
		if !slices.Contains(stripVerdicts, class) {
			class = "none"
		}
		fmt.Fprintf(&b, `<path class="%s" d="M%d 5h%d"/>`, class, i, n-i)
		i = n
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}
