package input

// ParseJSON is parseJSON, for the fuzz test.
func ParseJSON(raw []byte) (any, error) { return parseJSON(raw) }
