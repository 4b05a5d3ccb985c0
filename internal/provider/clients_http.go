package provider

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/provider/jwt"
	"github.com/rempart/rempart/internal/web"
)

type clientPath struct {
	Client id.Client `path:"client"`
}

type listInput struct {
	Limit int    `query:"limit" minimum:"1" maximum:"200" doc:"Items a page; 50 when not given."`
	After string `query:"cursor" maxLength:"1024" doc:"Where to read on: next_cursor of the page before."`
}

func (s *Service) apiList(ctx context.Context, who caller.Caller, in *listInput) (*web.List[*Client], error) {
	all, err := s.Clients(ctx)
	if err != nil {
		return nil, err
	}
	pos, err := s.Cursors.Decode(who.ID(), "provider.clients", in.After)
	if err != nil {
		return nil, err
	}
	page := web.PageQuery{Limit: in.Limit}
	out := []*Client{}
	next := ""
	for _, c := range all {
		if c.ID.String() <= string(pos) {
			continue
		}
		if len(out) == page.Size() {
			next = s.Cursors.Encode(who.ID(), "provider.clients", []byte(out[len(out)-1].ID.String()))
			break
		}
		out = append(out, c)
	}
	return web.NewList(out, next), nil
}

type addInput struct{ ClientInput }

// clientSecretOutput is a client with the secret that was just made.
type clientSecretOutput struct {
	Client
	Secret string `json:"client_secret,omitempty" doc:"Told this once; only its hash is kept."`
}

// ETag and Location are the client's.
func (o *clientSecretOutput) ETag() string     { return o.Client.ETag() }
func (o *clientSecretOutput) Location() string { return o.Client.Location() }

func (s *Service) apiAdd(ctx context.Context, who caller.Caller, in *addInput) (*clientSecretOutput, error) {
	c, secret, err := s.AddClient(ctx, who, in.ClientInput)
	if err != nil {
		return nil, err
	}
	return &clientSecretOutput{*c, secret}, nil
}

func (s *Service) apiFind(ctx context.Context, _ caller.Caller, in *clientPath) (*Client, error) {
	return s.Client(ctx, in.Client)
}

type changeInput struct {
	clientPath
	Match                  string    `header:"If-Match" maxLength:"64"`
	Name                   *string   `json:"name,omitempty" minLength:"1" maxLength:"80"`
	FirstParty             *bool     `json:"first_party,omitempty"`
	RedirectURIs           *[]string `json:"redirect_uris,omitempty" maxItems:"40"`
	PostLogoutRedirectURIs *[]string `json:"post_logout_redirect_uris,omitempty" maxItems:"40"`
	GrantTypes             *[]string `json:"grant_types,omitempty" maxItems:"3"`
	Scopes                 *[]string `json:"scopes,omitempty" maxItems:"60"`
	Audience               *string   `json:"audience,omitempty" maxLength:"512"`
	Resource               *string   `json:"resource,omitempty" maxLength:"512"`
	SigningAlg             *string   `json:"signing_alg,omitempty" enum:"ES256,RS256"`
}

// input is what may be said of the client, as it is.
func (c *Client) input() ClientInput {
	return ClientInput{Name: c.Name, Type: c.Type, Org: c.Org, FirstParty: c.FirstParty, RedirectURIs: c.RedirectURIs, PostLogoutRedirectURIs: c.PostLogoutRedirectURIs,
		GrantTypes: append([]string(nil), c.GrantTypes...), Scopes: c.Scopes, Audience: c.Audience, Resource: c.Resource, SigningAlg: c.SigningAlg}
}

func put[T any](dst *T, v *T) {
	if v != nil {
		*dst = *v
	}
}

func (s *Service) apiChange(ctx context.Context, who caller.Caller, in *changeInput) (*Client, error) {
	c, err := s.Client(ctx, in.Client)
	if err != nil {
		return nil, err
	}
	next := c.input()
	put(&next.Name, in.Name)
	put(&next.FirstParty, in.FirstParty)
	put(&next.RedirectURIs, in.RedirectURIs)
	put(&next.PostLogoutRedirectURIs, in.PostLogoutRedirectURIs)
	put(&next.GrantTypes, in.GrantTypes)
	put(&next.Scopes, in.Scopes)
	put(&next.Audience, in.Audience)
	put(&next.Resource, in.Resource)
	put(&next.SigningAlg, in.SigningAlg)
	match := in.Match
	if match == "" || match == "*" {
		match = c.ETag() // the merge was made with what was just read
	}
	return s.ChangeClient(ctx, who, in.Client, match, next)
}

