package mail

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Keeper is a transport that keeps the letters for reading on this machine,
// instead of sending them: for the demo and for tests. The newest Limit stay.
type Keeper struct {
	Dir   string // keeps them over a restart, readable by the owner only; "" keeps them in memory
	Limit int    // 0 is 1,000

	mu   sync.Mutex // guards what follows
	kept []Kept     // newest first
	read bool       // Dir was read
}

// Kept is a letter that was not sent.
type Kept struct {
	ID      string    `json:"id"`
	To      []string  `json:"to"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	Links   []string  `json:"links"`
	Codes   []string  `json:"codes"`
	SentAt  time.Time `json:"sent_at"`
	Lang    string    `json:"lang"`
	HTML    string    `json:"html"`
}

var (
	anyLink = regexp.MustCompile(`https?://[^\s<>"]+`)
	anyCode = regexp.MustCompile(`\b[0-9]{6,8}\b`)
)

// Send implements Transport.
func (k *Keeper) Send(_ context.Context, l *Letter) error {
	text, err := l.Text()
	if err != nil {
		return err
	}
	html, err := l.HTML()
	if err != nil {
		return err
	}
	one := Kept{ID: l.ID, To: []string{l.To}, Subject: l.Subject, Text: text, HTML: html, Lang: l.Lang, SentAt: l.Date.UTC(), Links: []string{}, Codes: []string{}}
	if l.Link != "" {
		one.Links = append(one.Links, l.Link)
	}
	for _, u := range anyLink.FindAllString(text, -1) {
		if !slices.Contains(one.Links, u) {
			one.Links = append(one.Links, u)
		}
	}
	if l.Code != "" {
		one.Codes = append(one.Codes, l.Code)
	}
	for _, c := range anyCode.FindAllString(anyLink.ReplaceAllString(text, ""), -1) {
		if !slices.Contains(one.Codes, c) {
			one.Codes = append(one.Codes, c)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.load(); err != nil {
		return err
	}
	if k.Dir != "" {
		raw, err := json.Marshal(one)
		if err != nil {
			return fmt.Errorf("mail: keep letter: %w", err)
		}
		if err := os.WriteFile(filepath.Join(k.Dir, one.ID+".json"), raw, 0o600); err != nil {
			return fmt.Errorf("mail: keep letter: %w", err)
		}
	}
	k.kept = slices.Insert(k.kept, 0, one)
	for len(k.kept) > k.limit() {
		last := k.kept[len(k.kept)-1]
		k.kept = k.kept[:len(k.kept)-1]
		if k.Dir != "" {
			os.Remove(filepath.Join(k.Dir, last.ID+".json")) // one left behind is read and dropped at the next start
		}
	}
	return nil
}

// List gives the letters, newest first.
func (k *Keeper) List() ([]Kept, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.load(); err != nil {
		return nil, err
	}
	return slices.Clone(k.kept), nil
}

func (k *Keeper) limit() int {
	if k.Limit > 0 {
		return k.Limit
	}
	return 1000
}

func (k *Keeper) load() error {
	if k.read || k.Dir == "" {
		return nil
	}
	if err := os.MkdirAll(k.Dir, 0o700); err != nil {
		return fmt.Errorf("mail: keep letters: %w", err)
	}
	names, err := filepath.Glob(filepath.Join(k.Dir, "msg_*.json"))
	if err != nil {
		return fmt.Errorf("mail: keep letters: %w", err)
	}
	slices.Sort(names) // identifiers sort by time
	slices.Reverse(names)
	for _, name := range names[:min(len(names), k.limit())] {
		raw, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("mail: read kept letter: %w", err)
		}
		var one Kept
		if json.Unmarshal(raw, &one) == nil && strings.HasPrefix(one.ID, "msg_") { // half a file of a crash is no letter
			k.kept = append(k.kept, one)
		}
	}
	k.read = true
	return nil
}
