// Package input reads a request into the struct that names what it may hold:
// fields tagged path, query and header, and a JSON body of the fields with a
// json tag. What the struct does not name is refused, as is what does not fit
// the schema made from it; the error names members, never values.
//
// It serves web.JSON, and the API description, which lists the same members.
package input

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/rempart/rempart/internal/fault"
)

// Names of members are matched exactly, and a list is never null: huma keeps
// both as package variables.
var _ = func() struct{} {
	huma.ValidateStrictCasing = true
	huma.DefaultArrayNullable = false
	return struct{}{}
}()

// Bounds of what is read.
const (
	maxValue   = 8 << 10 // bytes of one parameter
	maxValues  = 200     // values of one parameter
	maxDepth   = 32      // nesting of a body
	maxMembers = 10_000  // members and elements of a body, altogether
	maxFields  = 20      // members named in one fault
)

// Codes of the errors of a member. They are message keys.
const (
	codeRequired = "web.field.required"
	codeUnknown  = "web.field.unknown"
	codeTwice    = "web.field.twice"
	codeType     = "web.field.type"
	codeFormat   = "web.field.format"
	codeShort    = "web.field.too-short"
	codeLong     = "web.field.too-long"
	codeSmall    = "web.field.too-small"
	codeLarge    = "web.field.too-large"
	codeChoice   = "web.field.choice"
	codeInvalid  = "web.field.invalid"
)

// Param is a field of an input that is not in the body.
type Param struct {
	In    string // path, query or header
	Name  string
	Type  reflect.Type
	Field reflect.StructField
	index []int
	// Schema validates the value; Required says it may not be absent.
	Schema   *huma.Schema
	Required bool
}

type member struct {
	name  string
	index []int
}

// Binding reads requests into one input type.
type Binding struct {
	registry huma.Registry
	params   []Param
	queries  map[string]bool
	members  []member
	body     *huma.Schema // nil: there is no body
	optional bool         // the body may be absent: no member is required
}

// New makes the binding of the struct t for a route of the pattern.
func New(pattern string, t reflect.Type) (*Binding, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("input %s is not a struct", t)
	}
	b := &Binding{registry: huma.NewMapRegistry("#/components/schemas/", SchemaName), queries: map[string]bool{}}
	if err := b.collect(t, nil); err != nil {
		return nil, err
	}
	b.body = BodySchema(b.registry, t)
	b.optional = b.body == nil || len(b.body.Required) == 0
	_, p, _ := strings.Cut(pattern, " ")
	for _, prm := range b.params {
		if prm.In == "path" && !strings.Contains(p, "{"+prm.Name+"}") && !strings.Contains(p, "{"+prm.Name+"...}") {
			return nil, fmt.Errorf("path has no {%s}", prm.Name)
		}
	}
	return b, nil
}

func (b *Binding) collect(t reflect.Type, index []int) error {
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(slices.Clone(index), i)
		if f.Anonymous && f.Type.Kind() == reflect.Struct && f.Tag.Get("json") == "" {
			if err := b.collect(f.Type, at); err != nil {
				return err
			}
			continue
		}
		if !f.IsExported() {
			continue
		}
		if name := JSONName(f); name != "" {
			b.members = append(b.members, member{name, at})
			continue
		}
		found := false
		for _, in := range []string{"path", "query", "header"} {
			name := f.Tag.Get(in)
			if name == "" {
				continue
			}
			if !bindable(f.Type) {
				return fmt.Errorf("field %s: a %s cannot be read from the %s", f.Name, f.Type, in)
			}
			b.params = append(b.params, Param{
				In: in, Name: name, index: at, Type: f.Type, Field: f,
				Schema:   huma.SchemaFromField(b.registry, f, f.Name),
				Required: in == "path" || f.Tag.Get("required") == "true",
			})
			if in == "query" {
				b.queries[name] = true
			}
			found = true
		}
		if !found && f.Tag.Get("json") != "-" {
			return fmt.Errorf("field %s says neither path, query, header nor json", f.Name)
		}
	}
	return nil
}

// JSONName is the name of the field in JSON, "" if it is in none.
func JSONName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "-" {
		return ""
	}
	return name
}

// BodySchema is the schema of the members of t with a json tag, or nil when it
// has none.
func BodySchema(r huma.Registry, t reflect.Type) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{}, AdditionalProperties: false}
	var walk func(reflect.Type)
	walk = func(t reflect.Type) {
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Anonymous && f.Type.Kind() == reflect.Struct && f.Tag.Get("json") == "" {
				walk(f.Type)
				continue
			}
			name := JSONName(f)
			if name == "" || !f.IsExported() {
				continue
			}
			s.Properties[name] = huma.SchemaFromField(r, f, SchemaName(t, t.Name())+f.Name)
			opts := f.Tag.Get("json")
			required := f.Type.Kind() != reflect.Pointer && !strings.Contains(opts, "omitempty") && !strings.Contains(opts, "omitzero")
			if v, ok := f.Tag.Lookup("required"); ok {
				required = v == "true"
			}
			if required {
				s.Required = append(s.Required, name)
			}
		}
	}
	walk(t)
	if len(s.Properties) == 0 {
		return nil
	}
	s.PrecomputeMessages()
	return s
}

