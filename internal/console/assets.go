package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/rempart/rempart/internal/fault"
)

//go:embed assets
var assetFiles embed.FS

// asset is one file as it is served: under a name that holds its hash, so that
// it may be kept for ever, and compressed once.
type asset struct {
	name  string // with the hash
	media string
	body  []byte
	gzip  func() []byte // nil, or nil bytes, when it does not get smaller
}

// bundles are the files that are made of several; the rest is served as it is.
var bundles = map[string][]string{
	"app.css": {"tokens.css", "base.css", "layout.css", "components.css", "trust.css"},
	"app.js":  {"app.js"},
}

var assets, assetNames = buildAssets()

// buildAssets makes the served files and the map from plain to served name.
// The files are embedded, so that a mistake shows at start.
func buildAssets() (served map[string]*asset, names map[string]string) {
	served, names = map[string]*asset{}, map[string]string{}
	add := func(plain string, body []byte) {
		sum := sha256.Sum256(body)
		ext := path.Ext(plain)
		a := &asset{name: strings.TrimSuffix(plain, ext) + "." + hex.EncodeToString(sum[:6]) + ext, media: media[ext], body: body}
		if a.media == "" {
			panic("console: no media type for " + plain)
		}
		if ext != ".woff2" { // which is compressed already
			a.gzip = sync.OnceValue(func() []byte { return compress(body) })
		}
		served[a.name], names[plain] = a, a.name
	}
	read := func(name string) []byte {
		b, err := assetFiles.ReadFile("assets/" + name)
		if err != nil {
			panic(err)
		}
		return b
	}
	add("inter.woff2", read("vendor/inter-latin-wght-normal.woff2"))
	add("htmx.js", read("vendor/htmx.min.js"))
	add("favicon.svg", []byte(faviconSVG()))
	add("plan.svg", []byte(planFileSVG()))
	for _, name := range slices.Sorted(keysOf(bundles)) {
		var body []byte
		for _, part := range bundles[name] {
			body = append(append(body, read(part)...), '\n')
		}
		// Styles name other assets by their plain names.
		for _, plain := range []string{"inter.woff2", "plan.svg"} {
			body = bytes.ReplaceAll(body, []byte(plain), []byte(names[plain]))
		}
		add(name, body)
	}
	return served, names
}

// compress is what is sent to those who accept it: for the first of them, since
// a start should not wait for it. What gains little is nil.
func compress(body []byte) []byte {
	var buf bytes.Buffer
	z, _ := gzip.NewWriterLevel(&buf, gzip.BestCompression) // the level is a valid one
	z.Write(body)
	z.Close()
	if buf.Len() >= len(body)*9/10 {
		return nil
	}
	return buf.Bytes()
}

func keysOf[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

var media = map[string]string{
	".css":   "text/css; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".svg":   "image/svg+xml",
	".woff2": "font/woff2",
}

// assetPath is where the file of the plain name is served.
func assetPath(plain string) (string, error) {
	name, ok := assetNames[plain]
	if !ok {
		return "", fmt.Errorf("console: no asset %s", plain)
	}
	return "/assets/" + name, nil
}

func serveAsset(w http.ResponseWriter, r *http.Request) error {
	a := assets[r.PathValue("name")]
	if a == nil {
		return fault.ErrNotFound
	}
	h := w.Header()
	body := a.body
	if a.gzip != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Get("Accept-Encoding")) {
			if small := a.gzip(); small != nil {
				h.Set("Content-Encoding", "gzip")
				body = small
			}
		}
	}
	h.Set("Content-Type", a.media)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		w.Write(body) // a peer that has gone is nobody to tell
	}
	return nil
}

func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		coding, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.TrimSpace(coding) == "gzip" && strings.ReplaceAll(q, " ", "") != "q=0" {
			return true
		}
	}
	return false
}

// icon draws an icon of the set in assets/vendor/lucide. It stands beside
// text and is not read aloud.
func icon(name string) (template.HTML, error) {
	s, ok := icons[name]
	if !ok {
		return "", fmt.Errorf("console: no icon %s", name)
	}
	return s, nil
}

var icons = readIcons()

func readIcons() map[string]template.HTML {
	out := map[string]template.HTML{}
	dir, err := assetFiles.ReadDir("assets/vendor/lucide")
	if err != nil {
		panic(err)
	}
	for _, e := range dir {
		name, ok := strings.CutSuffix(e.Name(), ".svg")
		if !ok {
			continue
		}
		raw, err := assetFiles.ReadFile("assets/vendor/lucide/" + e.Name())
		if err != nil {
			panic(err)
		}
		_, shapes, ok := strings.Cut(string(raw[bytes.Index(raw, []byte("<svg")):]), ">")
		if !ok {
			panic("console: icon " + name)
		}
		shapes = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(shapes), "</svg>"))
		out[name] = template.HTML(`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">` + strings.Join(strings.Fields(shapes), " ") + `</svg>`)
	}
	return out
}

// fort draws the star fort seen from above: "mark" for the logo, "plan" as the
// large line drawing.
func fort(kind string) (template.HTML, error) {
	s, ok := forts[kind]
	if !ok {
		return "", fmt.Errorf("console: no fort %s", kind)
	}
	return s, nil
}
