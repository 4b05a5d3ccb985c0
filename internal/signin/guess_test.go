package signin_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/rempart/rempart/internal/credential"
	"github.com/rempart/rempart/internal/fault"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/session"
	"github.com/rempart/rempart/internal/store"
)

var flowRE = regexp.MustCompile(`flw_[0-9a-z]{26}`)

// ASVS 6.3.8: the same answer, size and work for an address that somebody has
// and for one that nobody has; through delays too.
func TestKnownAndUnknownAddressesLookAlike(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		addresses := []string{w.plain.email, "ghost@acme.example"}
		// Warm: keys and the key of the day are read once.
		w.browser().get("/sign-in").submit("email", w.totp.email).submit("password", "wrong")
		w.browser().get("/sign-in").submit("email", "warm@acme.example").submit("password", "wrong")
		type seen struct {
			status  int
			retry   string
			body    string
			hashes  int64
			queries int64
		}
		for round := range 8 {
			var got [2][]seen
			for i, address := range addresses {
				b := w.browser()
				b.source = fmt.Sprintf("198.51.100.%d:99", 10+i)
				b.get("/sign-in")
				for _, step := range [][]string{{"email", address}, {"password", "not the right password"}} {
					h, q := w.cred.Hasher.Hashes(), w.store.Main.Statements()
					b.submit(step...)
					body := regexp.MustCompile(regexp.QuoteMeta(address)).ReplaceAllString(flowRE.ReplaceAllString(b.page.body, "FLOW"), "ADDRESS")
					got[i] = append(got[i], seen{b.page.status, b.page.header.Get("Retry-After"), body, w.cred.Hasher.Hashes() - h, w.store.Main.Statements() - q})
				}
			}
			for s := range got[0] {
				k, u := got[0][s], got[1][s]
				if k != u {
					t.Errorf("round %d, step %d: known %d %s %d bytes %d hashes %d statements; unknown %d %s %d bytes %d hashes %d statements",
						round, s, k.status, k.retry, len(k.body), k.hashes, k.queries, u.status, u.retry, len(u.body), u.hashes, u.queries)
				}
			}
			w.clock.Advance(time.Duration(round) * time.Second)
		}
	})
}

func TestTheDelayGrowsAsPublished(t *testing.T) {
	defaultEngine(t, func(t *testing.T, w *world) {
		b := w.browser().get("/sign-in").submit("email", w.plain.email)
		for n := 1; n <= 12; n++ {
			b.submit("password", "wrong").at("password", 422)
			wait := credential.Delay(n)
			if wait == 0 {
				continue
			}
			// Refused without a look, even when right.
			hashes := w.cred.Hasher.Hashes()
			b.submit("password", rightPassword).at("password", http.StatusTooManyRequests)
			if got := b.page.header.Get("Retry-After"); got != strconv.Itoa(int(wait/time.Second)) {
				t.Fatalf("after %d wrong guesses Retry-After is %q, want %v", n, got, wait)
			}
			if b.page.alert() == "" || w.cred.Hasher.Hashes() != hashes {
				t.Fatal("the refusal says nothing, or looked at the guess")
			}
			w.clock.Advance(wait - time.Second)
			if wait > time.Second {
				b.submit("password", rightPassword).at("password", http.StatusTooManyRequests)
			}
			w.clock.Advance(time.Second)
			// A flow lives half an hour.
			b.get("/sign-in").submit("email", w.plain.email)
		}
		b.submit("password", rightPassword).at("account", 200)
		// The right one begins the count anew.
		b = w.browser().get("/sign-in").submit("email", w.plain.email)
		b.submit("password", "wrong").at("password", 422).submit("password", "wrong").at("password", 422).submit("password", rightPassword).at("account", 200)
	})
}

// NIST SP 800-63B-4 section 3.2.2: no more than 100 consecutive wrong guesses,
// however long they take; then only a reset helps.
func TestHardStop(t *testing.T) {
	w := one(t)
	ctx := context.Background()
	g := credential.NewGuess(credential.Password, w.plain.id, nil, addr("203.0.113.9"))
	total := 0
	for range 200 {
		err := w.store.Main.Maintain(ctx, store.Lookup(), func(tx *store.Tx) (err error) {
			n, err := w.cred.CountTx(tx, g)
			if err == nil {
				total = n
			}
			return err
		})
		if err != nil && fault.KindOf(err) != fault.Throttled {
			t.Fatal(err)
		}
		w.clock.Advance(25 * time.Hour) // low and slow
	}
	if total != credential.HardStop {
		t.Fatalf("%d guesses were looked at", total)
	}
	b := w.browser().get("/sign-in").submit("email", w.plain.email).submit("password", rightPassword).at("password", 429)
	if got := b.page.header.Get("Retry-After"); got != "3600" {
		t.Errorf("Retry-After %q", got)
	}
	w.resetPassword(w.plain, "another good pass phrase")
	w.browser().get("/sign-in").submit("email", w.plain.email).submit("password", "another good pass phrase").at("account", 200)
}

