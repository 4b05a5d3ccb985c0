package provider_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"

	"github.com/rempart/rempart/internal/audit"
)

func jsonUnmarshal(b []byte, v any) error { return json.Unmarshal(b, v) }

func bearerRequest(method, path, token string) *http.Request {
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// bearerless is a GET of a target that may be malformed in its query.
func bearerless(target string) *http.Request {
	r := httptest.NewRequest("GET", "/oauth/authorize", nil)
	r.URL, _ = r.URL.Parse(target)
	r.RequestURI = target
	return r
}

func auditEntry(kind string) audit.Entry {
	return audit.Entry{Kind: kind, Target: audit.Target{Kind: "session"}}
}
