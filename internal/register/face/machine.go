package face

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/register"
	"github.com/rempart/rempart/internal/register/catalogue"
)

// PredicateStatements names the predicate of the signed statements;
// docs/trust-page.md has its members.
const PredicateStatements = "https://rempart.dev/attestation/statements/v1"

// machine is the key of what is the same for every visitor.
func machine(path string) pageKey { return pageKey{path: path} }

// controlsJSON is /trust.json: where every control stands, and nothing else.
func (s *Service) controlsJSON(w http.ResponseWriter, r *http.Request) error {
	return s.serve(w, r, machine("/trust.json"), "application/json", func(ctx context.Context) ([]byte, error) {
		states, err := s.Trust.Current(ctx)
		if err != nil {
			return nil, err
		}
		return json.Marshal(map[string]any{"controls": states})
	})
}

// published is a statement in the signed JSON.
type published struct {
	ID          string                     `json:"id"`
	Kind        catalogue.Kind             `json:"kind"`
	Text        map[string]string          `json:"text"`
	Values      map[string]catalogue.Value `json:"values"`
	Verdict     catalogue.Verdict          `json:"verdict"`
	Class       catalogue.Class            `json:"class,omitempty"`
	Population  []catalogue.Population     `json:"population"`
	Uncovered   []catalogue.Population     `json:"uncovered,omitempty"`
	Controls    []string                   `json:"controls"`
	CheckedAt   *time.Time                 `json:"checked_at"`
	Since       *time.Time                 `json:"since"`
	Attestation *publishedAttestation      `json:"attestation,omitempty"`
}

type publishedAttestation struct {
	ID         string              `json:"id"`
	Owner      string              `json:"owner"`
	Reviewer   string              `json:"reviewer"`
	ValidFrom  time.Time           `json:"valid_from"`
	ValidUntil time.Time           `json:"valid_until"`
	FileSHA256 string              `json:"file_sha256,omitempty"`
	Visibility register.Visibility `json:"visibility"`
}

// publish gives every statement that visitors may see, planned ones included.
func (s *Service) publish(p *register.Page) []published {
	out := []published{}
	for _, st := range p.Standings {
		if st.Internal {
			continue
		}
		x := published{ID: st.ID, Kind: st.Kind, Text: map[string]string{}, Values: map[string]catalogue.Value{}, Verdict: st.Verdict, Class: st.Evidence,
			Population: st.Population, Uncovered: p.Uncovered(st, s.Trust.Controls), Controls: st.Bound}
		for _, lang := range i18n.Languages {
			x.Text[lang] = s.Sentence(lang, st.Statement, st.Values)
		}
		for _, param := range st.Params {
			x.Values[param.Name], _ = st.Value(param.Name, st.Values)
		}
		if x.Controls == nil {
			x.Controls = []string{}
		}
		if !st.Checked.IsZero() {
			x.CheckedAt = &st.Checked
		}
		if !st.Since.IsZero() {
			x.Since = &st.Since
		}
		if a := st.Attestation; a != nil {
			x.Attestation = &publishedAttestation{ID: a.ID.String(), Owner: a.Owner.Name, Reviewer: a.Reviewer.Name, ValidFrom: a.ValidFrom, ValidUntil: a.ValidUntil, Visibility: a.Visibility}
			if a.File != nil {
				x.Attestation.FileSHA256 = a.File.SHA256
			}
		}
		out = append(out, x)
	}
	return out
}

// statementsJSON is every statement with its verdict, signed.
func (s *Service) statementsJSON(w http.ResponseWriter, r *http.Request) error {
	return s.serve(w, r, machine("/trust/statements.json"), "application/vnd.dsse.envelope.v1+json", func(ctx context.Context) ([]byte, error) {
		p, err := s.Resolve(ctx)
		if err != nil {
			return nil, err
		}
		list := s.publish(p)
		content, err := json.Marshal(list)
		if err != nil {
			return nil, fmt.Errorf("register/face: statements: %w", err)
		}
		return s.Trust.Sign(ctx, PredicateStatements, "statements", content, map[string]any{
			"at": p.At.UTC().Format(time.RFC3339), "installation": s.BaseURL.String(), "profile": p.Profile, "statements": list,
		})
	})
}

// envelope is the signed result of a control's newest run.
func (s *Service) envelope(w http.ResponseWriter, r *http.Request) error {
	return s.part(w, r, "envelope.json", "application/vnd.dsse.envelope.v1+json", func(_, envelope []byte) []byte { return envelope })
}

// evidence is what the run saw, byte for byte as its hash was signed.
func (s *Service) evidence(w http.ResponseWriter, r *http.Request) error {
	return s.part(w, r, "evidence.json", "application/json", func(evidence, _ []byte) []byte { return evidence })
}

func (s *Service) part(w http.ResponseWriter, r *http.Request, name, media string, choose func(evidence, envelope []byte) []byte) error {
	control, ok := s.Trust.Find(r.PathValue("control"))
	if !ok {
		return fault.ErrNotFound
	}
	return s.serve(w, r, machine("/trust/controls/"+control.ID+"/"+name), media, func(ctx context.Context) ([]byte, error) {
		evidence, envelope, err := s.Trust.Evidence(ctx, control.ID)
		return choose(evidence, envelope), err
	})
}

