package input

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/rempart/rempart/internal/fault"
)

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
