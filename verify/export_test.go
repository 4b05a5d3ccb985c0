package verify

// ReadText reads a JSON string that is the whole of b.
func ReadText(b []byte) (string, bool) {
	s := scan{b: b}
	out := string(s.text())
	return out, s.end()
}

// WriteText writes a JSON string.
func WriteText(s string) []byte { return appendText(nil, s) }
