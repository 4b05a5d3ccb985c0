package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rempart/rempart/internal/catalogue"
)

type docsCommand struct {
	Into  string `required:"" help:"Folder to write into." placeholder:"DIR"`
	Check bool   `help:"Write nothing; exit 1 when a file there is stale."`
}

// Run writes the catalogues, which are made from the manifests alone.
func (c *docsCommand) Run(s streams) error {
	files, err := catalogue.Files()
	if err != nil {
		return err
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	if !c.Check {
		if err := os.MkdirAll(c.Into, 0o755); err != nil {
			return err
		}
	}
	var stale []string
	for _, name := range names {
		path := filepath.Join(c.Into, name)
		have, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err == nil && string(have) == string(files[name]) {
			continue
		}
		if c.Check {
			stale = append(stale, name)
			continue
		}
		if err := os.WriteFile(path, files[name], 0o644); err != nil {
			return err
		}
		fmt.Fprintln(s.out, path)
	}
	if len(stale) > 0 {
		return fmt.Errorf("stale in %s: %s; run rempart docs --into %s", c.Into, strings.Join(stale, ", "), c.Into)
	}
	return nil
}
