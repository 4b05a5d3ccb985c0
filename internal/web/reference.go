package web

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Reference is the API as a page shows it. It is read from the OpenAPI
// document, so that the two cannot differ.
type Reference struct {
	Topics []Topics
	Types  []Shape
}

// Topics is one group of operations.
type Topics struct {
	Name string
	Ops  []Op
}

// Op is one operation.
type Op struct {
	ID, Method, Path, Summary string
	Permission, Event         string
	StepUp, Open              bool
	Params, Body              []Member
	Status, Answer            string // Answer is the name of a Shape, or ""
}

// Shape is one named type.
type Shape struct {
	Name    string
	Members []Member
}

// Member is one parameter, or member of a body or shape.
type Member struct {
	Name, In, Type string
	Ref            string // name of the Shape it refers to
	Required       bool
	Doc            string
}

type schemaDoc struct {
	Ref                                                        string `json:"$ref"`
	Type                                                       any    `json:"type"`
	Format, Pattern, Description                               string
	Enum                                                       []any
	Items                                                      *schemaDoc
	Properties                                                 map[string]*schemaDoc
	Required                                                   []string
	AdditionalProperties                                       any
	Minimum, Maximum, MinLength, MaxLength, MinItems, MaxItems *float64
}

// NewReference reads the document of OpenAPI.
func NewReference(doc []byte) (Reference, error) {
	var d struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Summary     string
			Tags        []string
			Permission  string `json:"x-permission"`
			Event       string `json:"x-event"`
			StepUp      bool   `json:"x-step-up"`
			Security    *[]any
			Parameters  []struct {
				Name, In, Description string
				Required              bool
				Schema                *schemaDoc
			}
			RequestBody *struct {
				Content map[string]struct{ Schema *schemaDoc }
			} `json:"requestBody"`
			Responses map[string]struct {
				Content map[string]struct{ Schema *schemaDoc }
			}
		}
		Components struct{ Schemas map[string]*schemaDoc }
	}
	if err := json.Unmarshal(doc, &d); err != nil {
		return Reference{}, fmt.Errorf("web: read API description: %w", err)
	}
	var ref Reference
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, method := range []string{"get", "post", "put", "patch", "delete"} {
			o, ok := d.Paths[path][method]
			if !ok {
				continue
			}
			op := Op{ID: o.OperationID, Method: strings.ToUpper(method), Path: path, Summary: o.Summary,
				Permission: o.Permission, Event: o.Event, StepUp: o.StepUp, Open: o.Security != nil}
			for _, p := range o.Parameters {
				m := memberOf(p.Name, p.Schema, p.Required)
				m.In = p.In
				if m.Doc == "" {
					m.Doc = p.Description
				}
				op.Params = append(op.Params, m)
			}
			if o.RequestBody != nil {
				op.Body = membersOf(o.RequestBody.Content["application/json"].Schema)
			}
			for status, r := range o.Responses {
				if status == "default" {
					continue
				}
				op.Status = status
				if s := r.Content["application/json"].Schema; s != nil {
					op.Answer = strings.TrimPrefix(s.Ref, "#/components/schemas/")
				}
			}
			topic := ""
			if len(o.Tags) > 0 {
				topic = o.Tags[0]
			}
			i := slices.IndexFunc(ref.Topics, func(t Topics) bool { return t.Name == topic })
			if i < 0 {
				ref.Topics, i = append(ref.Topics, Topics{Name: topic}), len(ref.Topics)
			}
			ref.Topics[i].Ops = append(ref.Topics[i].Ops, op)
		}
	}
	slices.SortFunc(ref.Topics, func(a, b Topics) int { return strings.Compare(a.Name, b.Name) })
	for _, name := range slices.Sorted(maps.Keys(d.Components.Schemas)) {
		ref.Types = append(ref.Types, Shape{Name: name, Members: membersOf(d.Components.Schemas[name])})
	}
	return ref, nil
}

func membersOf(s *schemaDoc) []Member {
	if s == nil {
		return nil
	}
	var out []Member
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		out = append(out, memberOf(name, s.Properties[name], slices.Contains(s.Required, name)))
	}
	return out
}

func memberOf(name string, s *schemaDoc, required bool) Member {
	m := Member{Name: name, Required: required}
	if s == nil {
		return m
	}
	m.Type, m.Ref = typeOf(s)
	var notes []string
	if s.Description != "" {
		notes = append(notes, s.Description)
	}
	var values []string
	for _, e := range s.Enum {
		values = append(values, fmt.Sprint(e))
	}
	if len(values) > 0 {
		notes = append(notes, strings.Join(values, " | "))
	}
	if r := span(s.Minimum, s.Maximum); r != "" {
		notes = append(notes, r)
	}
	if r := span(s.MinLength, s.MaxLength); r != "" {
		notes = append(notes, "length "+r)
	}
	if r := span(s.MinItems, s.MaxItems); r != "" {
		notes = append(notes, "items "+r)
	}
	m.Doc = strings.Join(notes, " · ")
	return m
}

func span(low, high *float64) string {
	switch {
	case low != nil && high != nil:
		return fmt.Sprintf("%g–%g", *low, *high)
	case high != nil:
		return fmt.Sprintf("≤ %g", *high)
	case low != nil && *low != 0:
		return fmt.Sprintf("≥ %g", *low)
	}
	return ""
}

func typeOf(s *schemaDoc) (text, ref string) {
	if s.Ref != "" {
		name := strings.TrimPrefix(s.Ref, "#/components/schemas/")
		return name, name
	}
	switch t := s.Type.(type) {
	case string:
		text = t
	case []any: // a type or null
		for _, one := range t {
			if one != "null" {
				text = fmt.Sprint(one)
			}
		}
	}
	if text == "array" && s.Items != nil {
		inner, ref := typeOf(s.Items)
		return inner + "[]", ref
	}
	if prefix, _, ok := strings.Cut(strings.TrimPrefix(s.Pattern, "^"), "_[0-7]"); ok && strings.HasPrefix(s.Pattern, "^") {
		return prefix + "_…", ""
	}
	if s.Format != "" && !strings.HasPrefix(s.Format, "int") {
		return s.Format, ""
	}
	return text, ""
}
