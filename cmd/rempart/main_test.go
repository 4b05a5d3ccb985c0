package main

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
)

func call(args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = run(context.Background(), args, streams{strings.NewReader(""), &o, &e})
	return code, o.String(), e.String()
}

func TestExitCodes(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		code int
		out  string // substring of either stream
	}{
		"the version":                         {[]string{"version"}, 0, "rempart dev"},
		"help":                                {[]string{"--help"}, 0, "verify"},
		"no command":                          {nil, 2, "--help"},
		"a command that there is not":         {[]string{"frobnicate"}, 2, "--help"},
		"a flag that there is not":            {[]string{"version", "--loud"}, 2, "--loud"},
		"verifying a file that is not":        {[]string{"verify", "/nonexistent"}, 1, "can't be read"},
		"verifying a proof that is none":      {[]string{"verify", "testdata/not-a-proof.json"}, 1, ""},
		"verifying with a key that is no key": {[]string{"verify", "--key", "nonsense", "-"}, 1, "neither a verifier key nor a file"},
		"a proof that holds":                  {[]string{"verify", "--key", "../../verify/testdata/keys.txt", "../../verify/testdata/entry-opened.file"}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := call(tc.args...)
			if code != tc.code || !strings.Contains(out+errs, tc.out) {
				t.Fatalf("exit %d\n%s\n%s", code, out, errs)
			}
		})
	}
}

// What the getting-started guide tells people to type exists.
func TestCommandsOfTheGuides(t *testing.T) {
	for _, name := range []string{"getting-started.md", "operations.md"} {
		text, err := os.ReadFile("../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile("(?m)(?:^|`)rempart ([a-z]+)").FindAllStringSubmatch(string(text), -1)
		if len(found) < 4 {
			t.Errorf("%s shows %d commands", name, len(found))
		}
		for _, m := range found {
			if code, _, errs := call(m[1], "--help"); code != 0 {
				t.Errorf("%s: rempart %s: %s", name, m[1], errs)
			}
		}
	}
}
