package web

import (
	"bytes"
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

// param is a field of an input that is not in the body.
type param struct {
	in    string // path, query or header
	name  string
	index []int
	typ   reflect.Type
	field reflect.StructField
	// schema validates the value; required says it may not be absent.
	schema   *huma.Schema
	required bool
}

type member struct {
	name  string
	index []int
}

// binding reads requests into one input type.
type binding struct {
	registry huma.Registry
	params   []param
	queries  map[string]bool
	members  []member
	body     *huma.Schema // nil: there is no body
	optional bool         // the body may be absent: no member is required
}

func newBinding(pattern string, t reflect.Type) (*binding, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("input %s is not a struct", t)
	}
	b := &binding{registry: huma.NewMapRegistry("#/components/schemas/", schemaName), queries: map[string]bool{}}
	if err := b.collect(t, nil); err != nil {
		return nil, err
	}
	b.body = bodySchema(b.registry, t)
	b.optional = b.body == nil || len(b.body.Required) == 0
	_, p := split(pattern)
	for _, prm := range b.params {
		if prm.in == "path" && !strings.Contains(p, "{"+prm.name+"}") && !strings.Contains(p, "{"+prm.name+"...}") {
			return nil, fmt.Errorf("path has no {%s}", prm.name)
		}
	}
	return b, nil
}

