package reading

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/verify"
)

// Attempt is a change that the control of completeness makes as the canary,
// and the kind of the entry that must follow.
type Attempt struct {
	Method, Path string // {org} stands for the canary organization
	Body         string // JSON
	Kind         string
}

var errNoCanary = errors.New("audit: the canary's organization has no identifier")

func (s *Service) controls() []capability.Control {
	iso, soc := "ISO27001:A.8.15", "SOC2:CC7.2"
	control := func(name string, class capability.EvidenceClass, every time.Duration, severity string, check func(context.Context, capability.Probe) capability.Result, rows ...string) capability.Control {
		return capability.Control{ID: name, Statements: rows, Class: class, Population: "audit.population.logs", Every: every, Window: 3 * every,
			Severity: severity, Mapping: []string{iso, soc, "NIS2:21.2.b", "CAIQ:LOG-02"}, Check: check}
	}
	return []capability.Control{
		control("audit.complete", capability.Proven, 10*time.Minute, "critical", s.checkComplete, "L1", "L10"),
		control("log.clock", capability.Proven, 10*time.Minute, "medium", s.checkClock, "L4"),
		control("log.schema", capability.Observed, time.Hour, "medium", s.checkSchema, "L5", "L6", "L7", "L9"),
		control("log.redaction", capability.Proven, 10*time.Minute, "critical", s.checkRedaction, "L8"),
		control("log.encrypted", capability.Proven, 10*time.Minute, "high", s.checkEncrypted, "L13"),
		control("log.access", capability.Proven, 10*time.Minute, "critical", s.checkAccess, "L14"),
		control("log.integrity", capability.Proven, time.Hour, "critical", s.checkIntegrity, "L15"),
		control("log.witness", capability.Observed, time.Hour, "low", s.checkWitness, "L15"),
	}
}

// count gathers what a control saw.
type count struct {
	checked, failed int64
	faults          []string
}

func (c *count) that(ok bool, fault string) {
	c.checked++
	if !ok {
		c.failed++
		if len(c.faults) < 10 {
			c.faults = append(c.faults, fault)
		}
	}
}

func (c *count) result(evidence map[string]any) capability.Result {
	v := capability.Pass
	if c.failed > 0 {
		v = capability.Fail
	}
	if len(c.faults) > 0 {
		evidence["faults"] = c.faults
	}
	return capability.Result{Verdict: v, Checked: c.checked, Failed: c.failed, Evidence: evidence}
}

func unknown(err error) capability.Result {
	return capability.Result{Verdict: capability.Unknown, Err: err}
}

// ask calls the API as the canary does, through the listener.
func ask(ctx context.Context, p capability.Probe, method, path, token, body string, header ...string) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.Base+path, strings.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := p.Client().Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	return res, b, err
}

// forged is an address that no request of the controls comes from.
const forged = "203.0.113.77"

// checkComplete changes something as the canary and looks for the entry of
// that very request, with all its fields; and it makes sure that a change
// without an entry is not kept.
func (s *Service) checkComplete(ctx context.Context, p capability.Probe) capability.Result {
	c, err := p.Canary(ctx)
	if err != nil {
		return unknown(err)
	}
	attempts := append([]Attempt{{Method: "GET", Path: "/api/v1/orgs/{org}/log/export?sealed=true", Kind: "audit.log.exported"}}, s.Attempts...)
	var n count
	kinds := []string{}
	for _, a := range attempts {
		res, _, err := ask(ctx, p, a.Method, strings.ReplaceAll(a.Path, "{org}", c.OrgID), c.Token, a.Body, "X-Forwarded-For", forged)
		if err != nil {
			return unknown(err)
		}
		if res.StatusCode >= 300 {
			return unknown(fmt.Errorf("audit: the canary's %s was answered %d", a.Kind, res.StatusCode))
		}
		kinds = append(kinds, a.Kind)
		_, body, err := ask(ctx, p, "GET", "/api/v1/orgs/"+c.OrgID+"/log?limit=50&kind="+a.Kind, c.Token, "")
		if err != nil {
			return unknown(err)
		}
		var list struct{ Items []audit.Record }
		if err := json.Unmarshal(body, &list); err != nil {
			return unknown(fmt.Errorf("audit: the log of the canary: %w", err))
		}
		r := find(list.Items, res.Header.Get("X-Request-Id"))
		n.that(r != nil, "no entry of the request: "+a.Kind)
		if r != nil {
			for _, f := range faultsOf(r, s.kindsKnown()) {
				n.that(false, a.Kind+": "+f)
			}
			n.that(r.Source != forged, "a forged forwarding header was believed")
		}
	}
	err = s.Log.TryUnaudited(ctx)
	n.that(err == nil, "a change without an entry was kept")
	return n.result(map[string]any{"kinds": kinds, "unaudited_change_refused": err == nil})
}

