package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/rempart/rempart/verify"
)

type verifyCommand struct {
	File      string   `arg:"" help:"The file; - is standard input."`
	Key       []string `help:"A verifier key (or a file that holds some, a line each) that you have from elsewhere than the file." placeholder:"KEY"`
	Witnesses int      `help:"How many witnesses must have cosigned."`
	JSON      bool     `help:"Answer as JSON."`
}

// Run verifies and exits 1 when anything is missing, altered or unsigned.
func (c *verifyCommand) Run(s streams) error {
	in := s.in
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return fmt.Errorf("the file can't be read: %w", err)
		}
		defer f.Close()
		in = f
	}
	keys, err := verifierKeys(c.Key)
	if err != nil {
		return err
	}
	rep, err := verify.File(in, verify.Options{VerifierKeys: keys, MinWitnesses: c.Witnesses})
	if err != nil {
		return fmt.Errorf("the file can't be verified: %w", err)
	}
	if c.JSON {
		enc := json.NewEncoder(s.out)
		enc.SetIndent("", "  ")
		err = enc.Encode(rep)
	} else {
		err = rep.Write(s.out)
	}
	if err != nil {
		return err
	}
	if !rep.OK {
		return exit(1)
	}
	return nil
}

// verifierKeys reads keys given as such or as files of keys.
func verifierKeys(args []string) (keys []string, err error) {
	for _, a := range args {
		if strings.Contains(a, "+") && !strings.ContainsAny(a, "\n") {
			if _, err := os.Stat(a); err != nil {
				keys = append(keys, a)
				continue
			}
		}
		b, err := os.ReadFile(a)
		if err != nil {
			return nil, fmt.Errorf("%s is neither a verifier key nor a file of keys", a)
		}
		for _, line := range strings.Split(string(b), "\n") {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				keys = append(keys, line)
			}
		}
	}
	return keys, nil
}

type versionCommand struct {
	JSON bool `help:"Answer as JSON."`
}

// Run prints build facts.
func (c *versionCommand) Run(s streams) error {
	facts := struct {
		Version  string `json:"version"`
		Go       string `json:"go"`
		Platform string `json:"platform"`
		Revision string `json:"revision,omitempty"`
		Modified bool   `json:"modified,omitempty"`
	}{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if bi, ok := debug.ReadBuildInfo(); ok {
		for _, kv := range bi.Settings {
			switch kv.Key {
			case "vcs.revision":
				facts.Revision = kv.Value
			case "vcs.modified":
				facts.Modified = kv.Value == "true"
			}
		}
	}
	if c.JSON {
		return json.NewEncoder(s.out).Encode(facts)
	}
	_, err := fmt.Fprintf(s.out, "rempart %s (%s, %s)\n", facts.Version, facts.Go, facts.Platform)
	return err
}
