package web_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/web"
)

type listed struct {
	ID   id.Role `json:"id"`
	Note string  `json:"note,omitempty" doc:"Free text."`
}

func apiRoutes() []web.Route {
	return []web.Route{
		rules(),
		web.JSON("GET /api/v1/orgs/{org}/ip-rules", "policy.read", func(context.Context, caller.Caller, *struct {
			Org id.Org `path:"org"`
			web.PageQuery
		}) (*web.List[listed], error) {
			return web.NewList[listed](nil, ""), nil
		}, web.Summary("List the allowed networks.")),
		web.JSON("DELETE /api/v1/orgs/{org}/ip-rules/{rule}", "policy.write", func(context.Context, caller.Caller, *struct {
			Org  id.Org  `path:"org"`
			Rule id.Role `path:"rule"`
		}) (*struct{}, error) {
			return nil, nil
		}, web.Event("policy.ip_rule.removed"), web.StepUp()),
		web.Page("GET /console", capability.Self, ok),
	}
}

func TestOpenAPISaysWhatTheRoutesRead(t *testing.T) {
	doc, err := web.OpenAPI(apiRoutes())
	if err != nil {
		t.Fatal(err)
	}
	again, _ := web.OpenAPI(apiRoutes())
	if string(doc) != string(again) {
		t.Error("two runs differ")
	}
	var got struct {
		OpenAPI    string
		Paths      map[string]map[string]map[string]any
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(doc, &got); err != nil {
		t.Fatal(err)
	}
	if got.OpenAPI != "3.1.0" || len(got.Paths) != 2 {
		t.Errorf("version %s, %d paths", got.OpenAPI, len(got.Paths))
	}
	del := got.Paths["/api/v1/orgs/{org}/ip-rules/{rule}"]["delete"]
	if del["x-permission"] != "policy.write" || del["x-event"] != "policy.ip_rule.removed" || del["x-step-up"] != true || del["operationId"] != "deleteOrgsOrgIpRulesRule" {
		t.Errorf("operation %v", del)
	}
	for _, want := range []string{`"^org_[0-7][0-9a-hjkmnp-tv-z]{25}$"`, `"ListWebtestListed"`, `"additionalProperties": false`, `"204"`, `"Idempotency-Key"`, `"maximum": 200`} {
		if !strings.Contains(strings.ReplaceAll(string(doc), "Web_test", "Webtest"), want) {
			t.Errorf("document lacks %s", want)
		}
	}
	ref, err := web.NewReference(doc)
	if err != nil {
		t.Fatal(err)
	}
	if len(ref.Topics) != 1 || len(ref.Topics[0].Ops) != 3 {
		t.Fatalf("reference %+v", ref.Topics)
	}
	post := ref.Topics[0].Ops[1]
	if post.Method != "POST" || len(post.Body) != 5 || post.Status != "201" || !post.Open {
		t.Errorf("operation %+v", post)
	}
	if d := cmp.Diff(web.Member{Name: "prefix", Type: "string", Required: true, Doc: "length 2–43"}, post.Body[3]); d != "" {
		t.Errorf("member (-want +got):\n%s", d)
	}
}

func TestHealthNamesWhatIsNotReady(t *testing.T) {
	checks := []web.ReadyCheck{{Name: "database", OK: true}, {Name: "keys", OK: true}}
	ready := func(context.Context) []web.ReadyCheck { return checks }
	s := newServer(t, web.HealthRoutes(ready)...)
	if a := call(t, s, request("GET", "/health/ready", "")); a.Status != 200 || !strings.Contains(a.Body, `"ready"`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	checks[1] = web.ReadyCheck{Name: "keys", Err: context.DeadlineExceeded}
	if a := call(t, newServer(t, web.HealthRoutes(ready)...), request("GET", "/health/ready", "")); a.Status != 503 || !strings.Contains(a.Body, `{"name":"keys","ok":false}`) || strings.Contains(a.Body, "deadline") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := call(t, newServer(t, web.HealthRoutes(ready)...), request("GET", "/health/live", "")); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestMetricsNameTheRouteAndNeverThePath(t *testing.T) {
	m := web.NewMetrics()
	s := newServer(t, rules())
	s.Observe = m.Observe
	call(t, s, request("POST", "/api/v1/orgs/"+org.String()+"/ip-rules", `{"prefix":"10.0.0.0/8"}`))
	call(t, s, request("BREW", "/api/v1/hunter2", ""))
	w := httptest.NewRecorder()
	web.SightHandler(m, nil).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`rempart_http_request_duration_seconds_count{method="POST",route="POST /api/v1/orgs/{org}/ip-rules",status="201"} 1`,
		`rempart_http_request_duration_seconds_count{method="other",route="none",status="404"} 1`, "go_goroutines",
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if strings.Contains(w.Body.String(), "hunter2") {
		t.Error("a path is a label")
	}
}

func TestPrefsKeepOnlyWhatIsKnown(t *testing.T) {
	w := httptest.NewRecorder()
	web.WritePrefs(w, web.Prefs{Lang: "nl", Theme: "dark"})
	c := w.Result().Cookies()[0]
	if !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.MaxAge < int((24*time.Hour).Seconds()) {
		t.Errorf("cookie %v", c)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(c)
	if d := cmp.Diff(web.Prefs{Lang: "nl", Theme: "dark"}, web.ReadPrefs(r)); d != "" {
		t.Error(d)
	}
	if web.Language(r) != "nl" {
		t.Error("the cookie's language is not used")
	}
	bad := httptest.NewRequest("GET", "/", nil)
	bad.Header.Set("Cookie", "__Host-rempart_prefs=lang=xx&theme=<script>")
	bad.Header.Set("Accept-Language", "de, fr;q=0.8")
	if p := web.ReadPrefs(bad); p != (web.Prefs{}) || web.Language(bad) != "fr" {
		t.Errorf("prefs %v, language %s", p, web.Language(bad))
	}
}