func find(list []audit.Record, request string) *audit.Record {
	for i := range list {
		if request != "" && list[i].Request.String() == request {
			return &list[i]
		}
	}
	return nil
}

func (s *Service) kindsKnown() map[string]bool {
	if len(s.Events) == 0 {
		return nil
	}
	out := map[string]bool{}
	for _, e := range s.Events {
		out[e.Kind] = true
	}
	return out
}

// faultsOf is what an entry lacks of the fields that it must have. Parts whose
// key was destroyed are not judged.
func faultsOf(r *audit.Record, kinds map[string]bool) (out []string) {
	need := func(ok bool, what string) {
		if !ok {
			out = append(out, what)
		}
	}
	need(!r.ID.IsZero(), "no identifier")
	need(!r.Time.IsZero(), "no time")
	need(kinds == nil || kinds[r.Kind], "kind "+r.Kind+" is in no catalogue")
	need(r.Outcome == audit.Success || r.Outcome == audit.Failure || r.Outcome == audit.Denied, "no outcome")
	for _, part := range r.Erased {
		if part == "facts" {
			return out
		}
	}
	need(r.Actor.Kind != "", "no kind of actor")
	need(r.Actor.ID != "" || r.Actor.Kind == "visitor", "no actor")
	need(r.Node != "" && r.Software != "", "no node or version")
	need(r.Destination != "", "no destination")
	if len(r.Erased) == 0 && !r.Request.IsZero() {
		need(r.Source != "", "no source")
	}
	return out
}

func (s *Service) checkSchema(ctx context.Context, _ capability.Probe) capability.Result {
	var n count
	kinds, known := map[string]int{}, s.kindsKnown()
	err := s.Log.Sample(ctx, 50, func(_ id.Org, r audit.Record) {
		kinds[r.Kind]++
		faults := faultsOf(&r, known)
		n.that(len(faults) == 0, strings.Join(faults, ", "))
	})
	if err != nil {
		return unknown(err)
	}
	return n.result(map[string]any{"kinds": len(kinds), "catalogue": len(known)})
}

// orgID reads the canary's organization.
func orgID(c capability.Canary) (id.Org, error) {
	org, err := id.ParseOrg(c.OrgID)
	if err != nil {
		return org, errNoCanary
	}
	return org, nil
}

// write puts a canary entry into the canary's log and gives its identifier.
func (s *Service) write(ctx context.Context, p capability.Probe, e audit.Entry) (id.Org, id.Entry, error) {
	c, err := p.Canary(ctx)
	if err != nil {
		return id.Org{}, id.Entry{}, err
	}
	org, err := orgID(c)
	if err != nil {
		return org, id.Entry{}, err
	}
	e.ID, e.Kind = id.NewEntry(s.Log.Now()), audit.Canary
	who := caller.ForSystem("audit.control")
	return org, e.ID, s.Log.Observe(ctx, who, org, e)
}

// clockTolerance is how far entries may lie from the order of their indexes:
// nodes take the time before the transaction begins.
const clockTolerance = time.Minute

// checkClock writes an entry and compares its time with the clock, and looks
// whether indexes have gaps or times run backwards.
func (s *Service) checkClock(ctx context.Context, p capability.Probe) capability.Result {
	before := s.Log.Now()
	org, e, err := s.write(ctx, p, audit.Entry{})
	if err != nil {
		return unknown(err)
	}
	r, err := s.Log.Find(ctx, org, e)
	if err != nil {
		return unknown(err)
	}
	var n count
	n.that(!r.Time.Before(before.Truncate(time.Microsecond)) && !r.Time.After(s.Log.Now()), "the time of an entry is not that of its act")
	n.that(r.Time.Location() == time.UTC, "time is not UTC")
	list, err := s.Log.Search(ctx, org, audit.Query{Limit: 200})
	if err != nil {
		return unknown(err)
	}
	last := int64(-1)
	seen := map[int64]bool{}
	low, high := int64(-1), int64(-1)
	for i, r := range list {
		if i > 0 {
			n.that(!r.Time.After(list[i-1].Time.Add(clockTolerance)), "times run against the order")
		}
		if r.Index != nil {
			last = *r.Index
			seen[last] = true
			if low < 0 || last < low {
				low = last
			}
			high = max(high, last)
		}
	}
	// The page is cut by time: at its old end the order of indexes may differ.
	const edge = 20
	for i := low + edge; i < high; i++ {
		n.that(seen[i], fmt.Sprintf("index %d is missing", i))
	}
	synced, known := synchronized()
	out := n.result(map[string]any{"entries": len(list), "synchronized": synced, "synchronization_known": known})
	if known && !synced {
		out.Note = "audit.control.log-clock.unsynchronized"
	}
	return out
}

