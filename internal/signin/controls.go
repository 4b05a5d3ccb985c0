package signin

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/html"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/credential"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/policy"
)

// controls backs the statements about signing in. Those that are proven go
// through the listener and the pages, without script, as a canary member.
func (s *Service) controls() []capability.Control {
	mapping := []string{"ISO27001:A.8.5", "SOC2:CC6.1", "NIS2:21.2.j", "CAIQ:IAM-14", "GDPR:32.1.b"}
	control := func(cid, row string, class capability.EvidenceClass, severity, population string, check func(context.Context, *probe) error) capability.Control {
		return capability.Control{
			ID: cid, Statements: []string{row}, Class: class, Severity: severity, Population: "signin.control.population." + population, Mapping: mapping,
			Every: 10 * time.Minute, Window: 40 * time.Minute,
			Check: func(ctx context.Context, p capability.Probe) capability.Result { return s.run(ctx, p, check) },
		}
	}
	return []capability.Control{
		control("password.length", "I7", capability.Proven, "high", "people", s.checkLength),
		control("signin.delay", "I9", capability.Proven, "high", "people", s.checkDelay),
		control("mfa.totp", "I12", capability.Proven, "high", "people", s.checkTOTP),
		control("mfa.adoption", "I13", capability.Proven, "medium", "people", s.checkAdoption),
		control("mfa.enforced", "I14", capability.Observed, "critical", "forced", s.checkForced),
		control("signin.log", "L2", capability.Proven, "high", "people", s.checkLog),
	}
}

// probe is one run of a control: a browser and what it saw.
type probe struct {
	capability.Probe
	canary   capability.Canary
	http     *http.Client
	page     []byte
	status   int
	retry    string
	checked  int64
	failed   int64
	evidence map[string]any
	wrong    []string
}

func (s *Service) run(ctx context.Context, c capability.Probe, check func(context.Context, *probe) error) capability.Result {
	p := &probe{Probe: c, evidence: map[string]any{}}
	var err error
	if c.Canary != nil {
		p.canary, err = c.Canary(ctx)
	}
	if err == nil {
		if c.Client != nil {
			p.http = c.Client()
		}
		err = check(ctx, p)
	}
	r := capability.Result{Verdict: capability.Pass, Checked: p.checked, Failed: p.failed, Evidence: p.evidence, Err: err}
	p.evidence["wrong"] = append([]string{}, p.wrong...)
	switch {
	case p.failed > 0:
		r.Verdict = capability.Fail
	case err != nil:
		r.Verdict = capability.Unknown
	}
	return r
}

// see notes whether something was as it should be.
func (p *probe) see(ok bool, what string) {
	p.checked++
	if !ok {
		p.failed++
		p.wrong = append(p.wrong, what)
	}
}

// send asks as a browser does, following redirects within our origin.
func (p *probe) send(ctx context.Context, path string, form url.Values) error {
	for range 8 {
		method, body := http.MethodGet, io.Reader(nil)
		if form != nil {
			method, body = http.MethodPost, strings.NewReader(form.Encode())
		}
		if strings.HasPrefix(path, "/") {
			path = p.Base + path
		}
		r, err := http.NewRequestWithContext(ctx, method, path, body)
		if err != nil {
			return err
		}
		r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Rempart-Control/1")
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		res, err := p.http.Do(r)
		if err != nil {
			return err
		}
		p.page, err = io.ReadAll(io.LimitReader(res.Body, 1<<20))
		res.Body.Close()
		if err != nil {
			return err
		}
		p.status, p.retry = res.StatusCode, res.Header.Get("Retry-After")
		loc := res.Header.Get("Location")
		if loc == "" {
			return nil
		}
		next, err := res.Request.URL.Parse(loc)
		if err != nil {
			return err
		}
		path, form = next.String(), nil
	}
	return errors.New("signin: too many redirects")
}

// form reads the page: which it is, where its first form leads, and its fields.
func (p *probe) form() (name, action string, fields url.Values) {
	z := html.NewTokenizer(strings.NewReader(string(p.page)))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return name, action, fields
		case html.EndTagToken:
			if tag, _ := z.TagName(); string(tag) == "form" && fields != nil {
				return name, action, fields
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			tok := z.Token()
			a := map[string]string{}
			for _, at := range tok.Attr {
				a[at.Key] = at.Val
			}
			switch {
			case tok.Data == "main":
				name = a["data-page"]
			case tok.Data == "form" && fields == nil && name != "": // forms of the frame come before main
				action, fields = a["action"], url.Values{}
			case tok.Data == "input" && fields != nil && a["name"] != "":
				fields.Set(a["name"], a["value"])
			}
		}
	}
}

