package register

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/register/catalogue"
	"github.com/rempart/rempart/internal/web"
)

// UploadBytes bounds a request that carries an evidence file, base64 or not.
const UploadBytes = MaxFile*4/3 + 256<<10

func (s *Service) routes() []web.Route {
	return []web.Route{
		web.JSON("GET /api/v1/installation/statements", PermissionRead, s.listStatements,
			web.Summary("List the statements of the trust page with where each stands.")),
		web.JSON("GET /api/v1/installation/statements/{statement}", PermissionRead, s.getStatement, web.Summary("Read one statement.")),
		web.JSON("PATCH /api/v1/installation/statements/{statement}", PermissionWrite, s.patchStatement, web.Event(EventChanged),
			web.Summary("Decide whether a statement applies, set it aside, or set its values.")),
		web.JSON("GET /api/v1/installation/trust-profile", PermissionRead, s.getProfile, web.Summary("Read which profile is in use.")),
		web.JSON("PUT /api/v1/installation/trust-profile", PermissionWrite, s.putProfile, web.Event(EventProfile), web.Summary("Use a profile, or none.")),
		web.JSON("GET /api/v1/installation/attestations", PermissionRead, s.listAttested, web.Summary("List the attestations, newest first.")),
		web.JSON("POST /api/v1/installation/attestations", PermissionWrite, s.postAttestation, web.Event(EventAttested), web.Status(http.StatusCreated),
			web.MaxBody(UploadBytes), web.Summary("Put on record what a named person attests, with the evidence file.")),
		web.JSON("GET /api/v1/installation/attestations/{attestation}", PermissionRead, s.getAttestation, web.Summary("Read one attestation.")),
		web.JSON("POST /api/v1/installation/attestations/{attestation}/withdraw", PermissionWrite, s.postWithdraw, web.Event(EventWithdrawn), web.Summary("Withdraw an attestation.")),
	}
}

// Report is a statement with where it stands, for staff.
type Report struct {
	ID            string                 `json:"id"`
	Section       string                 `json:"section"`
	Kind          catalogue.Kind         `json:"kind"`
	Text          string                 `json:"text"`
	Verdict       catalogue.Verdict      `json:"verdict"`
	Class         catalogue.Class        `json:"class,omitempty"`
	StrongestPart catalogue.Class        `json:"strongest_class" doc:"The strongest class of evidence the statement can have."`
	Applies       bool                   `json:"applies"`
	Aside         bool                   `json:"aside"`
	Internal      bool                   `json:"internal" doc:"Checked, but not shown to visitors."`
	Values        map[string][]string    `json:"values"`
	Population    []catalogue.Population `json:"population"`
	Controls      []string               `json:"controls" doc:"Controls of this server that back it."`
	Proposed      []string               `json:"proposed_controls" doc:"Controls that could back it."`
	CheckedAt     *time.Time             `json:"checked_at"`
	Since         *time.Time             `json:"since"`
	Attestation   *Attestation           `json:"attestation,omitempty"`
}

func (s *Service) report(lang string, st Standing) Report {
	r := Report{ID: st.ID, Section: st.Section(), Kind: st.Kind, Text: s.Sentence(lang, st.Statement, st.Values), Verdict: st.Verdict, Class: st.Evidence,
		StrongestPart: st.Class, Applies: st.Applies(), Aside: st.Aside, Internal: st.Internal, Values: map[string][]string{}, Population: st.Population,
		Controls: append([]string{}, st.Bound...), Proposed: append([]string{}, st.Controls...), Attestation: st.Attestation}
	for _, p := range st.Params {
		v, _ := st.Value(p.Name, st.Values)
		r.Values[p.Name] = v
	}
	if !st.Checked.IsZero() {
		r.CheckedAt = &st.Checked
	}
	if !st.Since.IsZero() {
		r.Since = &st.Since
	}
	return r
}

type listStatementsIn struct {
	Verdict string `query:"verdict" enum:"pass,fail,stale,lapsed,not_applicable,planned,unknown" doc:"Only those with the verdict."`
}

func (s *Service) listStatements(ctx context.Context, who caller.Caller, in *listStatementsIn) (*web.List[Report], error) {
	p, err := s.Resolve(ctx)
	if err != nil {
		return nil, err
	}
	var out []Report
	for _, st := range p.Standings {
		if in.Verdict == "" || in.Verdict == string(st.Verdict) {
			out = append(out, s.report(who.Lang, st))
		}
	}
	return web.NewList(out, ""), nil
}

type statementIn struct {
	Statement string `path:"statement" maxLength:"8"`
}

func (s *Service) getStatement(ctx context.Context, who caller.Caller, in *statementIn) (*Report, error) {
	p, err := s.Resolve(ctx)
	if err != nil {
		return nil, err
	}
	st, ok := p.Find(in.Statement)
	if !ok {
		return nil, ErrStatement
	}
	r := s.report(who.Lang, st)
	return &r, nil
}

