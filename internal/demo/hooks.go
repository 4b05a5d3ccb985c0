package demo

import (
	"crypto/rand"
	"crypto/subtle"
	"embed"
	"encoding/base64"
	"io/fs"
	"net/http"
	"slices"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/directory"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/mail"
	"github.com/rempart/rempart/internal/web"
)

const (
	probePath  = "/demo/probe"
	rotatePath = "/demo/rotate-signing-key"
	mailBase   = "/demo/mail/"
)

// hooks are what scripts may do to a demo, and to nothing else.
type hooks struct {
	d      *demo
	secret string // of this start
}

func newHooks(d *demo) hooks {
	var b [32]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // crypto/rand never fails on supported systems
	}
	return hooks{d, base64.RawURLEncoding.EncodeToString(b[:])}
}

func (h hooks) mailPath() string { return mailBase + h.secret }

func (h hooks) known(secret string) bool {
	return subtle.ConstantTimeCompare([]byte(secret), []byte(h.secret)) == 1
}

func (h hooks) manifest() capability.Manifest {
	return capability.Manifest{Name: "demo", Messages: messages(), Routes: []capability.Route{
		web.Protocol("GET "+mailBase+"{secret}", capability.Token, h.list, web.Summary("The mail that the demo would have sent, newest first.")),
		web.Page("GET "+mailBase+"{secret}/view", capability.Public, h.view, web.Summary("The same for people.")),
		web.Protocol("GET "+probePath, capability.Token, h.probe, web.Summary("Who is signed in, for scripts.")),
		web.Protocol("POST "+rotatePath, capability.Token, h.rotate, web.Summary("Put the next signing key in force."), web.NoEntry("the rotation leaves its own entry")),
	}}
}

// list answers the letters as JSON.
func (h hooks) list(w http.ResponseWriter, r *http.Request) error {
	if !h.known(r.PathValue("secret")) {
		return fault.ErrNotFound
	}
	letters, err := h.d.mail.List()
	if err != nil {
		return err
	}
	type item struct {
		ID      string   `json:"id"`
		To      []string `json:"to"`
		Subject string   `json:"subject"`
		Text    string   `json:"text"`
		Links   []string `json:"links"`
		Codes   []string `json:"codes"`
		SentAt  string   `json:"sent_at"`
	}
	items := []item{}
	for _, l := range letters {
		items = append(items, item{l.ID, l.To, l.Subject, l.Text, nonNil(l.Links), nonNil(l.Codes), l.SentAt.UTC().Format("2006-01-02T15:04:05.000000Z")})
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"items": items})
}

func nonNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// probe tells whose browser session it is.
func (h hooks) probe(w http.ResponseWriter, r *http.Request) error {
	who, err := web.Identify(r)
	if err != nil || who.Kind != caller.User {
		return web.WriteJSON(w, http.StatusUnauthorized, map[string]any{"error": "nobody is signed in"})
	}
	u, err := h.d.app.Directory.FindUser(r.Context(), who.User)
	if err != nil {
		return err
	}
	list, err := h.d.app.Directory.Belongings(r.Context(), who.User)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(b directory.Belonging) bool { return b.Membership.State != directory.Active })
	var org any
	if len(list) == 1 {
		org = map[string]string{"id": list[0].Org.ID.String(), "slug": list[0].Org.Slug}
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{
		"user": map[string]string{"id": u.ID.String(), "email": u.Email()}, "organization": org, "amr": who.AMR(),
	})
}

// rotate puts the next signing key in force.
func (h hooks) rotate(w http.ResponseWriter, r *http.Request) error {
	if !h.known(bearer(r)) {
		return fault.New(fault.Unknown, "web.error.unauthenticated", nil)
	}
	if err := h.d.app.Provider.RotateSigningKey(r.Context(), caller.ForSystem("demo.rotate")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func bearer(r *http.Request) string {
	const scheme = "Bearer "
	if h := r.Header.Get("Authorization"); len(h) > len(scheme) && h[:len(scheme)] == scheme {
		return h[len(scheme):]
	}
	return ""
}

// view is the letters for people.
func (h hooks) view(w http.ResponseWriter, r *http.Request) error {
	if !h.known(r.PathValue("secret")) {
		return fault.ErrNotFound
	}
	letters, err := h.d.mail.List()
	if err != nil {
		return err
	}
	c := h.d.app.Console
	return c.Render(w, r, http.StatusOK, views.Get("mail"), mailView{Frame: c.Frame(r, "demo.mail.title", console.Public("mail"), console.Lead("demo.mail.lead")), Letters: letters})
}

type mailView struct {
	console.Frame
	Letters []mail.Kept
}

//go:embed pages/*.html
var pages embed.FS

//go:embed messages/*.json
var texts embed.FS

var views = console.MustParse(pages, "pages/*.html")

func messages() fs.FS {
	dir, err := fs.Sub(texts, "messages")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return dir
}