func (b *binding) collect(t reflect.Type, index []int) error {
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
		if name := jsonName(f); name != "" {
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
			b.params = append(b.params, param{
				in: in, name: name, index: at, typ: f.Type, field: f,
				schema:   huma.SchemaFromField(b.registry, f, f.Name),
				required: in == "path" || f.Tag.Get("required") == "true",
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

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "-" {
		return ""
	}
	return name
}

// bodySchema is the schema of the members of t with a json tag, or nil when it
// has none.
func bodySchema(r huma.Registry, t reflect.Type) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{}, AdditionalProperties: false}
	var walk func(reflect.Type)
	walk = func(t reflect.Type) {
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Anonymous && f.Type.Kind() == reflect.Struct && f.Tag.Get("json") == "" {
				walk(f.Type)
				continue
			}
			name := jsonName(f)
			if name == "" || !f.IsExported() {
				continue
			}
			s.Properties[name] = huma.SchemaFromField(r, f, schemaName(t, t.Name())+f.Name)
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

// schemaName names a type in the schemas: package and type, so that two
// capabilities may both have a Rule.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name := t.Name()
	if name == "" {
		return upper(hint)
	}
	base, args, generic := strings.Cut(name, "[")
	out := upper(path.Base(t.PkgPath())) + upper(base)
	if generic {
		out = upper(base)
		for arg := range strings.SplitSeq(strings.TrimSuffix(args, "]"), ",") {
			arg = arg[strings.LastIndex(arg, "/")+1:]
			for part := range strings.SplitSeq(arg, ".") {
				out += upper(strings.Trim(part, "*[]"))
			}
		}
	}
	return out
}

func upper(s string) string {
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

// decode reads the request into v, a struct of the binding's type. The error
// is a fault that names members, never values.
func (b *binding) decode(r *http.Request, v reflect.Value) error {
	bad := fault.New(fault.Invalid, "web.error.invalid", nil)
	query := r.URL.Query()
	for name := range query {
		if !b.queries[name] {
			bad = bad.At("?"+clip(name), codeUnknown)
		}
	}
	for _, p := range b.params {
		var values []string
		switch p.in {
		case "path":
			values = []string{r.PathValue(p.name)}
		case "query":
			values = query[p.name]
		case "header":
			values = r.Header.Values(p.name)
		}
		where := map[string]string{"path": "{" + p.name + "}", "query": "?" + p.name, "header": p.name}[p.in]
		if len(values) == 0 {
			if p.required {
				bad = bad.At(where, codeRequired)
			}
			continue
		}
		code := p.set(v.FieldByIndex(p.index), values, b.registry)
		switch {
		case code == "":
		case p.in == "path":
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
		return bodyError(err)
	}
	return nil
}

func bodyError(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return fault.New(fault.TooLarge, "web.error.too-large", err)
	}
	return fault.New(fault.Invalid, "web.error.malformed", err)
}

func (p *param) set(v reflect.Value, values []string, reg huma.Registry) (code string) {
	t := p.typ
	if t.Kind() == reflect.Slice && !reflect.PointerTo(t).Implements(textType) {
		if len(values) == 1 {
			values = strings.Split(values[0], ",")
		}
		if p.schema.MaxItems == nil && len(values) > MaxPage {
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
		return check(reg, p.schema, checked)
	}
	if len(values) != 1 {
		return codeTwice
	}
	c, code := setOne(v, values[0])
	if code != "" {
		return code
	}
	return check(reg, p.schema, c)
}

// setOne parses s into v and gives the value that the schema is checked with.
func setOne(v reflect.Value, s string) (any, string) {
	if len(s) > maxURL || strings.ContainsRune(s, 0) {
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
func (b *binding) decodeBody(r *http.Request, v reflect.Value) error {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		if b.optional {
			return nil
		}
		return fault.New(fault.Invalid, "web.error.body-missing", nil)
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil ||
		media != "application/json" && !(r.Method == http.MethodPatch && media == "application/merge-patch+json") {
		return errMediaType
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return bodyError(err)
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

// parseJSON reads one JSON value into maps, slices and scalars.
func parseJSON(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	p := parser{d: d}
	v, err := p.value("", 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Invalid, "web.error.malformed", nil)
	}
	return v, nil
}

type parser struct {
	d     *json.Decoder
	count int
}

func (p *parser) value(at string, depth int) (any, error) {
	p.count++
	if depth > maxDepth || p.count > maxMembers {
		return nil, fault.New(fault.Invalid, "web.error.too-deep", nil)
	}
	tok, err := p.d.Token()
	if err != nil {
		return nil, fault.New(fault.Invalid, "web.error.malformed", err)
	}
	switch tok := tok.(type) {
	case json.Number:
		f, err := tok.Float64()
		if err != nil {
			return nil, fault.New(fault.Invalid, "web.error.invalid", nil).At(at, codeType)
		}
		return f, nil
	case json.Delim:
		if tok == '[' {
			list := []any{}
			for i := 0; p.d.More(); i++ {
				v, err := p.value(at+"/"+strconv.Itoa(i), depth+1)
				if err != nil {
					return nil, err
				}
				list = append(list, v)
			}
			_, err := p.d.Token()
			return list, malformed(err)
		}
		obj := map[string]any{}
		for p.d.More() {
			key, err := p.d.Token()
			if err != nil {
				return nil, malformed(err)
			}
			name, ok := key.(string)
			if !ok {
				return nil, fault.New(fault.Invalid, "web.error.malformed", nil)
			}
			here := at + "/" + pointer(name)
			if _, twice := obj[name]; twice {
				return nil, fault.New(fault.Invalid, "web.error.invalid", nil).At(here, codeTwice)
			}
			v, err := p.value(here, depth+1)
			if err != nil {
				return nil, err
			}
			obj[name] = v
		}
		_, err := p.d.Token()
		return obj, malformed(err)
	}
	return tok, nil
}

func malformed(err error) error {
	if err == nil {
		return nil
	}
	return fault.New(fault.Invalid, "web.error.malformed", err)
}

// pointer escapes a member's name for a JSON pointer (RFC 6901).
func pointer(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(clip(name))
}

// clip bounds a name that a client chose, and takes what could deceive a
// reader of a terminal or log out of it.
func clip(name string) string {
	clean := strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return '?'
		}
		return r
	}, name)
	if len(clean) > 64 {
		return clean[:64] + "~"
	}
	return clean
}

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

// ETag is the entity tag of a revision.
func ETag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// IfMatch checks the If-Match header of a change against the revision that is
// stored. An empty header is refused: whoever changes says what she saw.
func IfMatch(header string, revision int64) error {
	if header == "" {
		return fault.New(fault.Precondition, "web.error.if-match-missing", nil)
	}
	if header == "*" {
		return nil
	}
	for tag := range strings.SplitSeq(header, ",") {
		if strings.TrimSpace(tag) == ETag(revision) {
			return nil
		}
	}
	return fault.New(fault.Precondition, "web.error.changed-meanwhile", nil)
}