type patchStatementIn struct {
	Statement string              `path:"statement" maxLength:"8"`
	Applies   *bool               `json:"applies,omitempty" doc:"Whether the statement is made here at all."`
	Aside     *bool               `json:"aside,omitempty" doc:"True withdraws it from the page; the change log says so."`
	Values    map[string][]string `json:"values,omitempty" doc:"Values in force by parameter; an empty list is the default again."`
	Reason    string              `json:"reason,omitempty" maxLength:"500" doc:"Why, for the log."`
}

func (s *Service) patchStatement(ctx context.Context, who caller.Caller, in *patchStatementIn) (*Report, error) {
	c := Change{Applies: in.Applies, Aside: in.Aside, Reason: in.Reason, Values: map[string]*catalogue.Value{}}
	for name, v := range in.Values {
		c.Values[name] = nil
		if len(v) > 0 {
			value := catalogue.Value(v)
			c.Values[name] = &value
		}
	}
	if err := s.ChangeStatement(ctx, who, in.Statement, c); err != nil {
		return nil, err
	}
	return s.getStatement(ctx, who, &statementIn{in.Statement})
}

type profileOut struct {
	Profile  string   `json:"profile" doc:"Name of the profile in use, empty if none."`
	Profiles []string `json:"profiles"`
}

type getProfileIn struct{}

func (s *Service) getProfile(ctx context.Context, _ caller.Caller, _ *getProfileIn) (*profileOut, error) {
	d, err := s.decided(ctx)
	if err != nil {
		return nil, err
	}
	return &profileOut{d.profile, slices.Clone(catalogue.ProfileNames)}, nil
}

type putProfileIn struct {
	Profile string `json:"profile" maxLength:"40"`
}

func (s *Service) putProfile(ctx context.Context, who caller.Caller, in *putProfileIn) (*profileOut, error) {
	if err := s.UseProfile(ctx, who, in.Profile); err != nil {
		return nil, err
	}
	return s.getProfile(ctx, who, &getProfileIn{})
}

type listAttestedIn struct {
	Statement string `query:"statement" maxLength:"8" doc:"Only those about the statement."`
}

func (s *Service) listAttested(ctx context.Context, _ caller.Caller, in *listAttestedIn) (*web.List[Attestation], error) {
	all, err := s.Attestations(ctx)
	if err != nil {
		return nil, err
	}
	out := slices.DeleteFunc(slices.Clone(all), func(a Attestation) bool { return in.Statement != "" && a.Statement != in.Statement })
	return web.NewList(out, ""), nil
}

type evidenceIn struct {
	Name    string `json:"name" minLength:"1" maxLength:"120"`
	Media   string `json:"media_type,omitempty" maxLength:"100"`
	Content []byte `json:"content" doc:"The file in base64, at most 10 MiB."`
}

type postAttestationIn struct {
	Statement  string            `json:"statement" maxLength:"8"`
	Owner      Named             `json:"owner"`
	Reviewer   Named             `json:"reviewer"`
	Text       map[string]string `json:"text,omitempty" doc:"What is stated in other words: in all languages, or in none."`
	Visibility Visibility        `json:"visibility" enum:"public,on_request,internal"`
	ValidFrom  *time.Time        `json:"valid_from,omitempty" doc:"Now when not given."`
	ValidUntil time.Time         `json:"valid_until"`
	Evidence   *evidenceIn       `json:"evidence,omitempty"`
}

func (s *Service) postAttestation(ctx context.Context, who caller.Caller, in *postAttestationIn) (*Attestation, error) {
	d := Draft{Statement: in.Statement, Owner: in.Owner, Reviewer: in.Reviewer, Text: in.Text, Visibility: in.Visibility, Until: in.ValidUntil}
	if in.ValidFrom != nil {
		d.From = *in.ValidFrom
	}
	if e := in.Evidence; e != nil {
		d.FileName, d.Media, d.Content = e.Name, e.Media, e.Content
	}
	a, err := s.Attest(ctx, who, d)
	if err != nil {
		return nil, err
	}
	return &a, nil
}

type attestationIn struct {
	Attestation id.Attestation `path:"attestation"`
}

func (s *Service) getAttestation(ctx context.Context, _ caller.Caller, in *attestationIn) (*Attestation, error) {
	a, err := s.Attestation(ctx, in.Attestation)
	if err != nil {
		return nil, err
	}
	return &a, nil
}

type withdrawIn struct {
	Attestation id.Attestation `path:"attestation"`
	Reason      string         `json:"reason,omitempty" maxLength:"500" doc:"Why, for the log."`
}

func (s *Service) postWithdraw(ctx context.Context, who caller.Caller, in *withdrawIn) (*Attestation, error) {
	if err := s.Withdraw(ctx, who, in.Attestation, in.Reason); err != nil {
		return nil, err
	}
	return s.getAttestation(ctx, who, &attestationIn{in.Attestation})
}
