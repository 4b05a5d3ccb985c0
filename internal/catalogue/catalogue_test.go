package catalogue_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rempart/rempart/internal/catalogue"
)

// The documents of docs/ are what the manifests say.
func TestDocumentsAreFresh(t *testing.T) {
	files, err := catalogue.Files()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		have, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		if string(have) != string(want) {
			t.Errorf("docs/%s is stale: run rempart docs --into docs", name)
		}
	}
}
