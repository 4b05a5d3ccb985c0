package id_test

import (
	"encoding/json"
	"errors"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/id"
)

func TestTextFormRoundTrips(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_123).UTC()
	for range 1000 {
		u := id.NewUser(now)
		s := u.String()
		if !strings.HasPrefix(s, "usr_") || len(s) != 30 {
			t.Fatalf("text form %q", s)
		}
		back, err := id.ParseUser(s)
		if err != nil || back != u {
			t.Fatalf("parse %q: %v %v", s, back, err)
		}
		if !u.Time().Equal(now) {
			t.Fatalf("time %v", u.Time())
		}
	}
}

func TestOrderFollowsTime(t *testing.T) {
	var got []string
	for i := range 100 {
		got = append(got, id.NewEntry(time.UnixMilli(int64(1_790_000_000_000+i))).String())
	}
	if !sort.StringsAreSorted(got) {
		t.Fatal("identifiers of later instants sort earlier")
	}
}

func TestParseRefusesEverythingButTheOneForm(t *testing.T) {
	good := id.NewOrg(time.UnixMilli(1)).String()
	for name, s := range map[string]string{
		"empty": "", "another kind": "usr" + good[3:], "upper case": strings.ToUpper(good),
		"short": good[:29], "long": good + "0", "ambiguous letter": good[:29] + "l",
		"more than 128 bits": "org_8" + good[5:], "all zero": "org_" + strings.Repeat("0", 26),
		"space": " " + good[1:], "no underscore": strings.Replace(good, "_", "-", 1),
	} {
		if _, err := id.ParseOrg(s); !errors.Is(err, id.ErrMalformed) {
			t.Errorf("%s: %q accepted", name, s)
		}
	}
}

// The vector of the TypeID specification for a UUIDv7.
func TestPublishedVector(t *testing.T) {
	b := [16]byte{0x01, 0x89, 0x0a, 0x5d, 0xac, 0x96, 0x77, 0x4b, 0xbc, 0xce, 0xb3, 0x02, 0x09, 0x9a, 0x80, 0x57}
	var o id.Org
	if err := o.UnmarshalText([]byte("org_01h455vb4pex5vsknk084sn02q")); err != nil {
		t.Fatal(err)
	}
	if o.Bytes() != b {
		t.Fatalf("got %x", o.Bytes())
	}
}

func TestZeroIsNone(t *testing.T) {
	var u id.User
	b, err := json.Marshal(struct{ U id.User }{u})
	if err != nil || string(b) != `{"U":""}` {
		t.Fatalf("%s %v", b, err)
	}
	if v, _ := u.Value(); v != nil {
		t.Fatalf("stored as %v", v)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("usr_01h455vb4pex5vsknk084sn02q")
	f.Add("usr_")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := id.ParseUser(s)
		if err == nil && u.String() != s {
			t.Fatalf("%q reads as %q", s, u)
		}
	})
}
