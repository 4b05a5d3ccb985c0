package keyring

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

// controls backs statements E4 (keys are in a vault, data at rest is sealed)
// and E5 (keys rotate).
func (s *Service) controls() []capability.Control {
	return []capability.Control{
		{
			ID: "key.wrapped", Statements: []string{"E4"}, Class: capability.Proven, Population: "keyring.control.population.own",
			Every: time.Hour, Window: 3 * time.Hour, Severity: "critical",
			Mapping: []string{"ISO27001:A.8.24", "SOC2:CC6.1", "NIS2:21.2.h", "CAIQ:CEK-03", "GDPR:32.1.a"},
			Check:   s.checkWrapped,
		},
		{
			ID: "key.rotation", Statements: []string{"E5"}, Class: capability.Proven, Population: "keyring.control.population.own",
			Every: 24 * time.Hour, Window: 49 * time.Hour, Severity: "high",
			Mapping: []string{"ISO27001:A.8.24", "SOC2:CC6.1", "NIS2:21.2.h", "CAIQ:CEK-12", "GDPR:32.1.a"},
			Check:   s.checkRotation,
		},
		{
			ID: "keyring.copies", Class: capability.Observed, Population: "keyring.control.population.own",
			Every: 5 * time.Minute, Window: 30 * time.Minute, Severity: "high",
			Mapping: []string{"ISO27001:A.8.13", "SOC2:A1.2", "NIS2:21.2.c", "GDPR:32.1.c"},
			Check:   s.checkCopies,
		},
	}
}

func unknown(err error) capability.Result {
	return capability.Result{Verdict: capability.Unknown, Err: err}
}

func verdict(failed int64) capability.Verdict {
	if failed > 0 {
		return capability.Fail
	}
	return capability.Pass
}

// checkWrapped counts the key records that are not wrapped under a key that is
// there, tries to open one with another key, and searches the raw files of
// both databases for personal data of the canary organization and for opened
// keys. It finds itself unable when the files don't even hold what must stand
// in them in clear.
func (s *Service) checkWrapped(ctx context.Context, p capability.Probe) capability.Result {
	canary, err := p.Canary(ctx)
	if err != nil {
		return unknown(err)
	}
	org, err := id.ParseOrg(canary.OrgID)
	if err != nil {
		return unknown(err)
	}
	owner := Organization(org)
	ring, err := s.Ready(ctx, owner)
	if err != nil {
		return unknown(err)
	}
	keys := ring.keys(owner)
	if keys.erased {
		return unknown(ErrErased)
	}
	ev := struct {
		Records   int64  `json:"key_records"`
		Unwrapped int64  `json:"not_wrapped"`
		WrongKey  bool   `json:"opened_with_wrong_key"`
		Files     int    `json:"files_searched"`
		Bytes     int64  `json:"bytes_searched"`
		Found     int    `json:"found_in_clear"`
		Root      string `json:"root"`
	}{Root: s.Root.Kind()}
	var rows []keyRow
	err = s.Store.Keys.View(ctx, system, func(tx *store.Tx) (err error) {
		if err := tx.Row(countKeys).Scan(&ev.Records); err != nil {
			return err
		}
		if err := tx.Row(countUnwrapped).Scan(&ev.Unwrapped); err != nil {
			return err
		}
		rows, err = ownRows(tx, owner)
		return err
	})
	if err != nil {
		return unknown(err)
	}
	for _, row := range rows {
		if _, err := unwrapKey(wrapper(newKey()), row); err == nil {
			ev.WrongKey = true
		}
	}
	failed := ev.Unwrapped
	if ev.WrongKey {
		failed++
	}
	if s.Files != nil {
		var secrets [][]byte
		for _, text := range []string{canary.MemberEmail, canary.PlainEmail, canary.Password, canary.TOTPSecret, canary.ClientSecret} {
			if text != "" {
				secrets = append(secrets, []byte(text))
			}
		}
		for _, k := range keys.versions {
			secrets = append(secrets, k.raw.b)
		}
		plain := []byte(canary.OrgID) // ids stand in clear: whoever can't find it did not search
		seen := false
		for _, name := range s.Files() {
			n, hits, control, err := searchFile(name, secrets, plain)
			if errors.Is(err, fs.ErrNotExist) {
				continue // a log that was emptied
			}
			if err != nil {
				return unknown(err)
			}
			ev.Files++
			ev.Bytes += n
			ev.Found += hits
			seen = seen || control
		}
		if !seen {
			return unknown(errors.New("keyring: the files that were named are not those of the running databases"))
		}
		failed += int64(ev.Found)
	}
	return capability.Result{Verdict: verdict(failed), Checked: ev.Records + int64(ev.Files), Failed: failed, Evidence: ev}
}

// searchFile counts which of the needles stand in a file, and tells whether
// the control text does.
func searchFile(name string, needles [][]byte, control []byte) (size int64, hits int, found bool, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, 0, false, err
	}
	defer f.Close()
	longest := len(control)
	for _, n := range needles {
		longest = max(longest, len(n))
	}
	hit := make([]bool, len(needles))
	buf := make([]byte, 1<<20)
	kept := 0
	for {
		n, err := io.ReadFull(f, buf[kept:])
		size += int64(n)
		b := buf[:kept+n]
		for i, needle := range needles {
			hit[i] = hit[i] || bytes.Contains(b, needle)
		}
		found = found || bytes.Contains(b, control)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return size, 0, false, err
		}
		kept = copy(buf, b[len(b)-longest+1:])
	}
	for _, h := range hit {
		if h {
			hits++
		}
	}
	return size, hits, found, nil
}