// submit fills one field of the page's first form, and sends it.
func (p *probe) submit(ctx context.Context, pairs ...string) error {
	page, action, fields := p.form()
	for i := 0; i+1 < len(pairs); i += 2 {
		if !fields.Has(pairs[i]) {
			return fmt.Errorf("signin: page %q with status %d has no field %q", page, p.status, pairs[i])
		}
		fields.Set(pairs[i], pairs[i+1])
	}
	return p.send(ctx, action, fields)
}

// at reports which page came.
func (p *probe) at() string { name, _, _ := p.form(); return name }

// identify goes to the page of the password.
func (p *probe) identify(ctx context.Context, email string) error {
	if err := p.send(ctx, "/sign-in?other=1", nil); err != nil {
		return err
	}
	return p.submit(ctx, "email", email)
}

// enter signs the plain canary in.
func (p *probe) enter(ctx context.Context) error {
	if err := p.identify(ctx, p.canary.PlainEmail); err != nil {
		return err
	}
	if err := p.submit(ctx, "password", p.canary.Password); err != nil {
		return err
	}
	if p.at() != "account" {
		return fmt.Errorf("signin: the canary came to page %q with status %d", p.at(), p.status)
	}
	return nil
}

func nonce() string {
	var b [9]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// pause waits as the server asked; a control may wait where a person has to.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// checkLength tries a password one character under the floor in the form for
// changing it, and reads the weakest rule in force.
func (s *Service) checkLength(ctx context.Context, p *probe) error {
	floor, err := s.Policy.Floor(ctx)
	if err != nil {
		return err
	}
	p.evidence["floor"] = map[string]int{"alone": floor.PasswordAlone, "with_second_factor": floor.PasswordMinimum}
	p.see(floor.PasswordMinimum >= credential.MinWithSecond, "the floor is below what is published")
	if err := p.enter(ctx); err != nil {
		return err
	}
	short := (nonce() + nonce() + nonce() + nonce())[:floor.PasswordAlone-1]
	if err := p.send(ctx, "/account/password", nil); err != nil {
		return err
	}
	if err := p.submit(ctx, "current", p.canary.Password, "password", short); err != nil {
		return err
	}
	p.see(p.status == http.StatusUnprocessableEntity && p.at() == "password", "a password under the floor was not refused")
	if err := p.identify(ctx, p.canary.PlainEmail); err != nil {
		return err
	}
	err = p.submit(ctx, "password", short)
	p.see(err == nil && p.status == http.StatusUnprocessableEntity, "a password under the floor signs in")
	return err
}

// checkDelay guesses wrongly until the published delay sets in, waits it out,
// and ends with the right password, so that the canary's count begins anew.
func (s *Service) checkDelay(ctx context.Context, p *probe) error {
	for _, email := range []string{p.canary.PlainEmail, "nobody-" + nonce() + "@" + domain(p.canary.PlainEmail)} {
		if err := p.identify(ctx, email); err != nil {
			return err
		}
		n := 0
		for n < 4 && p.status != http.StatusTooManyRequests {
			if err := p.submit(ctx, "password", "wrong "+nonce()); err != nil {
				return err
			}
			n++
		}
		p.see(p.status == http.StatusTooManyRequests, "no delay after four wrong passwords")
		wait, err := strconv.Atoi(p.retry)
		p.see(err == nil && wait >= 1, "the delay is not announced")
		p.evidence["wait_seconds"] = wait
		if err := p.submit(ctx, "password", p.canary.Password); err != nil {
			return err
		}
		p.see(p.status == http.StatusTooManyRequests, "a guess during the delay was looked at")
		if email != p.canary.PlainEmail || wait > 10 {
			continue
		}
		if err := pause(ctx, time.Duration(wait)*time.Second+100*time.Millisecond); err != nil {
			return err
		}
		if err := p.submit(ctx, "password", p.canary.Password); err != nil {
			return err
		}
		p.see(p.at() == "account", "the right password after the delay was refused")
	}
	p.evidence["schedule"] = schedule()
	return nil
}

func domain(email string) string { return email[strings.LastIndexByte(email, '@')+1:] }

// schedule is the published delays in seconds, after one wrong guess, two, and so on.
func schedule() []int {
	out := []int{}
	for n := 1; ; n++ {
		d := credential.Delay(n)
		out = append(out, int(d/time.Second))
		if d >= credential.DelayMax {
			return out
		}
	}
}

// checkTOTP signs the canary in with password and code, then tries the same
// code a second time.
func (s *Service) checkTOTP(ctx context.Context, p *probe) error {
	var code string
	// Another control may have used up the present step: the next one is
	// within the window that is published.
	for i := range 2 {
		if err := p.identify(ctx, p.canary.MemberEmail); err != nil {
			return err
		}
		if err := p.submit(ctx, "password", p.canary.Password); err != nil {
			return err
		}
		p.see(p.at() == "totp", "the password alone was enough")
		if p.at() != "totp" {
			return nil
		}
		var err error
		if code, err = credential.Code(p.canary.TOTPSecret, s.Now().Add(time.Duration(i)*30*time.Second)); err != nil {
			return err
		}
		if err := p.submit(ctx, "code", code); err != nil {
			return err
		}
		if p.at() == "account" {
			break
		}
	}
	if p.at() != "account" {
		return errors.New("signin: both codes of the window were used before")
	}
	p.checked++
	if err := p.identify(ctx, p.canary.MemberEmail); err != nil {
		return err
	}
	if err := p.submit(ctx, "password", p.canary.Password); err != nil {
		return err
	}
	if err := p.submit(ctx, "code", code); err != nil {
		return err
	}
	p.see(p.status == http.StatusUnprocessableEntity && p.at() == "totp", "a code was accepted a second time")
	return nil
}

// checkAdoption looks whether a member can turn a second factor on alone, and
// counts who has one.
func (s *Service) checkAdoption(ctx context.Context, p *probe) error {
	if err := p.enter(ctx); err != nil {
		return err
	}
	if err := p.send(ctx, "/account/authenticators/add", nil); err != nil {
		return err
	}
	p.see(p.status == http.StatusOK && strings.Contains(string(p.page), "data-totp-secret"), "a member is not offered a second factor")
	enrolled, err := s.Credential.SecondFactors(ctx)
	if err != nil {
		return err
	}
	_, users, err := s.Directory.Counts(ctx)
	if err != nil {
		return err
	}
	p.evidence["enrolled"], p.evidence["users"] = len(enrolled), users
	return nil
}

// checkForced reads, for each organization that forces a second factor, the
// sessions that entered it since the grace was over: none may have been
// without.
func (s *Service) checkForced(ctx context.Context, p *probe) error {
	orgs, err := s.Directory.AllOrgs(ctx)
	if err != nil {
		return err
	}
	forcing := 0
	for org := range orgs {
		rules, err := s.Policy.Rules(ctx, org)
		if err != nil {
			return err
		}
		if d := rules.Deadline(); d.IsZero() || s.Now().Before(d) {
			continue
		}
		forcing++
		entered, err := s.Session.EnteredSince(ctx, org, rules.Deadline())
		if err != nil {
			return err
		}
		for _, methods := range entered {
			p.checked++
			if !policy.TwoFactors(methods) {
				p.failed++
			}
		}
	}
	p.evidence["organizations"], p.evidence["forcing"] = len(orgs), forcing
	return nil
}

// checkLog signs the canary in, wrongly and rightly, and looks for both in the
// organization's log, with device and address.
func (s *Service) checkLog(ctx context.Context, p *probe) error {
	org, err := id.ParseOrg(p.canary.OrgID)
	if err != nil {
		return err
	}
	from := s.Now().Add(-time.Second)
	if err := p.identify(ctx, p.canary.PlainEmail); err != nil {
		return err
	}
	if err := p.submit(ctx, "password", "wrong "+nonce()); err != nil {
		return err
	}
	if err := p.enter(ctx); err != nil {
		return err
	}
	for _, kind := range []string{EventFailed, EventSucceeded} {
		var found []audit.Record
		for try := range 8 { // an entry gets its place within a second
			if found, err = s.Audit.Search(ctx, org, audit.Query{Kind: kind, From: from, Limit: 20}); err != nil {
				return err
			}
			if len(found) > 0 || try == 7 {
				break
			}
			if err := pause(ctx, 250*time.Millisecond); err != nil {
				return err
			}
		}
		p.see(len(found) > 0, "no entry of kind "+kind)
		for _, e := range found {
			p.see(e.Source != "" && e.Device != "", "an entry of kind "+kind+" has no address or device")
		}
	}
	return nil
}
