// Package notes is a small application that trusts Rempart for sign-in: each
// organization has its own notes, and a person sees those of the organization
// she came in for. It uses OpenID Connect as any provider offers it, and
// nothing of Rempart's code: read it as the example of a relying party.
//
// Notes are kept in memory: this is an example, not a notebook.
package notes

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Config names the provider and this client's registration with it.
type Config struct {
	Issuer       string // of the provider
	ClientID     string
	ClientSecret string
	BaseURL      string // of this application, without trailing slash; /callback is the redirect URI
	HTTP         *http.Client
}

// App is the application; it is an http.Handler.
type App struct {
	cfg Config
	mux *http.ServeMux

	once     sync.Mutex
	provider *oidc.Provider

	mu       sync.Mutex
	sessions map[string]*session
	notes    map[string][]note // by organization
}

type session struct {
	// Of a sign-in under way, bound to this browser by the cookie.
	state, nonce, verifier string

	// Of a person who is signed in.
	Subject, Name, Email, Org, OrgName string
	Roles                              []string
	idToken                            string
	expires                            time.Time
}

type note struct {
	Text, By string
	At       time.Time
}

// maxSessions bounds the memory that strangers can take.
const maxSessions = 10000

const cookieName = "notes_session"

// New makes the application. The provider is asked for its metadata at the
// first sign-in, not before.
func New(cfg Config) *App {
	a := &App{cfg: cfg, mux: http.NewServeMux(), sessions: map[string]*session{}, notes: map[string][]note{}}
	a.mux.HandleFunc("GET /{$}", a.home)
	a.mux.HandleFunc("GET /sign-in", a.signIn)
	a.mux.HandleFunc("GET /callback", a.callback)
	a.mux.HandleFunc("POST /notes", a.add)
	a.mux.HandleFunc("POST /sign-out", a.signOut)
	return a
}

// ServeHTTP implements http.Handler.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.NewCrossOriginProtection().Handler(a.mux).ServeHTTP(w, r)
}

// client reads the provider's metadata once it is needed.
func (a *App) client(ctx context.Context) (*oidc.Provider, *oauth2.Config, error) {
	a.once.Lock()
	defer a.once.Unlock()
	if a.provider == nil {
		p, err := oidc.NewProvider(ctx, a.cfg.Issuer)
		if err != nil {
			return nil, nil, err
		}
		a.provider = p
	}
	return a.provider, &oauth2.Config{
		ClientID: a.cfg.ClientID, ClientSecret: a.cfg.ClientSecret, Endpoint: a.provider.Endpoint(),
		RedirectURL: a.cfg.BaseURL + "/callback", Scopes: []string{oidc.ScopeOpenID, "profile", "email"},
	}, nil
}

func (a *App) context(r *http.Request) context.Context {
	if a.cfg.HTTP != nil {
		return oidc.ClientContext(r.Context(), a.cfg.HTTP)
	}
	return r.Context()
}

func random() string {
	var b [32]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // crypto/rand never fails on supported systems
	}
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// find gives the session of the cookie, or nil.
func (a *App) find(r *http.Request) *session {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sessions[c.Value]
	if s == nil || time.Now().After(s.expires) {
		delete(a.sessions, c.Value)
		return nil
	}
	return s
}

// start replaces the browser's session by s, under a new secret.
func (a *App) start(w http.ResponseWriter, r *http.Request, s *session) {
	key := random()
	a.mu.Lock()
	if c, err := r.Cookie(cookieName); err == nil {
		delete(a.sessions, c.Value)
	}
	if len(a.sessions) >= maxSessions {
		for k := range a.sessions { // an arbitrary one
			delete(a.sessions, k)
			break
		}
	}
	a.sessions[key] = s
	a.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: key, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(a.cfg.BaseURL, "https:")})
}

func (a *App) signIn(w http.ResponseWriter, r *http.Request) {
	_, client, err := a.client(a.context(r))
	if err != nil {
		a.fail(w, http.StatusBadGateway, "The sign-in service does not answer.", err)
		return
	}
	s := &session{state: random(), nonce: random(), verifier: oauth2.GenerateVerifier(), expires: time.Now().Add(10 * time.Minute)}
	a.start(w, r, s)
	opts := []oauth2.AuthCodeOption{oidc.Nonce(s.nonce), oauth2.S256ChallengeOption(s.verifier)}
	if org := r.URL.Query().Get("organization"); org != "" {
		opts = append(opts, oauth2.SetAuthURLParam("organization", org))
	}
	http.Redirect(w, r, client.AuthCodeURL(s.state, opts...), http.StatusSeeOther)
}