func TestParallelWrongGuessesAreNoMoreThanOneAfterTheOther(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		before := w.cred.Hasher.Hashes()
		var wg sync.WaitGroup
		for range 30 {
			b := w.browser().get("/sign-in").submit("email", w.plain.email)
			wg.Go(func() { b.submit("password", "wrong") })
		}
		wg.Wait()
		if got := w.cred.Hasher.Hashes() - before; got != 3 {
			t.Errorf("%d guesses were looked at, want 3", got)
		}
	})
}

// The same person eight times at once, with the right password: nobody is
// kept waiting by the count.
func TestParallelRightSignInsAllSucceed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		in := 0
		for range 16 {
			b := w.browser().get("/sign-in").submit("email", w.plain.email)
			wg.Go(func() {
				b.post("password", rightPassword)
				mu.Lock()
				defer mu.Unlock()
				if b.page.status == http.StatusSeeOther && b.cookies[session.CookieName] != "" {
					in++
				} else {
					t.Errorf("got %d: %s", b.page.status, b.page.alert())
				}
			})
		}
		wg.Wait()
		if in != 16 {
			t.Errorf("%d of 16 signed in", in)
		}
	})
}

// ASVS 6.3.1: one source at many accounts is stopped by its own budget, and
// right sign-ins never count against it.
func TestASourceHasABudgetOfWrongGuesses(t *testing.T) {
	w := one(t)
	for range 5 {
		w.browser().signIn(w.plain)
	}
	// All but five of the budget are used up by wrong guesses at many accounts.
	for i := range credential.SourceBudget - 5 {
		w.must(w.cred.WrongSource(context.Background(), credential.NewGuess(credential.Password, id.User{}, []byte{byte(i)}, addr("198.51.100.7"))))
	}
	wrong := 0
	for i := range 20 {
		b := w.browser().get("/sign-in").submit("email", fmt.Sprintf("user%d@acme.example", i))
		b.submit("password", "wrong")
		if b.page.status == 429 {
			break
		}
		wrong++
	}
	if wrong < 4 || wrong > 6 {
		t.Errorf("%d wrong guesses were looked at, want 5", wrong)
	}
	other := w.browser()
	other.source = "203.0.113.77:1"
	other.signIn(w.plain)
	w.clock.Advance(credential.SourceRefill)
	w.browser().signIn(w.plain)
}

// ASVS 6.5.1: 50 parallel uses of one code, one success.
func TestOneOfFiftyParallelUsesOfATOTPStepSucceeds(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		raceTOTP(t, w)
	})
}

func raceTOTP(t *testing.T, w *world) {
	ctx := context.Background()
	held, err := w.cred.Load(ctx, w.totp.id)
	w.must(err)
	pen, err := w.log.Pen(ctx, system, id.Org{}, w.totp.id)
	w.must(err)
	m, err := w.cred.MatchTOTP(pen.Ring, held, w.code())
	w.must(err)
	won := w.race(50, func() error {
		return w.store.Main.Update(ctx, store.User(w.totp.id), func(tx *store.Tx) error {
			if err := w.cred.UseTx(tx, m); err != nil {
				return err
			}
			return w.entry(tx, w.totp)
		})
	})
	if won != 1 {
		t.Errorf("%d of 50 used the step", won)
	}
}

func TestOneOfFiftyParallelUsesOfARecoveryCodeSucceeds(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		codes := credential.NewCodes(w.totp.id)
		w.must(w.store.Main.Update(ctx, store.User(w.totp.id), func(tx *store.Tx) error {
			if err := w.cred.SetCodesTx(tx, codes); err != nil {
				return err
			}
			return w.entry(tx, w.totp)
		}))
		m, err := w.cred.MatchRecovery(w.totp.id, codes.Plain[3])
		w.must(err)
		won := w.race(50, func() error {
			return w.store.Main.Update(ctx, store.User(w.totp.id), func(tx *store.Tx) error {
				if err := w.cred.UseTx(tx, m); err != nil {
					return err
				}
				return w.entry(tx, w.totp)
			})
		})
		if won != 1 {
			t.Errorf("%d of 50 used the code", won)
		}
		// Another user's code of the same letters is nobody's.
		b := w.browser().get("/sign-in").submit("email", w.totp.email).submit("password", rightPassword)
		_, fields := b.page.form(t)
		b.get("/sign-in/step?flow="+fields.Get("flow")+"&with=recovery-code").at("recovery-code", 200)
		b.submit("code", codes.Plain[3]).at("recovery-code", 422).submit("code", codes.Plain[4]).at("account", 200)
		v, err := w.session.Find(ctx, b.cookies[session.CookieName])
		w.must(err)
		if amr := fmt.Sprint(v.AMR()); amr != "[pwd rcv mfa]" {
			t.Errorf("amr %s", amr)
		}
	})
}
