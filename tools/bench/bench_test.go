package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBenchmarkLinesAreRead(t *testing.T) {
	r := results{}
	r.parseBench([]byte("goos: linux\nBenchmarkAppend/c=32-2 \t 8000 \t 145805 ns/op \t 8.8 p99-ms\nBenchmarkAppend/c=32-2 \t 8000 \t 145807 ns/op\t 9.9 p99-ms\nPASS\nBenchmarkBroken\n"))
	want := results{"Append/c=32": {"ns/op": {145805, 145807}, "p99-ms": {8.8, 9.9}}}
	if d := cmp.Diff(want, r); d != "" {
		t.Fatal(d)
	}
}

func TestProcessorTimeIsReadPastAnyName(t *testing.T) {
	got, err := parseStat("42 (a ) b (c) S 1 42 42 0 -1 4194560 1 0 0 0 150 25 0 0 20 0 9 0 1 1 1")
	if err != nil || got != 1750*time.Millisecond {
		t.Fatal(got, err)
	}
	if _, err := parseStat("42 (short) S 1"); err == nil {
		t.Fatal("a line without the fields was read")
	}
}

func TestMemoryIsReadInMiB(t *testing.T) {
	status := "Name:\trempart\nVmRSS:\t   51200 kB\nRssAnon:\t   20480 kB\n"
	if got := [2]float64{statusMiB(status, "VmRSS:"), statusMiB(status, "RssAnon:")}; got != [2]float64{50, 20} {
		t.Fatal(got)
	}
}

func TestTheFirstFormIsFilled(t *testing.T) {
	page := []byte(`<p><form method="post" action="/sign-in?a=1&amp;b=2"><input type="hidden" name="flow" value="x&amp;y"><input name="email" type="email" value=""><input type="checkbox" name="stay"></form>`)
	action, fields, err := fill(page, map[string]string{"email": "a@b.example"})
	if err != nil || action != "/sign-in?a=1&b=2" || fields.Encode() != "email=a%40b.example&flow=x%26y" {
		t.Fatal(action, fields, err)
	}
	if _, _, err := fill([]byte("<p>none"), nil); err == nil {
		t.Fatal("a page without a form was filled")
	}
}

func TestTheMedianRoundCounts(t *testing.T) {
	ours := series{{rate: 10}, {rate: 90}, {rate: 50}}
	anchor := series{{rate: 100}, {rate: 100}, {rate: 200}}
	if got := ratio(ours, anchor); got != 0.25 {
		t.Errorf("the rounds' ratios are 0.1, 0.9 and 0.25, not %v in the middle", got)
	}
	if got := ours.rate(); got != 50 {
		t.Errorf("median rate %v", got)
	}
	if got := ratio(nil, nil); got != 0 {
		t.Errorf("no round has a ratio of %v", got)
	}
}

func TestLimitsAreHeld(t *testing.T) {
	for name, tc := range map[string]struct {
		r    row
		want string
	}{
		"a ratio between floor and goal": {row{floor: atLeast(0.4), goal: atLeast(0.6), value: 0.5}, "yes / **no**"},
		"a time below both":              {row{floor: atMost(300), goal: atMost(80), value: 80}, "yes / yes"},
		"a time above both":              {row{floor: atMost(300), goal: atMost(80), value: 301}, "**no** / **no**"},
		"no floor":                       {row{goal: atMost(2), value: 1}, "– / yes"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.r.met(); got != tc.want {
				t.Fatal(got)
			}
		})
	}
}
