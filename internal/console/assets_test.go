package console_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVendoredFilesAreThoseOfTheManifest(t *testing.T) {
	raw, err := os.ReadFile("assets/vendor/manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		File, Package, Version, License, SHA256 string
		LicenseFile                             string `json:"license_file"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, e := range list {
		if e.Package == "" || e.Version == "" || e.License == "" {
			t.Errorf("%s: package, version or license is missing", e.File)
		}
		if _, err := os.Stat("assets/vendor/" + e.LicenseFile); err != nil {
			t.Errorf("%s: license: %v", e.File, err)
		}
		want[e.File] = e.SHA256
	}
	got := map[string]string{}
	err = filepath.WalkDir("assets/vendor", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "LICENSE") || d.Name() == "manifest.json" {
			return err
		}
		body, err := os.ReadFile(path)
		sum := sha256.Sum256(body)
		got[strings.TrimPrefix(path, "assets/vendor/")] = hex.EncodeToString(sum[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("vendored files (-manifest +disk):\n%s", d)
	}
}

// luminance is the relative luminance of WCAG 2.2.
func luminance(hex string) float64 {
	n, _ := strconv.ParseUint(hex[1:7], 16, 32)
	lin := func(c uint64) float64 {
		v := float64(c&255) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*lin(n>>16) + 0.7152*lin(n>>8) + 0.0722*lin(n)
}

func contrast(a, b string) float64 {
	x, y := luminance(a), luminance(b)
	return (math.Max(x, y) + 0.05) / (math.Min(x, y) + 0.05)
}

func TestColorsReachTheContrastOfWCAG(t *testing.T) {
	raw, err := os.ReadFile("assets/tokens.css")
	if err != nil {
		t.Fatal(err)
	}
	css := string(raw)
	system := strings.Index(css, "@media (prefers-color-scheme: dark)")
	chosen := strings.Index(css, `:root[data-theme="dark"]`)
	token := regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6})\b`)
	themes := map[string]map[string]string{}
	for name, part := range map[string]string{"light": css[:system], "dark by system": css[system:chosen], "dark by choice": css[chosen:]} {
		themes[name] = map[string]string{}
		for _, m := range token.FindAllStringSubmatch(part, -1) {
			themes[name][m[1]] = m[2]
		}
	}
	if d := cmp.Diff(themes["dark by system"], themes["dark by choice"]); d != "" {
		t.Errorf("the two dark themes differ:\n%s", d)
	}
	for name, c := range themes {
		for _, p := range []struct {
			fore, back string
			least      float64
		}{
			{"text", "bg", 7}, {"text", "surface", 7}, {"text", "hover", 7}, {"text", "raised", 7},
			{"muted", "bg", 4.5}, {"muted", "surface", 4.5}, {"muted", "sunk", 4.5}, {"muted", "hover", 4.5}, {"muted", "raised", 4.5},
			{"faint", "bg", 4.5}, {"faint", "surface", 4.5}, {"faint", "sunk", 4.5}, {"faint", "raised", 4.5},
			{"accent-text", "bg", 4.5}, {"accent-text", "surface", 4.5}, {"accent-text", "accent-soft", 4.5}, {"accent-text", "sunk", 4.5},
			{"on-accent", "accent", 4.5}, {"on-accent", "accent-strong", 4.5},
			{"ok", "ok-soft", 4.5}, {"ok", "surface", 4.5}, {"bad", "bad-soft", 4.5}, {"bad", "surface", 4.5}, {"surface", "bad", 4.5},
			{"warn", "warn-soft", 4.5}, {"warn", "surface", 4.5}, {"info", "info-soft", 4.5},
			{"line-strong", "surface", 3}, {"line-strong", "bg", 3},
			{"chart", "surface", 3}, {"chart-ok", "surface", 3}, {"chart-bad", "surface", 3}, {"chart-warn", "surface", 3},
		} {
			if c[p.fore] == "" || c[p.back] == "" {
				t.Errorf("%s: no color %s or %s", name, p.fore, p.back)
				continue
			}
			if got := contrast(c[p.fore], c[p.back]); got < p.least {
				t.Errorf("%s: %s on %s has %.2f, needs %g", name, p.fore, p.back, got, p.least)
			}
		}
	}
}
