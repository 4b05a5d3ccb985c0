package app

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/base32"
	"io/fs"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/caller"
	"github.com/rempart/rempart/internal/credential"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

//go:embed messages/*.json
var texts embed.FS

//go:embed migrations/*.sql
var migrations embed.FS

func messages() fs.FS { return sub(texts, "messages") }

func migrationFiles() fs.FS { return sub(migrations, "migrations") }

func sub(f embed.FS, dir string) fs.FS {
	out, err := fs.Sub(f, dir)
	if err != nil {
		panic(err) // the folder is embedded
	}
	return out
}

// SetPassword gives a user a password: for the demo's people and the canaries.
// Everybody else chooses hers on a page.
func (a *App) SetPassword(ctx context.Context, who caller.Caller, user id.User, p credential.Prehashed) error {
	pen, err := a.Audit.Pen(ctx, who, id.Org{}, user)
	if err != nil {
		return err
	}
	secret, err := a.Credential.SealPrehashed(pen.Ring, user, p)
	if err != nil {
		return err
	}
	return a.Store.Main.Update(ctx, store.User(user), func(tx *store.Tx) error {
		if err := a.Credential.SetPasswordTx(tx, secret); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: credential.EventPasswordSet, Target: audit.Target{Kind: "user", ID: user.String()}, Person: user})
	})
}

// SetTOTP enrolls a TOTP authenticator with a new secret, which it answers
// (Base32 without padding): for the demo's people and the canaries.
func (a *App) SetTOTP(ctx context.Context, who caller.Caller, user id.User, name string) (string, error) {
	var raw [20]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return "", err
	}
	secret := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw[:])
	pen, err := a.Audit.Pen(ctx, who, id.Org{}, user)
	if err != nil {
		return "", err
	}
	n, err := a.Credential.NewTOTPFor(pen.Ring, user, secret, name)
	if err != nil {
		return "", err
	}
	return secret, a.Store.Main.Update(ctx, store.User(user), func(tx *store.Tx) error {
		if err := a.Credential.AddTOTPTx(tx, n); err != nil {
			return err
		}
		return pen.Record(tx, audit.Entry{Kind: credential.EventEnrolled, Target: audit.Target{Kind: "authenticator", ID: n.ID.String()}, Person: user})
	})
}

// NewPassword makes a random password of five groups, about 119 bits.
func NewPassword() string {
	const letters = "abcdefghjkmnpqrstuvwxyz23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
	out := make([]byte, 0, 25)
	var b [1]byte
	for len(out) < 24 {
		if len(out)%5 == 4 {
			out = append(out, '-')
			continue
		}
		if _, err := rand.Read(b[:]); err != nil {
			panic(err) // crypto/rand never fails on supported systems
		}
		if int(b[0]) < 256/len(letters)*len(letters) {
			out = append(out, letters[int(b[0])%len(letters)])
		}
	}
	return string(out)
}
