package console

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/web"
)

// Frame is what every view embeds: language, person, navigation, and the
// methods that pages call.
type Frame struct {
	Lang   string
	Theme  string // "", "light" or "dark"
	Layout string // auth, console, account, public, error
	Page   string // data-page of main
	Title  string
	Lead   string // a sentence under the title
	Status int    // of an error page

	Who      caller.Caller
	Shell    *Shell // nil for visitors
	Sections []Section
	Crumbs   []Crumb
	Path     string // of the request, with its query
	Product  string
	Done     string // what the step before achieved
	Alert    string // what went wrong

	c      *Console
	fields map[string]string // what is wrong with each field
	now    time.Time
}

// Section is a group of the navigation.
type Section struct {
	Label string
	Items []Item
}

// Item is an entry of the navigation.
type Item struct {
	Label, Path, Icon string
	Current           bool
}

// Crumb is a step of the way to the page.
type Crumb struct{ Label, Path string }

// Option changes a frame as it is made.
type Option func(*Frame)

// Auth is the layout of sign-in pages: a narrow card, nothing to distract.
// page is the value of main[data-page].
func Auth(page string) Option { return layout("auth", page) }

// InOrg is the layout of an organization's side of the console.
func InOrg(page string) Option { return layout("console", page) }

// Staff is the layout of the staff side of the console.
func Staff(page string) Option { return layout("staff", page) }

// Account is the layout of a person's own pages.
func Account(page string) Option { return layout("account", page) }

// Public is the layout of pages for everyone: trust, status, documents.
func Public(page string) Option { return layout("public", page) }

func layout(name, page string) Option {
	return func(f *Frame) { f.Layout, f.Page = name, page }
}

// Titled takes a title that is no message, such as a thing's own name.
func Titled(text string) Option { return func(f *Frame) { f.Title = text } }

// Lead sets the sentence under the title; key is a message key.
func Lead(key string, args ...any) Option {
	return func(f *Frame) { f.Lead = f.T(key, args...) }
}

// Under adds a step to the way to the page: a message's key and a path of our own.
func Under(key, path string) Option {
	return func(f *Frame) { f.Crumbs = append(f.Crumbs, Crumb{f.T(key), path}) }
}

// UnderText is Under for a name that is no message.
func UnderText(text, path string) Option {
	return func(f *Frame) { f.Crumbs = append(f.Crumbs, Crumb{text, path}) }
}

// Done says what the step before achieved.
func Done(key string, args ...any) Option {
	return func(f *Frame) { f.Done = f.T(key, args...) }
}

// Failed shows a fault on the page again that was sent: the sentence in an
// alert, and beside each field what is wrong with it. An error that is no
// fault must not come here; return it instead.
func Failed(err error) Option {
	return func(f *Frame) {
		fe := fault.Of(err)
		if fe == nil {
			return
		}
		f.Alert = f.T(web.KeyOf(err), web.ArgsOf(err))
		f.fields = map[string]string{}
		for _, e := range fe.Fields {
			f.fields[strings.TrimPrefix(e.Pointer, "/")] = f.T(e.Code, map[string]any(e.Args))
		}
	}
}

// Frame makes the frame of a page. title is a message key; "" with Titled.
func (c *Console) Frame(r *http.Request, title string, opts ...Option) Frame {
	who := web.Who(r)
	f := c.bare(r, who)
	f.Layout = "public"
	if title != "" {
		f.Title = f.T(title)
	}
	// A redirect after a change says what was done by the key of a message
	// that ends in ".done": nothing else can be made to show.
	if key := r.URL.Query().Get("done"); strings.HasSuffix(key, ".done") && c.Bundle.Has(key) {
		f.Done = f.T(key)
	}
	for _, o := range opts {
		o(&f)
	}
	if who.Kind != caller.Visitor && c.Shell != nil {
		sh, err := c.Shell(r.Context(), who)
		if err != nil {
			// The page can be shown without its surroundings.
			c.Log.WarnContext(r.Context(), "page without shell", "error", err, "request", who.Request.String())
		} else {
			f.Shell = &sh
		}
	}
	f.navigate()
	return f
}