// checkRedaction hands a secret in by every field, as a careless caller would,
// and by a request, and searches for it what it can see of all logs.
func (s *Service) checkRedaction(ctx context.Context, p capability.Probe) capability.Result {
	secret := "rmp_canary_" + text(43) + "_" + text(6)
	org, e, err := s.write(ctx, p, audit.Entry{
		Target: audit.Target{Kind: "canary", ID: secret}, Code: secret,
		Changes: []audit.Change{{Field: "secret", Before: secret, After: "x" + secret}},
		Facts:   map[string]any{"note": "it is " + secret, "deep": map[string]any{"list": []string{secret}}},
	})
	if err != nil {
		return unknown(err)
	}
	c, err := p.Canary(ctx)
	if err != nil {
		return unknown(err)
	}
	for _, call := range [][]string{
		{"GET", "/api/v1/orgs/" + c.OrgID + "/log", secret, ""},
		{"GET", "/api/v1/orgs/" + c.OrgID + "/log/" + secret, c.Token, ""},
		{"GET", "/api/v1/orgs/" + c.OrgID + "/log?target=" + secret, c.Token, ""},
		{"POST", "/oauth/token", "", `{"client_secret":"` + secret + `"}`},
	} {
		if _, _, err := ask(ctx, p, call[0], call[1], call[2], call[3], "User-Agent", "canary "+secret); err != nil {
			return unknown(err)
		}
	}
	var n count
	r, err := s.Log.Find(ctx, org, e)
	if err != nil {
		return unknown(err)
	}
	n.that(!holds(r, secret), "an entry holds the secret it was given")
	err = s.Log.Sample(ctx, 50, func(_ id.Org, r audit.Record) { n.that(!holds(r, secret), "entry "+r.ID.String()+" of kind "+r.Kind) })
	if err != nil {
		return unknown(err)
	}
	searched := s.ProcessLog != nil
	if searched {
		n.that(!bytes.Contains(s.ProcessLog(), []byte(secret)), "the process log")
	}
	return n.result(map[string]any{"entries": n.checked, "process_log": searched})
}

func holds(r audit.Record, secret string) bool {
	b, err := json.Marshal(r)
	return err != nil || bytes.Contains(b, []byte(secret))
}

func text(n int) string {
	out := ""
	for len(out) < n {
		out += rand.Text()
	}
	return out[:n]
}

// checkEncrypted writes a mark and looks for it in the bytes that are stored.
func (s *Service) checkEncrypted(ctx context.Context, p capability.Probe) capability.Result {
	mark := "canary-" + rand.Text()
	org, e, err := s.write(ctx, p, audit.Entry{Target: audit.Target{Kind: "canary", ID: mark}, Code: mark, Facts: map[string]any{"mark": mark}})
	if err != nil {
		return unknown(err)
	}
	r, err := s.Log.Find(ctx, org, e)
	if err != nil {
		return unknown(err)
	}
	var n count
	n.that(r.Facts["mark"] == mark, "the entry does not open to what was written")
	plain, err := s.Log.HoldsPlain(ctx, org, e, mark)
	if err != nil {
		return unknown(err)
	}
	n.that(!plain, "the stored row holds the text in clear")
	return n.result(map[string]any{"entry": e.String()})
}

