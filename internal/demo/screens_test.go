package demo_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/demo"
	"github.com/rempart/rempart/internal/scenario/webdriver"
)

// TestScreens takes the pictures of the documents again (`make screens`).
func TestScreens(t *testing.T) {
	if os.Getenv("REMPART_SCREENS") != "write" {
		t.Skip("pictures are taken by make screens, and looked at by people")
	}
	c := run(t, demo.Options{})
	b := webdriver.Start(t, webdriver.Options{Height: 1000})
	take := func(name string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join("../../docs/images", name+".png"), b.Screenshot(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b.Open(c.BaseURL + "/sign-in")
	take("sign-in")
	o := c.Organizations[0].Owner
	signIn(t, b, o.Email, o.Password, "")
	b.Open(c.ConsoleURL + "/o/" + c.Organizations[0].Slug + "/log")
	take("log")
	<-time.After(time.Minute) // every control has then run once
	b.Open(c.TrustURL)
	b.Script(`document.documentElement.style.height = "1000px"; document.documentElement.style.overflow = "hidden"; return null`, nil)
	take("trust")
}
