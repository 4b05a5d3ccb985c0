package console

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// The motif: a star fort after Vauban, seen from above. It is computed, so
// that the logo and the large plan are one drawing at two scales.

var forts = map[string]template.HTML{
	"mark": template.HTML(markSVG()),
	"plan": template.HTML(planSVG()),
}

type point struct{ x, y float64 }

func (p point) add(q point, k float64) point { return point{p.x + q.x*k, p.y + q.y*k} }

func polar(c point, r, a float64) point { return point{c.x + r*math.Cos(a), c.y + r*math.Sin(a)} }

// trace is one fort: n bastions on a polygon of radius r around c.
type trace struct {
	c       point
	n       int
	r       float64 // corners of the curtain wall
	salient float64 // tips of the bastions
	gorge   float64 // where a flank leaves the curtain, as a share of the wall
	flank   float64 // length of a flank
}

func (t trace) corner(k int) point { return polar(t.c, t.r, t.angle(k)) }
func (t trace) angle(k int) float64 {
	return -math.Pi/2 + 2*math.Pi*float64(k)/float64(t.n)
}

// edge gives the wall from corner k to the next: direction and outward normal, of length 1.
func (t trace) edge(k int) (from, dir, out point, length float64) {
	from = t.corner(k)
	to := t.corner(k + 1)
	length = math.Hypot(to.x-from.x, to.y-from.y)
	dir = point{(to.x - from.x) / length, (to.y - from.y) / length}
	return from, dir, point{dir.y, -dir.x}, length
}

// outline is the magistral line: curtain, flank, shoulder, tip, shoulder, flank.
func (t trace) outline() []point {
	var out []point
	for k := range t.n {
		from, dir, normal, length := t.edge((k + t.n - 1) % t.n)
		gorge := from.add(dir, length*(1-t.gorge))
		shoulder := gorge.add(normal, t.flank).add(dir, t.flank*0.12)
		out = append(out, gorge, shoulder, polar(t.c, t.salient, t.angle(k)))
		from, dir, normal, length = t.edge(k)
		gorge = from.add(dir, length*t.gorge)
		out = append(out, gorge.add(normal, t.flank).add(dir, -t.flank*0.12), gorge)
	}
	return out
}

// ravelins are the arrowheads before the middle of each wall.
func (t trace) ravelins(gap, half, height float64) [][]point {
	var out [][]point
	for k := range t.n {
		from, dir, normal, length := t.edge(k)
		mid := from.add(dir, length/2).add(normal, gap)
		out = append(out, []point{mid.add(dir, -half), mid.add(normal, height), mid.add(dir, half), mid.add(normal, height*0.22)})
	}
	return out
}

// star is the covered way: a line of 2n points around everything.
func (t trace) star(tips, notches float64) []point {
	var out []point
	for k := range t.n {
		a := t.angle(k)
		step := math.Pi / float64(t.n)
		out = append(out, polar(t.c, tips, a), polar(t.c, notches, a+step*0.52),
			polar(t.c, tips*0.985, a+step), polar(t.c, notches, a+step*1.48))
	}
	return out
}

func (t trace) polygon(r float64) []point {
	var out []point
	for k := range t.n {
		out = append(out, polar(t.c, r, t.angle(k)))
	}
	return out
}

func pathOf(shapes ...[]point) string {
	var b strings.Builder
	for _, s := range shapes {
		for i, p := range s {
			op := "L"
			if i == 0 {
				op = "M"
			}
			fmt.Fprintf(&b, "%s%.2f %.2f", op, p.x, p.y)
		}
		b.WriteString("Z")
	}
	return b.String()
}

// markSVG is the logo: the filled outline around an open courtyard.
func markSVG() string {
	return `<svg class="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false"><path fill="currentColor" fill-rule="evenodd" d="` + markPath() + `"/></svg>`
}

func markPath() string {
	t := trace{c: point{16, 16.6}, n: 5, r: 10.4, salient: 15.6, gorge: 0.25, flank: 2.6}
	return pathOf(t.outline(), t.polygon(4.9))
}

// faviconSVG is the logo as a file of its own, in the accent of either theme.
func faviconSVG() string {
	return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><style>path{fill:#2f52c4}@media(prefers-color-scheme:dark){path{fill:#a3b7f9}}</style>` +
		`<path fill-rule="evenodd" d="` + markPath() + `"/></svg>`
}

// planFileSVG is the drawing as a file of its own, for styles that use it as a
// mask: pages that show it so do not carry it.
func planFileSVG() string {
	return strings.NewReplacer(`<svg class="plan"`, `<svg xmlns="http://www.w3.org/2000/svg"`, "currentColor", "#000").Replace(planSVG())
}

// planSVG is the line drawing: keep, rampart, ditch, ravelins, covered way, glacis.
func planSVG() string {
	t := trace{c: point{300, 300}, n: 5, r: 128, salient: 190, gorge: 0.25, flank: 31}
	inner := trace{c: t.c, n: 5, r: 114, salient: 170, gorge: 0.26, flank: 28}
	var b strings.Builder
	b.WriteString(`<svg class="plan" viewBox="0 0 600 600" aria-hidden="true" focusable="false"><g fill="none" stroke="currentColor" stroke-linejoin="round">`)
	line := func(width, opacity float64, shapes ...[]point) {
		fmt.Fprintf(&b, `<path vector-effect="non-scaling-stroke" stroke-width="%g" opacity="%g" d="%s"/>`, width, opacity, pathOf(shapes...))
	}
	line(1.6, 1, t.outline())
	line(1, .75, inner.outline())
	line(1, .75, t.polygon(62))
	line(1, .5, t.polygon(54))
	line(1.2, .9, t.ravelins(44, 42, 62)...)
	line(1.2, .7, t.star(232, 216))
	line(1, .5, t.star(242, 225))
	line(.8, .35, t.star(266, 246))
	// Hachures of the glacis, radiating as on an engraved map.
	b.WriteString(`<path vector-effect="non-scaling-stroke" stroke-width=".8" opacity=".3" d="`)
	for i := range 180 {
		a := 2 * math.Pi * float64(i) / 180
		p, q := polar(t.c, 270, a), polar(t.c, 284+6*math.Sin(float64(i)*2.4), a)
		fmt.Fprintf(&b, "M%.1f %.1fL%.1f %.1f", p.x, p.y, q.x, q.y)
	}
	b.WriteString(`"/>`)
	// The streets of the town, from the keep to the gates.
	b.WriteString(`<path vector-effect="non-scaling-stroke" stroke-width="1" opacity=".45" d="`)
	for k := range t.n {
		from, dir, _, length := t.edge(k)
		gate := from.add(dir, length/2)
		start := polar(t.c, 50, t.angle(k)+math.Pi/float64(t.n))
		fmt.Fprintf(&b, "M%.1f %.1fL%.1f %.1f", start.x, start.y, gate.x, gate.y)
	}
	b.WriteString(`"/></g></svg>`)
	return b.String()
}
