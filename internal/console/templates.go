package console

import (
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/rempart/rempart/internal/capability"
)

type navigation = capability.Navigation

// Templates are the pages of one capability, parsed once, by the name of
// their file without ".html".
type Templates struct{ pages map[string]*Template }

// Template is one page with the layouts and components it may call.
type Template struct {
	Name string
	tmpl *template.Template
}

// parts are the layouts and components. They are parsed once and cloned for
// each page: every capability has pages, and a start waits for all of them.
var parts = sync.OnceValues(func() (*template.Template, error) {
	return template.New("parts").Funcs(funcs).Option("missingkey=zero").ParseFS(files, "parts/*.html")
})

// Parse reads the files that match the patterns. Each defines the block
// "content".
func Parse(fsys fs.FS, patterns ...string) (*Templates, error) {
	base, err := parts()
	if err != nil {
		return nil, fmt.Errorf("console: parts: %w", err)
	}
	out := &Templates{pages: map[string]*Template{}}
	for _, pattern := range patterns {
		names, err := fs.Glob(fsys, pattern)
		if err != nil || len(names) == 0 {
			return nil, fmt.Errorf("console: no page matches %q: %v", pattern, err)
		}
		for _, file := range names {
			t, err := base.Clone()
			if err != nil {
				return nil, fmt.Errorf("console: %w", err)
			}
			if t, err = t.ParseFS(fsys, file); err != nil {
				return nil, fmt.Errorf("console: page %s: %w", file, err)
			}
			name := strings.TrimSuffix(path.Base(file), ".html")
			if t.Lookup("content") == nil {
				return nil, fmt.Errorf("console: page %s does not define the block \"content\"", file)
			}
			if out.pages[name] != nil {
				return nil, fmt.Errorf("console: page %s is there twice", name)
			}
			out.pages[name] = &Template{Name: name, tmpl: t}
		}
	}
	return out, nil
}

// MustParse is Parse for embedded pages; a mistake in them shows at start.
func MustParse(fsys fs.FS, patterns ...string) *Templates {
	t, err := Parse(fsys, patterns...)
	if err != nil {
		panic(err)
	}
	return t
}

// Get is the page of the name. It panics when there is none: names are
// literals.
func (t *Templates) Get(name string) *Template {
	p := t.pages[name]
	if p == nil {
		panic("console: no page " + name)
	}
	return p
}

var own = MustParse(files, "pages/*.html")

// funcs are what pages may call beside the methods of Frame.
var funcs = template.FuncMap{
	"args":    pairs,
	"list":    func(v ...any) []any { return v },
	"icon":    icon,
	"fort":    fort,
	"asset":   assetPath,
	"isoTime": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"add":     func(a, b int) int { return a + b },
	"join":    strings.Join,
	"mul4":    func(n int) int { return n * 4 },
}

// pairs makes the arguments of a component from names and values.
func pairs(kv ...any) (map[string]any, error) {
	if len(kv)%2 != 0 {
		return nil, fmt.Errorf("args: a name without value")
	}
	out := make(map[string]any, len(kv)/2)
	for i := 0; i < len(kv); i += 2 {
		name, ok := kv[i].(string)
		if !ok {
			return nil, fmt.Errorf("args: name %v is not text", kv[i])
		}
		out[name] = kv[i+1]
	}
	return out, nil
}
