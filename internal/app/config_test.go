package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/app"
)

func TestWithoutAnyConfigurationItRunsOnTheDataFolder(t *testing.T) {
	c, err := app.LoadConfig("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Data != "rempart-data" || c.HTTP.BaseURL != "http://localhost:8080" || time.Duration(c.Keys.Term) != 24*time.Hour {
		t.Fatalf("%+v", c)
	}
}

func TestFlagsAreAboveTheEnvironmentAndTheEnvironmentAboveTheFile(t *testing.T) {
	dir := t.TempDir()
	file, secret := filepath.Join(dir, "c.toml"), filepath.Join(dir, "secret")
	for name, text := range map[string]string{file: "data = \"a\"\n[http]\naddr = \"127.0.0.1:1\"\nbase_url = \"http://localhost:1\"\n[log]\nlevel = \"warn\"\n", secret: "s3cret\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := app.LoadConfig(file, []string{"REMPART_HTTP_ADDR=127.0.0.1:2", "REMPART_HTTP_BASE_URL=http://localhost:2", "REMPART_MAIL_PASSWORD_FILE=" + secret, "PATH=/bin"}, map[string]string{"http-base-url": "http://localhost:3"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Data != "a" || c.HTTP.Addr != "127.0.0.1:2" || c.HTTP.BaseURL != "http://localhost:3" || c.Log.Level != "warn" || c.Mail.Password != "s3cret" {
		t.Fatalf("%+v", c)
	}
}

func TestEachProblemIsASentenceThatNamesItsKey(t *testing.T) {
	for name, tc := range map[string]struct {
		flags map[string]string
		want  string
	}{
		"a base URL with a path":              {map[string]string{"http-base-url": "https://a.example/x"}, "http.base_url"},
		"plain http on the network":           {map[string]string{"http-base-url": "http://a.example"}, "use https"},
		"https without TLS or proxy":          {map[string]string{"http-base-url": "https://a.example"}, "trusted_proxies"},
		"an address without a port":           {map[string]string{"http-addr": "localhost"}, "http.addr"},
		"a proxy that is no network":          {map[string]string{"http-trusted-proxies": "10.0.0.0/99"}, "http.trusted_proxies"},
		"TLS from files that are not named":   {map[string]string{"http-tls": "files"}, "cert_file"},
		"one PostgreSQL URL of four":          {map[string]string{"database-url": "postgres://a@b/c"}, "together"},
		"a term beyond the limit":             {map[string]string{"keys-term": "10000h"}, "keys.term"},
		"a term that is no duration":          {map[string]string{"keys-term": "a day"}, "keys.term"},
		"one place of the ledger":             {map[string]string{"keys-ledger": "a"}, "keys.ledger"},
		"a level that is none":                {map[string]string{"log-level": "loud"}, "log.level"},
		"a mail server without a sender":      {map[string]string{"mail-host": "smtp.example"}, "mail.from"},
		"a pool that is no number":            {map[string]string{"database-pool": "many"}, "database.pool"},
		"a key vault that there is not (yet)": {map[string]string{"keys-provider": "hsm"}, "keys.provider"},
	} {
		if _, err := app.LoadConfig("", nil, tc.flags); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := app.LoadConfig("", []string{"REMPART_HTTP_ADRR=x"}, nil); err == nil || !strings.Contains(err.Error(), "REMPART_HTTP_ADRR") {
		t.Errorf("a misspelt variable: %v", err)
	}
}