// keysText lists the keys that have signed results, one a line.
func (s *Service) keysText(w http.ResponseWriter, r *http.Request) error {
	return s.serve(w, r, machine("/trust/keys.txt"), "text/plain; charset=utf-8", func(ctx context.Context) ([]byte, error) {
		keys, err := s.Trust.Verifiers(ctx)
		return []byte(strings.Join(keys, "\n") + "\n"), err
	})
}

// oscalJSON is the same as OSCAL assessment results (NIST OSCAL 1.1.2): an
// observation for each control that ran, a finding for each statement.
func (s *Service) oscalJSON(w http.ResponseWriter, r *http.Request) error {
	return s.serve(w, r, machine("/trust/oscal.json"), "application/json", func(ctx context.Context) ([]byte, error) {
		p, err := s.Resolve(ctx)
		if err != nil {
			return nil, err
		}
		return json.Marshal(map[string]any{"assessment-results": s.oscal(p)})
	})
}

func (s *Service) oscal(p *register.Page) map[string]any {
	at := p.At.UTC().Truncate(time.Second).Format(time.RFC3339)
	base := s.BaseURL.String()
	observations := []any{}
	first := p.At
	for _, c := range s.Trust.Controls {
		st := p.States[c.ID]
		if st.RanAt == nil {
			continue
		}
		if st.RanAt.Before(first) {
			first = *st.RanAt
		}
		method := "TEST"
		if st.Class != catalogue.Proven && st.Class != catalogue.External {
			method = "EXAMINE"
		}
		observations = append(observations, map[string]any{
			"uuid": uuidOf("observation", base, c.ID), "title": s.Trust.Text("en", c.ID, "title"), "description": s.Trust.Text("en", c.ID, "how"),
			"methods": []string{method}, "types": []string{"control-objective"}, "collected": st.RanAt.UTC().Format(time.RFC3339),
			"relevant-evidence": []any{map[string]any{"href": base + "/trust/controls/" + c.ID + "/envelope.json", "description": "Signed result of the run."}},
			"props":             []any{prop("verdict", string(st.Verdict)), prop("evidence-class", string(st.Class))},
		})
	}
	findings := []any{}
	for _, st := range p.Published() {
		state := "not-satisfied"
		if st.Verdict == catalogue.Pass {
			state = "satisfied"
		}
		finding := map[string]any{
			"uuid": uuidOf("finding", base, st.ID), "title": st.ID, "description": s.Sentence("en", st.Statement, st.Values),
			"target": map[string]any{"type": "statement-id", "target-id": "statement-" + strings.ToLower(st.ID),
				"status": map[string]any{"state": state, "reason": string(st.Verdict)}},
		}
		related := []any{}
		for _, c := range st.Bound {
			if p.States[c].RanAt != nil {
				related = append(related, map[string]any{"observation-uuid": uuidOf("observation", base, c)})
			}
		}
		if len(related) > 0 {
			finding["related-observations"] = related
		}
		findings = append(findings, finding)
	}
	result := map[string]any{
		"uuid": uuidOf("result", base, at), "title": "Current state of the controls", "description": "What the last run of each control saw.",
		"start": first.UTC().Format(time.RFC3339), "end": at,
		"reviewed-controls": map[string]any{"control-selections": []any{map[string]any{"include-all": map[string]any{}}}},
	}
	if len(observations) > 0 {
		result["observations"] = observations
	}
	if len(findings) > 0 {
		result["findings"] = findings
	}
	plan := uuidOf("plan", base, "")
	return map[string]any{
		"uuid":        uuidOf("results", base, at),
		"metadata":    map[string]any{"title": "Security statements of " + base, "last-modified": at, "version": at, "oscal-version": "1.1.2"},
		"import-ap":   map[string]any{"href": "#" + plan},
		"results":     []any{result},
		"back-matter": map[string]any{"resources": []any{map[string]any{"uuid": plan, "title": "The statements and the controls that back them", "rlinks": []any{map[string]any{"href": base + "/trust"}}}}},
	}
}

func prop(name, value string) map[string]any { return map[string]any{"name": name, "value": value} }

// uuidOf names a thing the same way each time. OSCAL wants the form of a
// version 4 UUID; the bits are those of a hash.
func uuidOf(parts ...string) string {
	b := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// securityTxt answers /.well-known/security.txt (RFC 9116).
func (s *Service) securityTxt(w http.ResponseWriter, r *http.Request) error {
	t := s.SecurityTxt
	if len(t.Contact) == 0 {
		return fault.ErrNotFound
	}
	var b strings.Builder
	for _, c := range t.Contact {
		fmt.Fprintf(&b, "Contact: %s\n", c)
	}
	fmt.Fprintf(&b, "Expires: %s\n", t.Expires.UTC().Format(time.RFC3339))
	fmt.Fprintf(&b, "Preferred-Languages: %s\n", strings.Join(i18n.Languages, ", "))
	fmt.Fprintf(&b, "Canonical: %s/.well-known/security.txt\n", s.BaseURL)
	if t.Policy != "" {
		fmt.Fprintf(&b, "Policy: %s\n", t.Policy)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	w.Write([]byte(b.String()))
	return nil
}