func (a *App) callback(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	began := a.find(r)
	// The answer belongs to the browser that asked (state), and to the provider that was asked (RFC 9207).
	if began == nil || began.state == "" || q.Get("state") != began.state || q.Get("iss") != a.cfg.Issuer {
		a.fail(w, http.StatusBadRequest, "This sign-in was not begun in this browser, or took too long. Please try again.", nil)
		return
	}
	if code := q.Get("error"); code != "" {
		a.fail(w, http.StatusForbidden, "The sign-in was refused.", errors.New(code))
		return
	}
	ctx := a.context(r)
	provider, client, err := a.client(ctx)
	if err != nil {
		a.fail(w, http.StatusBadGateway, "The sign-in service does not answer.", err)
		return
	}
	tokens, err := client.Exchange(ctx, q.Get("code"), oauth2.VerifierOption(began.verifier))
	if err != nil {
		a.fail(w, http.StatusBadGateway, "The sign-in could not be completed. Please try again.", err)
		return
	}
	raw, _ := tokens.Extra("id_token").(string)
	token, err := provider.Verifier(&oidc.Config{ClientID: a.cfg.ClientID, SupportedSigningAlgs: []string{oidc.ES256, oidc.RS256}}).Verify(ctx, raw)
	if err != nil || token.Nonce != began.nonce {
		a.fail(w, http.StatusBadGateway, "The sign-in could not be completed. Please try again.", err)
		return
	}
	var claims struct {
		Name    string   `json:"name"`
		Email   string   `json:"email"`
		Org     string   `json:"org_id"`
		OrgName string   `json:"org_name"`
		Roles   []string `json:"roles"`
	}
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err == nil && info.Subject != token.Subject {
		err = errors.New("userinfo is about somebody else")
	}
	if err == nil {
		err = errors.Join(token.Claims(&claims), info.Claims(&claims))
	}
	if err != nil {
		a.fail(w, http.StatusBadGateway, "The sign-in could not be completed. Please try again.", err)
		return
	}
	a.start(w, r, &session{Subject: token.Subject, Name: cmp.Or(claims.Name, claims.Email, token.Subject), Email: claims.Email, Org: claims.Org,
		OrgName: cmp.Or(claims.OrgName, claims.Org), Roles: claims.Roles, idToken: raw, expires: time.Now().Add(8 * time.Hour)})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (a *App) add(w http.ResponseWriter, r *http.Request) {
	s := a.find(r)
	if s == nil || s.Subject == "" || s.Org == "" {
		http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	text := strings.TrimSpace(r.PostFormValue("text"))
	if text != "" && len(text) <= 2000 {
		a.mu.Lock()
		list := append([]note{{Text: text, By: s.Name, At: time.Now()}}, a.notes[s.Org]...)
		a.notes[s.Org] = list[:min(len(list), 200)]
		a.mu.Unlock()
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// signOut ends the session here, then at the provider.
func (a *App) signOut(w http.ResponseWriter, r *http.Request) {
	s := a.find(r)
	a.mu.Lock()
	if c, err := r.Cookie(cookieName); err == nil {
		delete(a.sessions, c.Value)
	}
	a.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1})
	if s == nil || s.idToken == "" {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	provider, _, err := a.client(a.context(r))
	var meta struct {
		End string `json:"end_session_endpoint"`
	}
	if err != nil || provider.Claims(&meta) != nil || meta.End == "" {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	v := "?client_id=" + template.URLQueryEscaper(a.cfg.ClientID) + "&id_token_hint=" + template.URLQueryEscaper(s.idToken) + "&post_logout_redirect_uri=" + template.URLQueryEscaper(a.cfg.BaseURL+"/")
	http.Redirect(w, r, meta.End+v, http.StatusSeeOther)
}

type view struct {
	Who   *session // nil: nobody is signed in
	Notes []note
	Error string
}

func (a *App) home(w http.ResponseWriter, r *http.Request) {
	v := view{Who: a.find(r)}
	if v.Who != nil && v.Who.Subject == "" {
		v.Who = nil
	}
	if v.Who != nil {
		a.mu.Lock()
		v.Notes = append(v.Notes, a.notes[v.Who.Org]...)
		a.mu.Unlock()
	}
	a.render(w, http.StatusOK, v)
}

// fail shows the sentence; the cause is for whoever runs the example.
func (a *App) fail(w http.ResponseWriter, status int, sentence string, cause error) {
	if cause != nil {
		fmt.Printf("notes: %s: %v\n", sentence, cause)
	}
	a.render(w, status, view{Error: sentence})
}

func (a *App) render(w http.ResponseWriter, status int, v view) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = page.Execute(w, v)
}