// bare is a frame without person and navigation.
func (c *Console) bare(r *http.Request, who caller.Caller) Frame {
	if who.Lang == "" {
		who.Lang = web.Language(r)
	}
	product := c.Product
	if product == "" {
		product = "Rempart"
	}
	return Frame{Lang: who.Lang, Theme: web.ReadPrefs(r).Theme, Who: who, Path: r.URL.RequestURI(), Product: product, c: c, now: c.Now()}
}

// frame lets Render find the frame in any view that embeds one.
func (f Frame) frame() Frame { return f }

// navigate fills the side bar of the layout's area.
func (f *Frame) navigate() {
	area, root := "", ""
	switch f.Layout {
	case "console":
		if f.Shell == nil || f.Shell.Org == nil {
			return
		}
		area, root = "organization", f.OrgPath("")
	case "staff":
		area, root = "staff", "/console/staff"
	case "account":
		area, root = "account", "/account"
	default:
		return
	}
	items := slices.Clone(f.c.Navigation)
	slices.SortStableFunc(items, func(a, b navigation) int { return cmp.Compare(a.Order, b.Order) })
	path, _, _ := strings.Cut(f.Path, "?")
	best := -1
	var current *Item
	for _, n := range items {
		if n.Area != area || n.Permission != "" && f.Shell != nil && f.Shell.Allowed != nil && !f.Shell.Allowed(n.Permission) {
			continue
		}
		label := f.T(n.Section)
		i := slices.IndexFunc(f.Sections, func(s Section) bool { return s.Label == label })
		if i < 0 {
			f.Sections, i = append(f.Sections, Section{Label: label}), len(f.Sections)
		}
		p := root + strings.TrimSuffix(n.Path, "/")
		f.Sections[i].Items = append(f.Sections[i].Items, Item{Label: f.T(n.Label), Path: p, Icon: n.Icon})
		if (path == p || strings.HasPrefix(path, p+"/")) && len(p) > best {
			best = len(p)
		}
	}
	for i := range f.Sections {
		for j := range f.Sections[i].Items {
			if it := &f.Sections[i].Items[j]; len(it.Path) == best && (path == it.Path || strings.HasPrefix(path, it.Path+"/")) {
				current = it
			}
		}
	}
	if current != nil {
		current.Current = true
	}
}

// T is the text of a message in the reader's language. Pages call it with a
// literal key: {{.T "policy.ip.title" "Name" .Name}}.
func (f Frame) T(key string, args ...any) string { return f.c.Bundle.T(f.Lang, key, args...) }

// OrgPath is a path on the organization's side of the console.
func (f Frame) OrgPath(path string) string {
	if f.Shell == nil || f.Shell.Org == nil {
		return "/console"
	}
	return "/console/o/" + f.Shell.Org.Slug + path
}

// FieldError is what is wrong with the field, "" if nothing.
func (f Frame) FieldError(name string) string { return f.fields[name] }

// May reports whether the caller holds the permission, for leaving out what
// would be refused. The refusal itself is the gate's.
func (f Frame) May(perm string) bool {
	return f.Shell != nil && (f.Shell.Allowed == nil || f.Shell.Allowed(perm))
}

// Date writes the day in the reader's language.
func (f Frame) Date(t time.Time) string { return i18n.Date(f.Lang, t) }

// DateTime writes day and time, in UTC.
func (f Frame) DateTime(t time.Time) string { return i18n.DateTime(f.Lang, t) }

// Ago writes how long ago t was.
func (f Frame) Ago(t time.Time) string { return f.c.Bundle.Ago(f.Lang, t, f.now) }

// Duration writes a length of time.
func (f Frame) Duration(d time.Duration) string { return f.c.Bundle.Duration(f.Lang, d) }

// Number writes an integer with the language's separators.
func (f Frame) Number(n any) string { return f.c.Bundle.Format(f.Lang, n) }

// Bytes writes a size.
func (f Frame) Bytes(n int64) string { return i18n.Bytes(f.Lang, n) }

// Now is the instant of the request.
func (f Frame) Now() time.Time { return f.now }

// Languages are those to switch to, with their own names.
func (f Frame) Languages() []Choice {
	return []Choice{{"en", "English", f.Lang == "en"}, {"fr", "Français", f.Lang == "fr"}, {"nl", "Nederlands", f.Lang == "nl"}}
}

// Choice is an option of a list.
type Choice struct {
	Value, Label string
	Selected     bool
}