// checkRotation looks at the age of every key that rotates by age, and rotates
// the canary organization's: what was sealed before must open, what is sealed
// after must name the new version.
func (s *Service) checkRotation(ctx context.Context, p capability.Probe) capability.Result {
	canary, err := p.Canary(ctx)
	if err != nil {
		return unknown(err)
	}
	org, err := id.ParseOrg(canary.OrgID)
	if err != nil {
		return unknown(err)
	}
	now := p.Now
	ev := struct {
		Checked     int64  `json:"keys_checked"`
		Overdue     int64  `json:"keys_overdue"`
		KEKDays     int64  `json:"key_encryption_key_age_days"`
		KEKPeriod   int64  `json:"key_encryption_key_period_days"`
		OldestDays  int64  `json:"oldest_data_key_age_days"`
		DataPeriod  int64  `json:"data_key_period_days"`
		OldOpens    bool   `json:"old_data_opens"`
		NewKey      bool   `json:"new_data_uses_new_key"`
		OldRefusals string `json:"error,omitempty"`
	}{KEKPeriod: days(kekPeriod), DataPeriod: days(dataPeriod)}
	_, keks, err := s.meta(ctx)
	if err != nil {
		return unknown(err)
	}
	for _, k := range keks {
		ev.Checked++
		switch {
		case k.State == stateActive:
			age := now.Sub(store.Time(k.Created))
			ev.KEKDays = days(age)
			if age > kekPeriod+rotationGrace {
				ev.Overdue++
			}
		case k.State == stateRetired && now.Sub(store.Time(k.Retired)) > rotationGrace:
			ev.Overdue++ // it should wrap nothing any more and be gone
		}
	}
	var oldest, overdue, n int64
	err = s.Store.Keys.View(ctx, system, func(tx *store.Tx) error {
		return tx.Row(countOverdue, micros(now.Add(-dataPeriod-rotationGrace)), int64(newVersionAt)).Scan(&n, &oldest, &overdue)
	})
	if err != nil {
		return unknown(err)
	}
	ev.Checked += n
	ev.Overdue += overdue
	if oldest > 0 {
		ev.OldestDays = days(now.Sub(store.Time(oldest)))
	}
	if err := s.tryRotation(ctx, Organization(org), &ev.OldOpens, &ev.NewKey); err != nil {
		return unknown(err)
	}
	failed := ev.Overdue
	if !ev.OldOpens {
		failed++
	}
	if !ev.NewKey {
		failed++
	}
	return capability.Result{Verdict: verdict(failed), Checked: ev.Checked + 1, Failed: failed, Evidence: ev}
}

func days(d time.Duration) int64 { return int64(d / (24 * time.Hour)) }

func (s *Service) tryRotation(ctx context.Context, owner Owner, oldOpens, newKey *bool) error {
	const label, row = "keyring.control.rotation", "canary"
	var r [16]byte
	_, _ = rand.Read(r[:])
	want := hex.EncodeToString(r[:])
	ring, err := s.Ready(ctx, owner)
	if err != nil {
		return err
	}
	old, err := ring.SealText(owner, label, row, want)
	if err != nil {
		return err
	}
	act, err := s.Rotate(ctx, caller.ForSystem("keyring.control"), owner)
	if err != nil {
		return err
	}
	if ring, err = s.Ready(ctx, owner); err != nil {
		return err
	}
	got, err := ring.OpenText(owner, label, row, old)
	*oldOpens = err == nil && got == want
	fresh, err := ring.SealText(owner, label, row, want)
	if err != nil {
		return err
	}
	kid, _ := KeyOf(fresh)
	got, err = ring.OpenText(owner, label, row, fresh)
	*newKey = err == nil && got == want && len(act.Keys) == 1 && kid == act.Keys[0] && ring.Stale(owner, old)
	return nil
}

// checkCopies looks at the age of the newest copy at the second place, and at
// acts on keys that stay open.
func (s *Service) checkCopies(ctx context.Context, p capability.Probe) capability.Result {
	age, err := s.CopyAge(ctx)
	if err != nil && !errors.Is(err, errNoCopy) {
		return unknown(err)
	}
	open, oerr := s.OpenActs(ctx)
	if oerr != nil {
		return unknown(oerr)
	}
	ev := struct {
		AgeSeconds int64 `json:"newest_copy_age_seconds"`
		Limit      int64 `json:"limit_seconds"`
		Lines      int64 `json:"ledger_lines"`
		OpenActs   int   `json:"open_acts"`
	}{int64(age.Seconds()), int64(copyAlert.Seconds()), 0, 0}
	if err != nil {
		ev.AgeSeconds = -1
	}
	var failed int64
	if err != nil || age > copyAlert {
		failed++
	}
	for _, a := range open {
		if p.Now.Sub(a.Started) > time.Minute {
			ev.OpenActs++
			failed++
		}
	}
	lines, _, err := s.Ledger(ctx) // read and verified at every place
	if err != nil {
		return unknown(fmt.Errorf("keyring: control of copies: %w", err))
	}
	ev.Lines = int64(len(lines))
	return capability.Result{Verdict: verdict(failed), Checked: 1 + ev.Lines + int64(len(open)), Failed: failed, Evidence: ev}
}