// checkAccess asks for the canary's log as nobody, and as the administrator of
// another organization.
func (s *Service) checkAccess(ctx context.Context, p capability.Probe) capability.Result {
	c, err := p.Canary(ctx)
	if err != nil {
		return unknown(err)
	}
	var n count
	base := "/api/v1/orgs/" + c.OrgID + "/log"
	for _, path := range []string{base, base + "/export", base + "/checkpoint"} {
		res, _, err := ask(ctx, p, "GET", path, "", "")
		if err != nil {
			return unknown(err)
		}
		n.that(res.StatusCode == http.StatusUnauthorized, fmt.Sprintf("a visitor was answered %d", res.StatusCode))
		if c.OtherToken == "" {
			continue
		}
		if res, _, err = ask(ctx, p, "GET", path, c.OtherToken, ""); err != nil {
			return unknown(err)
		}
		n.that(res.StatusCode == http.StatusNotFound, fmt.Sprintf("another organization's administrator was answered %d", res.StatusCode))
	}
	res, _, err := ask(ctx, p, "GET", base+"?limit=1", c.Token, "")
	if err != nil {
		return unknown(err)
	}
	n.that(res.StatusCode == http.StatusOK, "who may read the log can't")
	return n.result(map[string]any{"requests": n.checked})
}

// checkIntegrity recomputes the installation's, the platform's and the
// canary's log from their rows, and holds a drill: a copy with one bit changed
// must be refused, the copy itself accepted.
func (s *Service) checkIntegrity(ctx context.Context, p capability.Probe) capability.Result {
	org, _, err := s.write(ctx, p, audit.Entry{})
	if err != nil {
		return unknown(err)
	}
	if _, err := s.Log.Sequence(ctx); err != nil {
		return unknown(err)
	}
	var n count
	evidence := map[string]any{}
	logs := map[string]func() (audit.Report, error){
		"installation": func() (audit.Report, error) { return s.Log.Verify(ctx, id.Org{}) },
		"platform":     func() (audit.Report, error) { return s.Log.VerifyPlatform(ctx) },
		"canary":       func() (audit.Report, error) { return s.Log.Verify(ctx, org) },
	}
	for name, run := range logs {
		rep, err := run()
		if err != nil {
			return unknown(err)
		}
		for _, problem := range rep.Problems {
			n.that(false, name+": "+problem.String())
		}
		n.checked += rep.Entries
		evidence[name] = map[string]any{"size": rep.Size, "root": rep.Root, "checkpoints": rep.Checkpoints, "signed_at": rep.SignedAt}
	}
	late, err := s.Log.Unsigned(ctx, 10*time.Second)
	if err != nil {
		return unknown(err)
	}
	n.that(late == 0, "a log grew and was not signed")
	ok, refused, err := s.drill(ctx, org)
	if err != nil {
		return unknown(err)
	}
	n.that(ok, "an honest export is not accepted")
	n.that(refused, "a forged export is accepted")
	evidence["drill"] = map[string]any{"honest_accepted": ok, "forged_refused": refused}
	return n.result(evidence)
}

func (s *Service) drill(ctx context.Context, org id.Org) (ok, refused bool, err error) {
	var copy bytes.Buffer
	if err := s.Log.Export(ctx, caller.ForSystem("audit.control"), org, audit.Form{Sealed: true}, &copy); err != nil {
		return false, false, err
	}
	keys, err := s.Log.VerifierKeys(ctx, org)
	if err != nil {
		return false, false, err
	}
	check := func(b []byte) (bool, error) {
		rep, err := verify.File(bytes.NewReader(b), verify.Options{VerifierKeys: keys})
		return rep.OK, err
	}
	if ok, err = check(copy.Bytes()); err != nil {
		return false, false, err
	}
	// One digit of one ciphertext.
	b := copy.Bytes()
	i := bytes.Index(b, []byte(`"ciphertext":"`))
	if i < 0 {
		return ok, false, errors.New("audit: the export holds no entry")
	}
	at := i + len(`"ciphertext":"`) + 5
	b[at] = map[bool]byte{true: 'B', false: 'A'}[b[at] == 'A']
	forged, err := check(b)
	return ok, !forged, err
}

// checkWitness says whether anyone but us has seen the log.
func (s *Service) checkWitness(ctx context.Context, _ capability.Probe) capability.Result {
	b, err := s.Log.Platform(ctx)
	if err != nil {
		return unknown(err)
	}
	others, err := s.Log.Witnesses(ctx, b)
	if err != nil {
		return unknown(err)
	}
	if others == 0 {
		return capability.Result{Verdict: capability.NotApplicable, Evidence: map[string]any{"witnesses": 0}, Note: "audit.control.log-witness.none"}
	}
	return capability.Result{Verdict: capability.Pass, Checked: 1, Evidence: map[string]any{"witnesses": others}}
}
