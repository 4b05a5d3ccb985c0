package demo_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/rempart/rempart/internal/demo"
	"github.com/rempart/rempart/internal/store/storetest"
)

// The demo makes its databases and roles on a cluster, and finds them again.
func TestTheDemoRunsOnPostgreSQL(t *testing.T) {
	cluster, err := storetest.Start()
	if err != nil {
		if strings.Contains(os.Getenv("REMPART_TEST_REQUIRE"), "postgres") {
			t.Fatal(err)
		}
		t.Skipf("PostgreSQL can't be had here: %v", err)
	}
	t.Cleanup(cluster.Stop)
	o := demo.Options{Data: t.TempDir(), Database: cluster.URL, KeysDatabase: cluster.URL}
	var first demo.Contract
	t.Run("first start", func(t *testing.T) { first = run(t, o) })
	again := run(t, o)
	req, err := http.NewRequest("GET", again.APIURL+"/orgs/"+again.Organizations[0].ID+"/members", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+first.Organizations[0].AdminKey.Key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("the key of the first start answers %d", res.StatusCode)
	}
}
