package app

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// Config is the whole configuration. Every key of the TOML file is also an
// environment variable (REMPART_ and the path joined by _, in capitals; with
// _FILE appended, a file that holds the value) and a flag (the path joined by
// hyphens). The zero value runs on ./rempart-data at http://localhost:8080.
type Config struct {
	Data     string         `toml:"data" doc:"folder of everything that is not elsewhere; default ./rempart-data"`
	HTTP     HTTPConfig     `toml:"http"`
	Database DatabaseConfig `toml:"database"`
	Keys     KeysConfig     `toml:"keys"`
	Mail     MailConfig     `toml:"mail"`
	Log      LogConfig      `toml:"log"`
	Contact  ContactConfig  `toml:"contact"`
}

// HTTPConfig is where the server is reached.
type HTTPConfig struct {
	BaseURL        string   `toml:"base_url" doc:"issuer and origin of every link, without trailing slash; fixed at the first start; default http://localhost:8080"`
	Addr           string   `toml:"addr" doc:"address and port to listen on; default 127.0.0.1:8080"`
	MetricsAddr    string   `toml:"metrics_addr" doc:"address and port of the metrics listener; empty: none"`
	TrustedProxies []string `toml:"trusted_proxies" doc:"networks whose forwarding header is believed; default none"`
	TLS            string   `toml:"tls" doc:"off, files or acme; default off, and then the base URL is https only behind a trusted proxy"`
	CertFile       string   `toml:"cert_file" doc:"certificate chain (PEM), with tls = files"`
	KeyFile        string   `toml:"key_file" doc:"private key (PEM), with tls = files"`
	ACMEEmail      string   `toml:"acme_email" doc:"address for the certificate authority, with tls = acme"`
	RedirectAddr   string   `toml:"redirect_addr" doc:"address and port that answers plain HTTP with a redirect, e.g. :80; empty: none"`
}

// DatabaseConfig is the main database and the keys database.
type DatabaseConfig struct {
	URL          string `toml:"url" doc:"postgres://role@host/database of the serving role; empty: embedded SQLite in the data folder"`
	SystemURL    string `toml:"system_url" doc:"the same database, second role, for staff and system scopes"`
	OwnerURL     string `toml:"owner_url" doc:"the same database, owner of the tables; needed by migrate only"`
	KeysURL      string `toml:"keys_url" doc:"the keys database, on another cluster"`
	KeysSysURL   string `toml:"keys_system_url" doc:"the keys database, second role"`
	KeysOwnerURL string `toml:"keys_owner_url" doc:"the keys database, owner of the tables; needed by migrate only"`
	Pool         int    `toml:"pool" doc:"connections a pool; default by the number of cores"`
}

// KeysConfig is the root key and the places of the keys' copies.
type KeysConfig struct {
	Provider   string   `toml:"provider" doc:"where the root key is: file (default)"`
	File       string   `toml:"file" doc:"file of the root key; default root.key in the data folder. Keep it on another disk"`
	Passphrase string   `toml:"passphrase" doc:"passphrase that the root key is derived from, instead of a file"`
	Term       Duration `toml:"term" doc:"how long older copies of keys live, 1h to 840h; default 24h"`
	Copies     string   `toml:"copies" doc:"folder of the copies of keys; default keys-copy in the data folder"`
	Ledger     []string `toml:"ledger" doc:"two folders of the erasure ledger; default ledger and ledger-2 in the data folder"`
}

// MailConfig is how mail leaves.
type MailConfig struct {
	Host     string `toml:"host" doc:"SMTP server; empty: mail is kept in the outbox and not sent"`
	Port     int    `toml:"port" doc:"its port; default 587"`
	Username string `toml:"username" doc:"SMTP user; empty: no authentication"`
	Password string `toml:"password" doc:"SMTP password"`
	From     string `toml:"from" doc:"sender, as in Rempart <no-reply@example.com>"`
}

// LogConfig is the process log.
type LogConfig struct {
	Level  string `toml:"level" doc:"debug, info, warn or error; default info"`
	Format string `toml:"format" doc:"json or text; default json"`
}

