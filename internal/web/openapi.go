package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/web/input"
)

// OpenAPI is the description of the API (OpenAPI 3.1), made from the registry:
// what it says is what the routes read and answer.
func OpenAPI(routes []Route) (doc []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("web: describe the API: %v", v) // huma panics on two types of one name
		}
	}()
	reg := huma.NewMapRegistry("#/components/schemas/", input.SchemaName)
	paths := map[string]map[string]any{}
	tags := map[string]bool{}
	for _, r := range routes {
		if r.In == nil {
			continue
		}
		method, path := split(r.Pattern)
		path = strings.ReplaceAll(strings.ReplaceAll(path, "{$}", ""), "...}", "}")
		if paths[path] == nil {
			paths[path] = map[string]any{}
		}
		op, err := operation(reg, r)
		if err != nil {
			return nil, err
		}
		tags[Topic(r)] = true
		paths[path][strings.ToLower(method)] = op
	}
	reg.Schema(reflect.TypeFor[Problem](), true, "")
	decorate(reg)
	var tagList []map[string]string
	for _, t := range slices.Sorted(keys(tags)) {
		tagList = append(tagList, map[string]string{"name": t})
	}
	return json.MarshalIndent(map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": "Rempart API", "version": "v1",
			"description": "Paths take identifiers. Times are RFC 3339, UTC. Lists are read page by page with limit and cursor. " +
				"A change by PATCH or DELETE says in If-Match which version it is based on; a POST may carry an Idempotency-Key. " +
				"What a request holds beyond its schema is refused. Errors are problem details (RFC 9457).",
			"license": map[string]string{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"servers":  []map[string]string{{"url": "/"}},
		"tags":     tagList,
		"paths":    paths,
		"security": []map[string][]string{{"bearer": {}}},
		"components": map[string]any{
			"schemas":         reg.Map(),
			"securitySchemes": map[string]any{"bearer": map[string]string{"type": "http", "scheme": "bearer", "description": "An API key, or an access token of ours for the audience of the API."}},
			"responses": map[string]any{"Problem": map[string]any{
				"description": "The request was refused or failed.",
				"content":     map[string]any{"application/problem+json": map[string]any{"schema": map[string]string{"$ref": "#/components/schemas/WebProblem"}}},
			}},
		},
	}, "", "  ")
}

func keys[K comparable, V any](m map[K]V) func(func(K) bool) {
	return func(yield func(K) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func operation(reg huma.Registry, r Route) (map[string]any, error) {
	method, path := split(r.Pattern)
	op := map[string]any{"operationId": operationID(method, path), "tags": []string{Topic(r)}, "x-permission": r.Permission}
	if r.Summary != "" {
		op["summary"] = r.Summary
	}
	if r.Event != "" {
		op["x-event"] = r.Event
	}
	if r.StepUp {
		op["x-step-up"] = true
	}
	if r.Permission == capability.Public {
		op["security"] = []any{}
	}
	fields, err := input.Describe(reg, r.In)
	if err != nil {
		return nil, fmt.Errorf("web: route %q: %w", r.Pattern, err)
	}
	var params []map[string]any
	for _, p := range fields {
		one := map[string]any{"name": p.Name, "in": p.In, "schema": identifier(p.Type, p.Schema)}
		if p.Required {
			one["required"] = true
		}
		if d := p.Field.Tag.Get("doc"); d != "" {
			one["description"] = d
		}
		params = append(params, one)
	}
	if method == http.MethodPost {
		params = append(params, map[string]any{"name": "Idempotency-Key", "in": "header", "schema": map[string]any{"type": "string", "maxLength": 128},
			"description": "Repeating the request with the same key within 24 hours answers what the first one answered."})
	}
	if len(params) > 0 {
		op["parameters"] = params
	}
	if s := input.BodySchema(reg, r.In); s != nil {
		op["requestBody"] = map[string]any{"required": len(s.Required) > 0, "content": map[string]any{"application/json": map[string]any{"schema": s}}}
	}
	status, answer := successOf(r), map[string]any{"description": "Done."}
	if status != http.StatusNoContent {
		answer["description"] = http.StatusText(status)
		answer["content"] = map[string]any{"application/json": map[string]any{"schema": reg.Schema(r.Out, true, "")}}
	}
	op["responses"] = map[string]any{strconv.Itoa(status): answer, "default": map[string]string{"$ref": "#/components/responses/Problem"}}
	return op, nil
}

func successOf(r Route) int {
	switch {
	case r.Out == nil || r.Out.Kind() == reflect.Struct && r.Out.NumField() == 0:
		return http.StatusNoContent
	case r.Status != 0:
		return r.Status
	}
	return http.StatusOK
}

var words = regexp.MustCompile(`[A-Za-z0-9]+`)

func operationID(method, path string) string {
	out := strings.ToLower(method)
	for _, w := range words.FindAllString(path, -1) {
		if w != "api" && w != "v1" {
			out += input.Upper(w)
		}
	}
	return out
}

// Topic is the group that a route stands in: the plural noun its path leads to.
func Topic(r Route) string {
	_, path := split(r.Pattern)
	topic := ""
	for s := range strings.SplitSeq(path, "/") {
		if s == "" || s == "api" || s == "v1" || strings.HasPrefix(s, "{") {
			continue
		}
		if topic == "" || topic == "orgs" {
			topic = s
		}
	}
	return topic
}

// identifier adds to the schema of one of our identifiers the form it has.
func identifier(t reflect.Type, s *huma.Schema) *huma.Schema {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Slice && s.Items != nil {
		identifier(t.Elem(), s.Items)
		return s
	}
	v, ok := reflect.Zero(t).Interface().(interface{ AppendText([]byte) []byte })
	if !ok || s.Type != huma.TypeString || s.Ref != "" {
		return s
	}
	prefix, _, ok := strings.Cut(string(v.AppendText(nil)), "_")
	if !ok {
		return s
	}
	s.Pattern = "^" + prefix + "_[0-7][0-9a-hjkmnp-tv-z]{25}$"
	s.Examples = []any{prefix + "_01h455vb4pex5vsknk084sn02q"}
	return s
}

// decorate does the same in every schema of the registry.
func decorate(reg huma.Registry) {
	for name, s := range reg.Map() {
		t := reg.TypeFromRef("#/components/schemas/" + name)
		if t == nil || t.Kind() != reflect.Struct {
			continue
		}
		for _, f := range reflect.VisibleFields(t) {
			if p := s.Properties[input.JSONName(f)]; p != nil {
				identifier(f.Type, p)
			}
		}
	}
}
