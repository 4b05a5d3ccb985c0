package scenario_test

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/provider"
	"github.com/rempart/rempart/internal/tlog"
)

// TestCampaignKill kills the demo at a random instant while clients take
// tokens, starts it again and has every invariant checked, for as long as
// REMPART_CAMPAIGN says (`make campaign`). No acknowledged grant may be lost:
// the log must hold at least as many as were answered.
func TestCampaignKill(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("REMPART_CAMPAIGN"))
	if err != nil {
		t.Skip("a campaign takes as long as REMPART_CAMPAIGN says; make campaign sets it")
	}
	dir := t.TempDir()
	bin, data, ready := filepath.Join(dir, "rempart"), filepath.Join(dir, "data"), filepath.Join(dir, "ready.json")
	if out, err := exec.Command("go", "build", "-o", bin, "../../cmd/rempart").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	command := func(args ...string) *exec.Cmd {
		c := exec.Command(bin, args...)
		for _, e := range os.Environ() {
			if !strings.HasPrefix(e, "REMPART_") { // the product refuses keys that it does not know
				c.Env = append(c.Env, e)
			}
		}
		return c
	}
	kills, answered := 0, 0
	for end := time.Now().Add(length); time.Now().Before(end); kills++ {
		os.Remove(ready)
		demo := command("demo", "--addr", "127.0.0.1:0", "--data", data, "--ready", ready)
		if err := demo.Start(); err != nil {
			t.Fatal(err)
		}
		var c struct {
			Issuer  string
			Clients []struct {
				Name     string
				ClientID string `json:"client_id"`
				Secret   string `json:"client_secret"`
			}
		}
		for range 600 {
			if b, err := os.ReadFile(ready); err == nil && json.Unmarshal(b, &c) == nil {
				break
			}
			<-time.After(50 * time.Millisecond)
		}
		if c.Issuer == "" {
			t.Fatalf("the demo did not come up after %d kills", kills)
		}
		ctx, stop := context.WithTimeout(context.Background(), time.Duration(50+rand.IntN(1500))*time.Millisecond)
		done := make(chan int)
		for range 8 {
			go func() { done <- grants(ctx, c.Issuer, c.Clients[3].ClientID, c.Clients[3].Secret) }()
		}
		<-ctx.Done()
		stop()
		_ = demo.Process.Kill()
		for range 8 {
			answered += <-done
		}
		_ = demo.Wait()
		if out, err := command("check", "--data", data).CombinedOutput(); err != nil {
			t.Fatalf("after kill %d: %v\n%s", kills+1, err, out)
		}
	}
	b, err := command("audit", "export", "--data", data).Output()
	if err != nil {
		t.Fatal(err)
	}
	logged := 0
	for line := range bytes.Lines(b) {
		var e struct{ Header []byte }
		if json.Unmarshal(line, &e) != nil || e.Header == nil {
			continue
		}
		if h, err := tlog.ParseHeader(e.Header); err == nil && h.Kind == provider.EventTokenIssued {
			logged++
		}
	}
	if logged < answered {
		t.Errorf("%d grants answered, %d in the log", answered, logged)
	}
	t.Logf("%d kills, %d grants answered, every invariant held after each", kills, answered)
}

// grants takes tokens until ctx ends, and counts those answered.
func grants(ctx context.Context, issuer, client, secret string) (n int) {
	body := url.Values{"grant_type": {"client_credentials"}}.Encode()
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, "POST", issuer+"/oauth/token", strings.NewReader(body))
		if err != nil {
			return n
		}
		req.SetBasicAuth(client, secret)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			continue
		}
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			n++
		}
	}
	return n
}