type nothing struct{}

func (s *Service) apiRemove(ctx context.Context, who caller.Caller, in *clientPath) (*nothing, error) {
	return nil, s.RemoveClient(ctx, who, in.Client)
}

type rotateInput struct {
	clientPath
	Overlap *int64 `json:"overlap_seconds,omitempty" minimum:"0" maximum:"2592000" doc:"For how long the secrets before it still work; a day when not given."`
}

func (s *Service) apiRotate(ctx context.Context, who caller.Caller, in *rotateInput) (*clientSecretOutput, error) {
	overlap := secretOverlap
	if in.Overlap != nil {
		overlap = time.Duration(*in.Overlap) * time.Second
	}
	c, secret, err := s.RotateClientSecret(ctx, who, in.Client, overlap)
	if err != nil {
		return nil, err
	}
	return &clientSecretOutput{*c, secret}, nil
}

func (s *Service) apiDisable(ctx context.Context, who caller.Caller, in *clientPath) (*Client, error) {
	return s.DisableClient(ctx, who, in.Client)
}

func (s *Service) apiEnable(ctx context.Context, who caller.Caller, in *clientPath) (*Client, error) {
	return s.EnableClient(ctx, who, in.Client)
}

type noInput struct{}

func (s *Service) apiApplications(ctx context.Context, who caller.Caller, _ *noInput) (*web.List[Application], error) {
	all, err := s.Applications(ctx, who)
	if err != nil {
		return nil, err
	}
	return web.NewList(all, ""), nil
}

func (s *Service) apiForget(ctx context.Context, who caller.Caller, in *clientPath) (*nothing, error) {
	return nil, s.RemoveApplication(ctx, who, in.Client)
}

// The pages of staff.

const pathClients = "/console/staff/clients"

type clientsView struct {
	console.Frame
	Clients []*Client
	Query   string
}

func (s *Service) clientsPage(w http.ResponseWriter, r *http.Request) error {
	all, err := s.Clients(r.Context())
	if err != nil {
		return err
	}
	v := clientsView{Frame: s.Console.Frame(r, "provider.clients.title", console.Staff("clients"), console.Lead("provider.clients.lead")), Query: r.URL.Query().Get("q")}
	for _, c := range all {
		if v.Query == "" || strings.Contains(strings.ToLower(c.Name+" "+c.ID.String()), strings.ToLower(v.Query)) {
			v.Clients = append(v.Clients, c)
		}
	}
	return s.Console.Render(w, r, http.StatusOK, views.Get("clients"), v)
}

type clientView struct {
	console.Frame
	Client *Client // nil: a new one
	In     ClientInput
	Secret string // just made
	Types  []console.Choice
	Algs   []console.Choice
}

// Lines is a list as the form has it: one a line.
func (v clientView) Lines(list []string) string { return strings.Join(list, "\n") }

// Words is a list as the form has it: in one line.
func (v clientView) Words(list []string) string { return strings.Join(list, " ") }

func (s *Service) clientForm(w http.ResponseWriter, r *http.Request, status int, c *Client, in ClientInput, secret string, opts ...console.Option) error {
	title := "provider.client.new"
	opts = append([]console.Option{console.Staff("client"), console.Under("provider.clients.title", pathClients)}, opts...)
	if c != nil {
		title = ""
		opts = append(opts, console.Titled(c.Name))
	}
	v := clientView{Frame: s.Console.Frame(r, title, opts...), Client: c, In: in, Secret: secret}
	names := map[ClientType]string{ClientWeb: v.T("provider.type.web"), ClientSPA: v.T("provider.type.spa"), ClientNative: v.T("provider.type.native"), ClientService: v.T("provider.type.service")}
	for _, t := range clientTypes {
		v.Types = append(v.Types, console.Choice{Value: string(t), Label: names[t], Selected: t == in.Type})
	}
	for _, alg := range []string{jwt.ES256, jwt.RS256} {
		v.Algs = append(v.Algs, console.Choice{Value: alg, Label: alg, Selected: alg == in.SigningAlg})
	}
	return s.Console.Render(w, r, status, views.Get("client"), v)
}

func (s *Service) clientNewPage(w http.ResponseWriter, r *http.Request) error {
	return s.clientForm(w, r, http.StatusOK, nil, ClientInput{Type: ClientWeb, SigningAlg: jwt.ES256, Scopes: []string{scopeOpenID, scopeProfile, scopeEmail}}, "")
}

