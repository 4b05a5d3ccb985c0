package keyring

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/rempart/rempart/internal/id"
)

// Kit is the recovery kit: what an operator prints and locks away. With it, the
// second place and the erasure ledger, the keys come back when machine, keys
// database and root key are lost. It can't revive what was destroyed.
type Kit struct {
	Installation  string    `json:"installation"`
	Made          time.Time `json:"made_at"`
	Identity      Secret    `json:"-"` // the recovery identity, kept nowhere else
	Recipient     string    `json:"recovery_recipient"`
	Copies        []string  `json:"copies"`
	Ledgers       []string  `json:"ledgers"`
	LedgerKey     []byte    `json:"ledger_key"`     // Ed25519, verifies the erasure ledger
	CheckpointKey string    `json:"checkpoint_key"` // verifier key of the log, as C2SP notes write it
}

// Kit makes the recovery kit from the identity that Setup gave and the verifier
// key of the log.
func (s *Service) Kit(identity Secret, checkpointKey string) (Kit, error) {
	st := s.opened.Load()
	if st == nil {
		return Kit{}, ErrNotStarted
	}
	who, err := age.ParseX25519Identity(string(identity.b))
	if err != nil || who.Recipient().String() != st.recipient {
		return Kit{}, errors.New("keyring: this is not the recovery identity of the installation")
	}
	k := Kit{
		Installation: st.installation, Made: s.Now(), Identity: identity, Recipient: st.recipient,
		Copies: []string{s.Second.Name()}, LedgerKey: s.LedgerKey(), CheckpointKey: checkpointKey,
	}
	for _, l := range s.Ledgers {
		k.Ledgers = append(k.Ledgers, l.Name())
	}
	return k, nil
}

// kitFile is the kit with its secret in clear, for the one file that the
// operator takes away.
type kitFile struct {
	Format   int    `json:"rempart_recovery_kit"`
	Identity string `json:"recovery_identity"`
	Kit
}

// Reveal gives the kit as JSON, recovery identity included: the only form in
// which it leaves the process, to be shown once.
func (k Kit) Reveal() ([]byte, error) {
	return json.MarshalIndent(kitFile{1, string(k.Identity.b), k}, "", "  ")
}

// ParseKit reads what Reveal gave.
func ParseKit(b []byte) (Kit, error) {
	var f kitFile
	if err := json.Unmarshal(b, &f); err != nil || f.Format != 1 {
		return Kit{}, errors.New("keyring: this is no recovery kit")
	}
	if _, err := age.ParseX25519Identity(f.Identity); err != nil {
		return Kit{}, errors.New("keyring: the recovery kit holds no recovery identity")
	}
	if _, err := id.Parse[installationKind](f.Installation); err != nil || len(f.LedgerKey) != 32 {
		return Kit{}, errors.New("keyring: the recovery kit is not complete")
	}
	f.Kit.Identity = NewSecret([]byte(f.Identity))
	return f.Kit, nil
}

// Text gives the kit as a sheet to print; t translates ("keyring.kit.title").
func (k Kit) Text(t func(key string, args ...any) string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n%s\n\n", t("keyring.kit.title"), strings.Repeat("=", len([]rune(t("keyring.kit.title")))), t("keyring.kit.intro"))
	row := func(key string, values ...string) {
		fmt.Fprintf(&b, "%s\n", t(key))
		for _, v := range values {
			fmt.Fprintf(&b, "    %s\n", v)
		}
	}
	row("keyring.kit.identity", string(k.Identity.b))
	row("keyring.kit.installation", k.Installation)
	row("keyring.kit.made", k.Made.UTC().Format(time.RFC3339))
	row("keyring.kit.copies", k.Copies...)
	row("keyring.kit.ledgers", k.Ledgers...)
	row("keyring.kit.ledger-key", fmt.Sprintf("%x", k.LedgerKey))
	row("keyring.kit.checkpoint-key", k.CheckpointKey)
	fmt.Fprintf(&b, "\n%s\n", t("keyring.kit.use"))
	return b.String()
}
