package notes_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rempart/rempart/examples/notes"
)

// The page once ended in its heading: its template read a field that templates
// cannot see.
func TestThePageIsWhole(t *testing.T) {
	w := httptest.NewRecorder()
	notes.New(notes.Config{BaseURL: "http://127.0.0.1:8090"}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 200 || !strings.Contains(w.Body.String(), `href="/sign-in"`) || !strings.HasSuffix(w.Body.String(), "</html>\n") {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
}

func TestACallbackThatWasNotBegunHereIsRefused(t *testing.T) {
	w := httptest.NewRecorder()
	notes.New(notes.Config{BaseURL: "http://127.0.0.1:8090", Issuer: "http://localhost:1"}).ServeHTTP(w, httptest.NewRequest("GET", "/callback?code=x&state=y&iss=http%3A%2F%2Flocalhost%3A1", nil))
	if w.Code != 400 {
		t.Fatalf("status %d", w.Code)
	}
}
