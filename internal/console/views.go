package console

import "html/template"

// Tab is an entry of the component "tabs".
type Tab struct {
	Label, Path string
	Current     bool
	Count       string
}

// Step is an entry of the component "steps"; State is done, now or next.
type Step struct{ Label, State string }

// Pair is a name with its value, for the components "kv" and "confirm".
type Pair struct {
	Name  string
	Value any // text, or template.HTML that the program made itself
	Mono  bool
}

// Bar is one bar of the component "spark"; Bars makes them.
type Bar struct {
	X, Y, H float64
	Kind    string // "", ok, bad, warn or mute
	Title   string
}

// Day is one cell of the component "history".
type Day struct {
	Verdict string // pass, fail, stale, … or "none"
	Title   string
}

// Bars scales values to bars of at most 24 high. titles and kinds may be
// shorter than values.
func Bars(values []float64, titles, kinds []string) []Bar {
	top := 0.0
	for _, v := range values {
		top = max(top, v)
	}
	out := make([]Bar, len(values))
	for i, v := range values {
		h := 1.5
		if top > 0 && v > 0 {
			h = max(1.5, 24*v/top)
		}
		out[i] = Bar{X: float64(i * 4), Y: 24 - h, H: h}
		if i < len(titles) {
			out[i].Title = titles[i]
		}
		if i < len(kinds) {
			out[i].Kind = kinds[i]
		}
	}
	return out
}

// Icon is an icon for a Pair's value or a view's field; it panics on a name
// that is not in the set.
func Icon(name string) template.HTML {
	s, err := icon(name)
	if err != nil {
		panic(err)
	}
	return s
}
