package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"
)

// anchors serves the two handlers and prints its address on a line, for the
// process that started it. It returns only with an error.
func anchors() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	mux := http.NewServeMux()
	fixed := []byte(`{"hello":"world"}`)
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(fixed)
	})
	mux.HandleFunc("POST /es256", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		token, err := sign(key)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 600})
	})
	return (&http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}).Serve(l)
}

// sign makes a token with the claims of an access token and a fresh identifier.
func sign(key *ecdsa.PrivateKey) (string, error) {
	var jti [16]byte
	if _, err := rand.Read(jti[:]); err != nil {
		return "", err
	}
	now := time.Now().Unix()
	enc := base64.RawURLEncoding
	claims, err := json.Marshal(map[string]any{
		"iss": "http://127.0.0.1", "sub": "client", "client_id": "client", "aud": "api", "scope": "read",
		"iat": now, "exp": now + 600, "jti": enc.EncodeToString(jti[:]),
	})
	if err != nil {
		return "", err
	}
	head := enc.EncodeToString([]byte(`{"alg":"ES256","kid":"anchor","typ":"at+jwt"}`))
	in := head + "." + enc.EncodeToString(claims)
	sum := sha256.Sum256([]byte(in))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		return "", err
	}
	var raw [64]byte
	r.FillBytes(raw[:32])
	s.FillBytes(raw[32:])
	return in + "." + enc.EncodeToString(raw[:]), nil
}

// hashRate is how many passwords a second the machine can hash on all its
// cores, at the parameters of the product, when it does nothing else.
func hashRate(d time.Duration) float64 {
	var n atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range runtime.NumCPU() {
		wg.Go(func() {
			salt := make([]byte, 16)
			for time.Since(start) < d {
				argon2.IDKey([]byte("correct horse battery staple"), salt, 2, 19*1024, 1, 32)
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(n.Load()) / time.Since(start).Seconds()
}
