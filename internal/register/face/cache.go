package face

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/console"
	"github.com/rempart/rempart/internal/i18n"
	"github.com/rempart/rempart/internal/web"
)

// freshFor is how long bytes are kept when nothing changes: they say "two
// minutes ago".
const freshFor = 30 * time.Second

// pageKey names one rendering. Only paths of things that exist are kept, so
// that visitors cannot fill the memory.
type pageKey struct{ path, lang, theme string }

// rendered is one answer, ready to be sent. Immutable.
type rendered struct {
	media, lang string
	body, gzip  []byte
	etag        string
	length      [2]string // of body and gzip
	register    int64     // revisions it was made from
	trust       int64
	at          time.Time
}

// serve answers from the kept bytes, and builds them when they are not those
// of the present. A build that fails keeps nothing.
func (s *Service) serve(w http.ResponseWriter, r *http.Request, key pageKey, media string, build func(ctx context.Context) ([]byte, error)) error {
	ctx := r.Context()
	own, trust, err := s.revisions(ctx)
	if err != nil {
		return err
	}
	p := s.kept(key, own, trust)
	if p == nil {
		if p, err = s.build(ctx, key, media, own, trust, build); err != nil {
			return err
		}
	}
	h := w.Header()
	h["Etag"] = []string{p.etag}
	h["Vary"] = varies
	h["Content-Type"] = []string{p.media}
	if p.lang != "" {
		h["Content-Language"] = []string{p.lang}
	}
	if m := r.Header.Get("If-None-Match"); m != "" && strings.Contains(m, p.etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	body, n := p.body, 0
	if p.gzip != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		body, n = p.gzip, 1
		h["Content-Encoding"] = gzipped
	}
	h["Content-Length"] = []string{p.length[n]}
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		w.Write(body) // a peer that has gone is nobody to tell
	}
	return nil
}

var (
	varies  = []string{"Accept-Language, Accept-Encoding, Cookie"}
	gzipped = []string{"gzip"}
)

func (s *Service) kept(key pageKey, own, trust int64) *rendered {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.cache[key]
	if p == nil || p.register != own || p.trust != trust {
		return nil
	}
	if age := s.Now().Sub(p.at); age < 0 || age > freshFor {
		return nil
	}
	return p
}

func (s *Service) build(ctx context.Context, key pageKey, media string, own, trust int64, build func(ctx context.Context) ([]byte, error)) (*rendered, error) {
	s.building.Lock()
	defer s.building.Unlock()
	if p := s.kept(key, own, trust); p != nil {
		return p, nil // another request has just built it
	}
	body, err := build(ctx)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	p := &rendered{media: media, lang: key.lang, body: body, etag: `W/"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`, register: own, trust: trust, at: s.Now()}
	var z bytes.Buffer
	zw := gzip.NewWriter(&z)
	zw.Write(body) // into memory: cannot fail
	zw.Close()
	if z.Len() < len(body) {
		p.gzip = z.Bytes()
	}
	p.length = [2]string{strconv.Itoa(len(p.body)), strconv.Itoa(len(p.gzip))}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cache == nil {
		s.cache = map[pageKey]*rendered{}
	}
	s.cache[key] = p
	return p, nil
}

// language is what the visitor asked for in the address, else of her browser.
func language(r *http.Request) string {
	if l := r.URL.Query().Get("lang"); slices.Contains(i18n.Languages, l) {
		return l
	}
	return web.Who(r).Lang
}

// keyOf names the rendering of a page for the visitor's language and theme.
// Who is signed in makes no difference: everyone sees the same page.
func keyOf(r *http.Request, path string) pageKey {
	k := pageKey{path: path, lang: language(r), theme: web.ReadPrefs(r).Theme}
	if !slices.Contains(i18n.Languages, k.lang) {
		k.lang = i18n.Languages[0]
	}
	return k
}

// paper is a page of ours as it is written into memory.
type paper struct {
	header http.Header
	body   bytes.Buffer
}

func (p *paper) Header() http.Header         { return p.header }
func (p *paper) WriteHeader(int)             {}
func (p *paper) Write(b []byte) (int, error) { return p.body.Write(b) }

// visitor is a request of nobody for the page, in the language and theme.
func visitor(ctx context.Context, key pageKey) *http.Request {
	r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: key.path}, Header: http.Header{}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	if i := strings.IndexByte(key.path, '?'); i >= 0 {
		r.URL = &url.URL{Path: key.path[:i], RawQuery: key.path[i+1:]}
	}
	if key.theme != "" {
		r.AddCookie(&http.Cookie{Name: "__Host-rempart_prefs", Value: "theme=" + key.theme})
	}
	return web.WithCaller(r.WithContext(ctx), caller.Caller{Lang: key.lang})
}

// render writes a page for everyone.
func (s *Service) render(ctx context.Context, key pageKey, page string, title string, view func(f console.Frame) (any, error), opts ...console.Option) ([]byte, error) {
	r := visitor(ctx, key)
	opts = append([]console.Option{console.Public(page)}, opts...)
	v, err := view(s.Console.Frame(r, title, opts...))
	if err != nil {
		return nil, err
	}
	p := &paper{header: http.Header{}}
	if err := s.Console.Render(p, r, http.StatusOK, views.Get(page), v); err != nil {
		return nil, fmt.Errorf("register/face: %w", err)
	}
	return p.body.Bytes(), nil
}