// ContactConfig is what /.well-known/security.txt says (RFC 9116).
type ContactConfig struct {
	Security string    `toml:"security" doc:"mailto: or https: address for reports of vulnerabilities"`
	Policy   string    `toml:"policy" doc:"https: address of the disclosure policy"`
	Expires  time.Time `toml:"expires" doc:"when the contact must have been confirmed again"`
}

// Duration is a time.Duration written as in Go: 24h, 90m.
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is no duration such as 24h", b)
	}
	*d = Duration(v)
	return nil
}

// Key is one key of the configuration, for documents and flags.
type Key struct {
	Path string // "http.base_url"
	Env  string // "REMPART_HTTP_BASE_URL"
	Flag string // "http-base-url"
	Doc  string
	set  func(string) error
}

// List gives the keys of c in the order of the file.
func (c *Config) List() []Key { return keysOf(reflect.ValueOf(c).Elem(), nil) }

func keysOf(v reflect.Value, path []string) (out []Key) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		p := append(path[:len(path):len(path)], f.Tag.Get("toml"))
		field := v.Field(i)
		if _, text := field.Addr().Interface().(interface{ UnmarshalText([]byte) error }); field.Kind() == reflect.Struct && !text {
			out = append(out, keysOf(field, p)...)
			continue
		}
		name := strings.Join(p, "_")
		out = append(out, Key{
			Path: strings.Join(p, "."), Env: "REMPART_" + strings.ToUpper(name),
			Flag: strings.ReplaceAll(name, "_", "-"), Doc: f.Tag.Get("doc"),
			set: func(s string) error { return assign(field, s) },
		})
	}
	return out
}

func assign(field reflect.Value, s string) error {
	if u, ok := field.Addr().Interface().(interface{ UnmarshalText([]byte) error }); ok {
		return u.UnmarshalText([]byte(s))
	}
	switch field.Kind() {
	case reflect.String:
		field.SetString(s)
	case reflect.Int:
		n, err := strconv.Atoi(s)
		if err != nil {
			return fmt.Errorf("%q is no number", s)
		}
		field.SetInt(int64(n))
	case reflect.Slice:
		var list []string
		for _, p := range strings.Split(s, ",") {
			if p = strings.TrimSpace(p); p != "" {
				list = append(list, p)
			}
		}
		field.Set(reflect.ValueOf(list))
	default:
		return fmt.Errorf("a value of kind %s can't be set", field.Kind())
	}
	return nil
}

// LoadConfig reads the file (empty: none), then the environment, then flags
// (by their names), each above the one before, and fills the defaults. The
// error lists every problem in a sentence.
func LoadConfig(file string, environ []string, flags map[string]string) (Config, error) {
	var c Config
	var problems []error
	if file != "" {
		meta, err := toml.DecodeFile(file, &c)
		var pe toml.ParseError
		switch {
		case errors.As(err, &pe):
			return c, fmt.Errorf("%s, line %d: %s", file, pe.Position.Line, pe.Message)
		case err != nil:
			return c, fmt.Errorf("the configuration file can't be read: %w", err)
		}
		for _, k := range meta.Undecoded() {
			problems = append(problems, fmt.Errorf("%s: there is no key %s", file, k))
		}
	}
	env := map[string]string{}
	for _, e := range environ {
		if k, v, ok := strings.Cut(e, "="); ok && strings.HasPrefix(k, "REMPART_") {
			env[k] = v
		}
	}
	known := map[string]bool{}
	for _, k := range c.List() {
		known[k.Env], known[k.Env+"_FILE"] = true, true
		value, ok := env[k.Env]
		if from, isFile := env[k.Env+"_FILE"]; isFile && !ok {
			b, err := os.ReadFile(from)
			if err != nil {
				problems = append(problems, fmt.Errorf("%s_FILE: %w", k.Env, err))
				continue
			}
			value, ok = strings.TrimRight(string(b), "\r\n"), true
		}
		if f, set := flags[k.Flag]; set {
			value, ok = f, true
		}
		if ok {
			if err := k.set(value); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", k.Path, err))
			}
		}
	}
	for name := range env {
		if !known[name] && !strings.HasPrefix(name, "REMPART_TEST_") {
			problems = append(problems, fmt.Errorf("the environment has %s, and there is no such key", name))
		}
	}
	c.defaults()
	problems = append(problems, c.problems()...)
	return c, errors.Join(problems...)
}

