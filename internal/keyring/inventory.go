package keyring

import (
	"context"
	"fmt"
	"time"

	"github.com/rempart/rempart/internal/store"
)

// Inventory is every key that the installation holds, by class: what `rempart
// keys inventory` prints.
type Inventory struct {
	Installation string          `json:"installation"`
	Root         string          `json:"root"` // kind of vault
	Recipient    string          `json:"recovery_recipient"`
	Keys         []InventoryItem `json:"keys"`
	Cache        CacheStats      `json:"cache"`
	CopyAge      string          `json:"copy_age,omitempty"` // of the newest copy at the second place
	Copies       string          `json:"copies"`             // where they are
	Term         string          `json:"term"`               // after which a destroyed key is in no copy
	Ledgers      []string        `json:"ledgers"`
	LedgerLines  int64           `json:"ledger_lines"`
	LedgerHead   string          `json:"ledger_head"`
	OpenActs     int             `json:"open_acts"`
}

// InventoryItem is the keys of one class and state.
type InventoryItem struct {
	Class        Class     `json:"class"`
	Purpose      string    `json:"purpose"` // "wrap", "seal" or "index"
	Algorithm    string    `json:"algorithm"`
	State        string    `json:"state"`
	Count        int64     `json:"count"`
	Oldest       time.Time `json:"oldest_at"`
	Newest       time.Time `json:"newest_at"`
	Version      int64     `json:"highest_version"`
	Uses         int64     `json:"most_uses_reserved,omitempty"`
	Period       string    `json:"period,omitempty"`
	NextRotation time.Time `json:"next_rotation_at,omitzero"` // of the oldest
	Rule         string    `json:"rule"`                      // what ends its use: "age", "uses" or "never"
}

// Inventory reads the keys database; it opens no key.
func (s *Service) Inventory(ctx context.Context) (Inventory, error) {
	st := s.opened.Load()
	if st == nil {
		return Inventory{}, ErrNotStarted
	}
	out := Inventory{
		Installation: st.installation, Root: s.Root.Kind(), Recipient: st.recipient,
		Cache: s.cache.counters(), Copies: s.Second.Name(), Term: s.term().String(),
	}
	for _, l := range s.Ledgers {
		out.Ledgers = append(out.Ledgers, l.Name())
	}
	if age, err := s.CopyAge(ctx); err == nil {
		out.CopyAge = age.Round(time.Second).String()
	}
	m, keks, err := s.meta(ctx)
	if err != nil {
		return out, fmt.Errorf("keyring: inventory: %w", err)
	}
	out.LedgerLines, out.LedgerHead = m.LedgerLines, m.LedgerHead
	for _, k := range keks {
		item := InventoryItem{
			Class: ClassKEK, Purpose: "wrap", Algorithm: "AES-256-GCM", State: k.State, Count: 1, Version: k.Version,
			Oldest: store.Time(k.Created), Newest: store.Time(k.Created), Period: kekPeriod.String(), Rule: "age",
		}
		if k.State == stateActive {
			item.NextRotation = item.Oldest.Add(kekPeriod)
		}
		out.Keys = append(out.Keys, item)
	}
	err = s.Store.Keys.View(ctx, system, func(tx *store.Tx) error {
		out.Keys = out.Keys[:len(keks)]
		for _, purpose := range []string{purposeSeal, purposeIndex} {
			items, err := store.All(tx, func(r *store.Rows) (InventoryItem, error) {
				i := InventoryItem{Purpose: purpose, Algorithm: "AES-256-GCM", Rule: "uses"}
				var oldest, newest int64
				err := r.Scan(&i.Class, &i.State, &i.Count, &oldest, &newest, &i.Version, &i.Uses)
				i.Oldest, i.Newest = store.Time(oldest), store.Time(newest)
				switch {
				case purpose == purposeIndex:
					i.Algorithm, i.Rule, i.Uses = "HMAC-SHA-256", "never", 0
				case i.Class == ClassInstallation || i.Class == ClassOrganization:
					i.Rule, i.Period = "age", dataPeriod.String()
					if i.State == stateActive {
						i.NextRotation = i.Oldest.Add(dataPeriod)
					}
				}
				return i, err
			}, selectInventory, purpose)
			if err != nil {
				return err
			}
			out.Keys = append(out.Keys, items...)
		}
		return nil
	})
	if err != nil {
		return out, fmt.Errorf("keyring: inventory: %w", err)
	}
	open, err := s.OpenActs(ctx)
	out.OpenActs = len(open)
	return out, err
}
