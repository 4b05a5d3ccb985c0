package input_test

import (
	"testing"

	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/web/input"
)

func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":[1,2,{"b":null}]}`, `{"a":1,"a":2}`, `[[[[`, `{"a":1e999}`, `"\ud800"`, `{"":{}}`, `1 2`, `{"a":}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := input.ParseJSON(raw); err != nil && fault.Of(err) == nil {
			t.Errorf("%q: an error that is no fault: %v", raw, err)
		}
	})
}
