// Command notes runs the example relying party beside a Rempart installation:
//
//	ISSUER=http://localhost:8080 CLIENT_ID=cli_… CLIENT_SECRET=rmp_cs_… go run ./examples/notes/cmd/notes
//
// Register http://127.0.0.1:8090/callback as its redirect URI.
package main

import (
	"log"
	"net/http"
	"os"
	"time"

	"github.com/rempart/rempart/examples/notes"
)

func main() {
	const addr = "127.0.0.1:8090"
	app := notes.New(notes.Config{Issuer: os.Getenv("ISSUER"), ClientID: os.Getenv("CLIENT_ID"), ClientSecret: os.Getenv("CLIENT_SECRET"), BaseURL: "http://" + addr})
	s := &http.Server{Addr: addr, Handler: app, ReadHeaderTimeout: 5 * time.Second}
	log.Printf("notes on http://%s", addr)
	log.Fatal(s.ListenAndServe())
}