func readClientForm(form url.Values) ClientInput {
	in := ClientInput{
		Name: form.Get("name"), Type: ClientType(form.Get("type")), FirstParty: form.Has("first_party"), Scopes: strings.Fields(form.Get("scopes")),
		RedirectURIs: strings.Fields(form.Get("redirect_uris")), PostLogoutRedirectURIs: strings.Fields(form.Get("post_logout_redirect_uris")),
		GrantTypes: form["grant_types"], Audience: form.Get("audience"), Resource: form.Get("resource"), SigningAlg: form.Get("signing_alg"),
	}
	if in.Scopes == nil {
		in.Scopes = []string{}
	}
	return in
}

func (s *Service) clientAdd(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	in := readClientForm(form)
	c, secret, err := s.AddClient(r.Context(), web.Who(r), in)
	if fault.KindOf(err) == fault.Invalid {
		return s.clientForm(w, r, http.StatusUnprocessableEntity, nil, in, "", console.Failed(err))
	}
	if err != nil {
		return err
	}
	return s.clientForm(w, r, http.StatusOK, c, c.input(), secret, console.Done("provider.client.added.done"))
}

func (s *Service) pathClient(r *http.Request) (*Client, error) {
	client, err := id.ParseClient(r.PathValue("client"))
	if err != nil {
		return nil, fault.ErrNotFound
	}
	return s.Client(r.Context(), client)
}

func (s *Service) clientPage(w http.ResponseWriter, r *http.Request) error {
	c, err := s.pathClient(r)
	if err != nil {
		return err
	}
	return s.clientForm(w, r, http.StatusOK, c, c.input(), "")
}

func (s *Service) clientChange(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	c, err := s.pathClient(r)
	if err != nil {
		return err
	}
	in := readClientForm(form)
	in.Type, in.Org = c.Type, c.Org
	_, err = s.ChangeClient(r.Context(), web.Who(r), c.ID, form.Get("etag"), in)
	if k := fault.KindOf(err); k == fault.Invalid || k == fault.Precondition {
		return s.clientForm(w, r, http.StatusUnprocessableEntity, c, in, "", console.Failed(err))
	}
	if err != nil {
		return err
	}
	web.Redirect(w, r, pathClients+"/"+c.ID.String()+"?done=provider.client.changed.done")
	return nil
}

// clientAct is the buttons of the client's page.
func (s *Service) clientAct(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	c, err := s.pathClient(r)
	if err != nil {
		return err
	}
	ctx, who := r.Context(), web.Who(r)
	switch form.Get("act") {
	case "rotate":
		next, secret, err := s.RotateClientSecret(ctx, who, c.ID, secretOverlap)
		if err != nil {
			return err
		}
		return s.clientForm(w, r, http.StatusOK, next, next.input(), secret, console.Done("provider.client.rotated.done"))
	case "disable":
		_, err = s.DisableClient(ctx, who, c.ID)
	case "enable":
		_, err = s.EnableClient(ctx, who, c.ID)
	case "remove":
		if form.Get("typed") != c.Name {
			e := fault.New(fault.Invalid, "provider.client.remove.typed", nil).At("/typed", "provider.client.remove.typed")
			return s.clientForm(w, r, http.StatusUnprocessableEntity, c, c.input(), "", console.Failed(e))
		}
		if err := s.RemoveClient(ctx, who, c.ID); err != nil {
			return err
		}
		web.Redirect(w, r, pathClients+"?done=provider.client.removed.done")
		return nil
	default:
		return fault.New(fault.Invalid, "web.error.invalid", nil)
	}
	if err != nil {
		return err
	}
	web.Redirect(w, r, pathClients+"/"+c.ID.String()+"?done=provider.client.changed.done")
	return nil
}

// The page of a person's applications.

type applicationsView struct {
	console.Frame
	Applications []Application
}

func (s *Service) applicationsPage(w http.ResponseWriter, r *http.Request) error {
	all, err := s.Applications(r.Context(), web.Who(r))
	if err != nil {
		return err
	}
	return s.Console.Render(w, r, http.StatusOK, views.Get("applications"), applicationsView{
		Frame: s.Console.Frame(r, "provider.applications.title", console.Account("applications"), console.Lead("provider.applications.lead")), Applications: all})
}

func (s *Service) applicationsPost(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r)
	if err != nil {
		return err
	}
	client, err := id.ParseClient(form.Get("client"))
	if err != nil {
		return fault.ErrNotFound
	}
	if err := s.RemoveApplication(r.Context(), web.Who(r), client); err != nil {
		return err
	}
	web.Redirect(w, r, "/account/applications?done=provider.applications.removed.done")
	return nil
}