func (c *Config) defaults() {
	or := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	or(&c.Data, "rempart-data")
	or(&c.HTTP.BaseURL, "http://localhost:8080")
	or(&c.HTTP.Addr, "127.0.0.1:8080")
	or(&c.HTTP.TLS, "off")
	or(&c.Keys.Provider, "file")
	or(&c.Keys.File, filepath.Join(c.Data, "root.key"))
	or(&c.Keys.Copies, filepath.Join(c.Data, "keys-copy"))
	or(&c.Log.Level, "info")
	or(&c.Log.Format, "json")
	if len(c.Keys.Ledger) == 0 {
		c.Keys.Ledger = []string{filepath.Join(c.Data, "ledger"), filepath.Join(c.Data, "ledger-2")}
	}
	if c.Keys.Term == 0 {
		c.Keys.Term = Duration(24 * time.Hour)
	}
	if c.Mail.Port == 0 {
		c.Mail.Port = 587
	}
}

// problems finds what can't work, each in one sentence that names its key.
func (c *Config) problems() (out []error) {
	bad := func(format string, a ...any) { out = append(out, fmt.Errorf(format, a...)) }
	u, err := url.Parse(c.HTTP.BaseURL)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		bad("http.base_url: %q is no origin such as https://id.example.com", c.HTTP.BaseURL)
	case u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		bad("http.base_url: give only scheme, host and port, without trailing slash")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		bad("http.base_url: plain http is for localhost only; use https")
	}
	for _, a := range []struct{ key, addr string }{{"http.addr", c.HTTP.Addr}, {"http.metrics_addr", c.HTTP.MetricsAddr}, {"http.redirect_addr", c.HTTP.RedirectAddr}} {
		if a.addr == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(a.addr); err != nil {
			bad("%s: %q is no address with a port, such as 127.0.0.1:8080", a.key, a.addr)
		}
	}
	if _, err := c.Proxies(); err != nil {
		bad("http.trusted_proxies: %w", err)
	}
	switch c.HTTP.TLS {
	case "off":
		if u != nil && u.Scheme == "https" && len(c.HTTP.TrustedProxies) == 0 {
			bad("http.tls is off while base_url is https: name the proxy that ends TLS in http.trusted_proxies, or set tls to files or acme")
		}
	case "files":
		if c.HTTP.CertFile == "" || c.HTTP.KeyFile == "" {
			bad("http.tls is files: give cert_file and key_file")
		}
	case "acme":
		if c.HTTP.ACMEEmail == "" {
			bad("http.tls is acme: give acme_email")
		}
	default:
		bad("http.tls: %q is none of off, files, acme", c.HTTP.TLS)
	}
	d := c.Database
	if (d.URL != "") != (d.SystemURL != "") || (d.URL != "") != (d.KeysURL != "") || (d.URL != "") != (d.KeysSysURL != "") {
		bad("database: PostgreSQL needs url, system_url, keys_url and keys_system_url together")
	}
	if c.Keys.Provider != "file" {
		bad("keys.provider: %q is not known; there is file", c.Keys.Provider)
	}
	if t := time.Duration(c.Keys.Term); t < time.Hour || t > 35*24*time.Hour {
		bad("keys.term: %s is outside 1h to 840h", t)
	}
	if len(c.Keys.Ledger) != 2 || c.Keys.Ledger[0] == c.Keys.Ledger[1] {
		bad("keys.ledger: name two different folders")
	}
	switch c.Log.Level {
	case "debug", "info", "warn", "error":
	default:
		bad("log.level: %q is none of debug, info, warn, error", c.Log.Level)
	}
	if c.Log.Format != "json" && c.Log.Format != "text" {
		bad("log.format: %q is neither json nor text", c.Log.Format)
	}
	if c.Mail.Host != "" && c.Mail.From == "" {
		bad("mail.from: name the sender")
	}
	return out
}

// Proxies are the trusted networks.
func (c *Config) Proxies() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range c.HTTP.TrustedProxies {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, aerr := netip.ParseAddr(s)
			if aerr != nil {
				return nil, fmt.Errorf("%q is neither an address nor a network", s)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
