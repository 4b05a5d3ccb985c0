package console

import (
	"net/http"
	"slices"
	"strings"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/web"
)

func (c *Console) routes() []web.Route {
	return []web.Route{
		web.Page("GET /{$}", capability.Public, c.landing),
		web.Protocol("GET /assets/{name}", capability.Public, serveAsset, web.Cache("public, max-age=31536000, immutable")),
		web.Page("POST /prefs", capability.Public, c.changePrefs,
			web.NoEntry("sets a cookie of the reader's own browser; the server keeps nothing"), web.MaxBody(16<<10)),
		web.Page("GET /console/palette", capability.Self, c.palette),
		web.Page("GET /docs/api", capability.Public, c.apiReference),
		web.Protocol("GET /docs/openapi.json", capability.Public, c.openAPI, web.CORS(), web.Cache("public, max-age=300")),
	}
}

func (c *Console) landing(w http.ResponseWriter, r *http.Request) error {
	f := c.Frame(r, "console.landing.heading", Public("landing"))
	f.Layout = "bare"
	return c.Render(w, r, http.StatusOK, own.Get("landing"), f)
}

// changePrefs keeps the reader's language or theme and leads back.
func (c *Console) changePrefs(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	p := web.ReadPrefs(r)
	if l := form.Get("lang"); slices.Contains(i18n.Languages, l) {
		p.Lang = l
	}
	switch form.Get("theme") {
	case "light", "dark":
		p.Theme = form.Get("theme")
	case "auto":
		p.Theme = ""
	}
	web.WritePrefs(w, p)
	web.Redirect(w, r, form.Get("return"))
	return nil
}

type paletteView struct {
	Frame
	Query, Org string
	Groups     []group
}

type group struct {
	Label string
	Links []Link
}

// palette finds pages by name, and what the capabilities offer through Find.
func (c *Console) palette(w http.ResponseWriter, r *http.Request) error {
	q := strings.TrimSpace(r.URL.Query().Get("q"))
	if len(q) > 100 {
		q = q[:100]
	}
	v := paletteView{Frame: c.Frame(r, "console.palette.title", Account("palette")), Query: q, Org: r.URL.Query().Get("org")}
	if v.Shell != nil {
		v.Groups = c.pagesFor(v.Frame, v.Org, q)
	}
	if c.Find != nil && q != "" && v.Who.Kind != caller.Visitor {
		if found := c.Find(r.Context(), v.Who, q); len(found) > 0 {
			v.Groups = append(v.Groups, group{v.T("console.palette.found"), found})
		}
	}
	return c.Render(w, r, http.StatusOK, own.Get("palette"), v)
}

// pagesFor are the pages of all areas whose label contains q, for the
// organization of the slug (one of the caller's).
func (c *Console) pagesFor(f Frame, slug, q string) []group {
	q = strings.ToLower(q)
	var out []group
	add := func(label string, l Link) {
		if !strings.Contains(strings.ToLower(l.Label+" "+label), q) {
			return
		}
		i := slices.IndexFunc(out, func(g group) bool { return g.Label == label })
		if i < 0 {
			out, i = append(out, group{Label: label}), len(out)
		}
		out[i].Links = append(out[i].Links, l)
	}
	for _, o := range f.Shell.Orgs {
		if o.Slug != slug && !(slug == "" && len(f.Shell.Orgs) == 1) {
			continue
		}
		for _, n := range c.Navigation {
			if n.Area == "organization" && (f.Shell.Allowed == nil || f.Shell.Org == nil || f.Shell.Org.Slug != o.Slug || f.Shell.Allowed(n.Permission)) {
				add(o.Name, Link{Label: f.T(n.Label), Path: "/console/o/" + o.Slug + n.Path, Icon: n.Icon, Hint: f.T(n.Section)})
			}
		}
	}
	for _, n := range c.Navigation {
		switch {
		case n.Area == "account":
			add(f.T("console.area.account"), Link{Label: f.T(n.Label), Path: "/account" + n.Path, Icon: n.Icon})
		case n.Area == "staff" && f.Shell.Staff:
			add(f.T("console.area.staff"), Link{Label: f.T(n.Label), Path: "/console/staff" + n.Path, Icon: n.Icon})
		}
	}
	for _, o := range f.Shell.Orgs {
		if o.Slug != slug {
			add(f.T("console.palette.organizations"), Link{Label: o.Name, Path: "/console/o/" + o.Slug, Icon: "building-2"})
		}
	}
	return out
}