// SchemaName names a type in the schemas: package and type, so that two
// capabilities may both have a Rule.
func SchemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name := t.Name()
	if name == "" {
		return Upper(hint)
	}
	base, args, generic := strings.Cut(name, "[")
	out := Upper(path.Base(t.PkgPath())) + Upper(base)
	if generic {
		out = Upper(base)
		for arg := range strings.SplitSeq(strings.TrimSuffix(args, "]"), ",") {
			arg = arg[strings.LastIndex(arg, "/")+1:]
			for part := range strings.SplitSeq(arg, ".") {
				out += Upper(strings.Trim(part, "*[]"))
			}
		}
	}
	return out
}

// Upper gives s with a capital at its beginning.
func Upper(s string) string {
	if s == "" || s == "." {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

var textType = reflect.TypeFor[encoding.TextUnmarshaler]()

func bindable(t reflect.Type) bool {
	if reflect.PointerTo(t).Implements(textType) {
		return true
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Int32, reflect.Uint, reflect.Uint64, reflect.Uint32:
		return true
	case reflect.Pointer:
		return bindable(t.Elem())
	case reflect.Slice:
		return bindable(t.Elem())
	}
	return false
}

// Decode reads the request into v, a struct of the binding's type. The error
// is a fault that names members, never values.
func (b *Binding) Decode(r *http.Request, v reflect.Value) error {
	bad := fault.New(fault.Invalid, "web.error.invalid", nil)
	query := r.URL.Query()
	for name := range query {
		if !b.queries[name] {
			bad = bad.At("?"+clip(name), codeUnknown)
		}
	}
	for _, p := range b.params {
		var values []string
		switch p.In {
		case "path":
			values = []string{r.PathValue(p.Name)}
		case "query":
			values = query[p.Name]
		case "header":
			values = r.Header.Values(p.Name)
		}
		where := map[string]string{"path": "{" + p.Name + "}", "query": "?" + p.Name, "header": p.Name}[p.In]
		if len(values) == 0 {
			if p.Required {
				bad = bad.At(where, codeRequired)
			}
			continue
		}
		code := p.set(v.FieldByIndex(p.index), values, b.registry)
		switch {
		case code == "":
		case p.In == "path":
			// An identifier that cannot exist names nothing.
			return fault.ErrNotFound
		default:
			bad = bad.At(where, code)
		}
	}
	if len(bad.Fields) > 0 {
		return bad
	}
	if b.body == nil {
		return noBody(r)
	}
	return b.decodeBody(r, v)
}

// noBody refuses a body that nothing would read.
func noBody(r *http.Request) error {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	var one [1]byte
	n, err := io.ReadFull(r.Body, one[:])
	if n > 0 {
		return fault.New(fault.Invalid, "web.error.no-body", nil)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return BodyError(err)
	}
	return nil
}

// BodyError is the fault for a body that could not be read.
func BodyError(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return fault.New(fault.TooLarge, "web.error.too-large", err)
	}
	return fault.New(fault.Invalid, "web.error.malformed", err)
}

func (p *Param) set(v reflect.Value, values []string, reg huma.Registry) (code string) {
	t := p.Type
	if t.Kind() == reflect.Slice && !reflect.PointerTo(t).Implements(textType) {
		if len(values) == 1 {
			values = strings.Split(values[0], ",")
		}
		if p.Schema.MaxItems == nil && len(values) > maxValues {
			return codeLong
		}
		out := reflect.MakeSlice(t, len(values), len(values))
		var checked []any
		for i, s := range values {
			c, code := setOne(out.Index(i), s)
			if code != "" {
				return code
			}
			checked = append(checked, c)
		}
		v.Set(out)
		return check(reg, p.Schema, checked)
	}
	if len(values) != 1 {
		return codeTwice
	}
	c, code := setOne(v, values[0])
	if code != "" {
		return code
	}
	return check(reg, p.Schema, c)
}

// setOne parses s into v and gives the value that the schema is checked with.
func setOne(v reflect.Value, s string) (any, string) {
	if len(s) > maxValue || strings.ContainsRune(s, 0) {
		return nil, codeLong
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		return setOne(v.Elem(), s)
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if s == "" || u.UnmarshalText([]byte(s)) != nil {
			return nil, codeFormat
		}
		return s, ""
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
		return s, ""
	case reflect.Bool:
		switch s {
		case "true", "false":
			v.SetBool(s == "true")
			return s == "true", ""
		}
		return nil, codeType
	case reflect.Int, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(s, 10, v.Type().Bits())
		if err != nil {
			return nil, codeType
		}
		v.SetInt(n)
		return n, ""
	default:
		n, err := strconv.ParseUint(s, 10, v.Type().Bits())
		if err != nil {
			return nil, codeType
		}
		v.SetUint(n)
		return n, ""
	}
}

func check(reg huma.Registry, s *huma.Schema, v any) string {
	var res huma.ValidateResult
	huma.Validate(reg, s, huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, v, &res)
	if len(res.Errors) == 0 {
		return ""
	}
	return codeOf(res.Errors[0])
}

// decodeBody reads a JSON body: of the one media type, bounded in size, depth
// and members, without a member twice, and exactly of the type's shape.
func (b *Binding) decodeBody(r *http.Request, v reflect.Value) error {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		if b.optional {
			return nil
		}
		return fault.New(fault.Invalid, "web.error.body-missing", nil)
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil ||
		media != "application/json" && !(r.Method == http.MethodPatch && media == "application/merge-patch+json") {
		return ErrMediaType
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return BodyError(err)
	}
	tree, err := parseJSON(raw)
	if err != nil {
		return err
	}
	var res huma.ValidateResult
	pb := huma.NewPathBuffer(make([]byte, 0, 64), 0)
	huma.Validate(b.registry, b.body, pb, huma.ModeWriteToServer, tree, &res)
	if len(res.Errors) > 0 {
		return faultOf(res.Errors)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return fault.New(fault.Invalid, "web.error.malformed", err)
	}
	bad := fault.New(fault.Invalid, "web.error.invalid", nil)
	for _, m := range b.members {
		part, ok := members[m.name]
		if !ok {
			continue
		}
		if err := json.Unmarshal(part, v.FieldByIndex(m.index).Addr().Interface()); err != nil {
			bad = bad.At("/"+m.name, codeFormat)
		}
	}
	if len(bad.Fields) > 0 {
		return bad
	}
	return nil
}

// ErrMediaType is the fault for a body of another media type: 415.
var ErrMediaType = fault.New(fault.Invalid, "web.error.media-type", nil)

// faultOf turns huma's findings into a fault without their values.
func faultOf(errs []error) error {
	bad := fault.New(fault.Invalid, "web.error.invalid", nil)
	for i, err := range errs {
		if i == maxFields {
			break
		}
		at := ""
		var d *huma.ErrorDetail
		if errors.As(err, &d) {
			at = pointerOf(d.Location)
			if name, ok := missingName(d.Message); ok {
				at += "/" + name
			}
		}
		bad = bad.At(at, codeOf(err))
	}
	return bad
}

// missingName is the member that a "required" message of huma names; such a
// message is located at the object around it.
func missingName(msg string) (string, bool) {
	rest, ok := strings.CutPrefix(msg, "expected required property ")
	name, _, ok2 := strings.Cut(rest, " to be present")
	return name, ok && ok2
}

// pointerOf turns huma's location "a.b[2].c" into the pointer "/a/b/2/c".
func pointerOf(loc string) string {
	if loc == "" {
		return ""
	}
	loc = strings.NewReplacer("~", "~0", "/", "~1", "[", ".", "]", "").Replace(loc)
	parts := strings.Split(strings.Trim(loc, "."), ".")
	for i, p := range parts {
		parts[i] = clip(p)
	}
	return "/" + strings.Join(parts, "/")
}

func codeOf(err error) string {
	var d *huma.ErrorDetail
	if !errors.As(err, &d) {
		return codeInvalid
	}
	m := d.Message
	has := func(formats ...string) bool {
		for _, f := range formats {
			head, _, _ := strings.Cut(f, "%")
			if strings.HasPrefix(m, strings.TrimRight(head, `"`)) {
				return true
			}
		}
		return false
	}
	switch {
	case has(validation.MsgUnexpectedProperty):
		return codeUnknown
	case has(validation.MsgExpectedRequiredProperty):
		return codeRequired
	case has(validation.MsgExpectedMinLength, validation.MsgExpectedMinItems, validation.MsgExpectedMinProperties):
		return codeShort
	case has(validation.MsgExpectedMaxLength, validation.MsgExpectedMaxItems, validation.MsgExpectedMaxProperties):
		return codeLong
	case has(validation.MsgExpectedMinimumNumber, validation.MsgExpectedExclusiveMinimumNumber):
		return codeSmall
	case has(validation.MsgExpectedMaximumNumber, validation.MsgExpectedExclusiveMaximumNumber):
		return codeLarge
	case has(validation.MsgExpectedOneOf):
		return codeChoice
	case m == validation.MsgExpectedBoolean, m == validation.MsgExpectedNumber, m == validation.MsgExpectedInteger,
		m == validation.MsgExpectedString, m == validation.MsgExpectedArray, m == validation.MsgExpectedObject:
		return codeType
	case has("expected string to be"), has("expected string to match"), has(validation.MsgExpectedDuration):
		return codeFormat
	}
	return codeInvalid
}

// Describe lists the parameters of the input type t, with their schemas in
// the registry.
func Describe(r huma.Registry, t reflect.Type) ([]Param, error) {
	b := &Binding{registry: r, queries: map[string]bool{}}
	if err := b.collect(t, nil); err != nil {
		return nil, err
	}
	return b.params, nil
}
