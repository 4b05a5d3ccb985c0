package mail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/store"
)

type due struct {
	id       id.Mail
	owner    string
	purpose  string
	body     []byte
	attempts int64
	expires  int64
}

// Send sends what is due. It is the body of the job mail.send.
func (o *Outbox) Send(ctx context.Context) error {
	if o.Transport == nil {
		return nil // messages wait until there is a way
	}
	var list []due
	err := o.Store.View(ctx, store.System("mail.send"), func(tx *store.Tx) (err error) {
		list, err = store.All(tx, func(r *store.Rows) (d due, err error) {
			err = r.Scan(&d.id, &d.owner, &d.purpose, &d.body, &d.attempts, &d.expires)
			return d, err
		}, selectDue, store.Micros(o.Now()), batch)
		return err
	})
	if err != nil {
		return fmt.Errorf("mail: read outbox: %w", err)
	}
	if len(list) == 0 {
		if o.waiting.Load() > 0 {
			_, err = o.Stats(ctx) // those that wait for their next attempt
		}
		return err
	}
	var wg sync.WaitGroup
	errs := make([]error, len(list))
	free := make(chan struct{}, workers)
	for i, d := range list {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			wg.Wait()
			return ctx.Err()
		}
		wg.Go(func() {
			defer func() { <-free }()
			errs[i] = o.sendOne(ctx, d)
		})
	}
	wg.Wait()
	_, err = o.Stats(ctx)
	return errors.Join(append(errs, err)...)
}

// sendOne makes one attempt. The attempt is on record before it is made, so
// that a crash within leads to a later one and not to a loop.
func (o *Outbox) sendOne(ctx context.Context, d due) error {
	now := o.Now()
	wait := waits[min(int(d.attempts), len(waits)-1)]
	taken := int64(0)
	err := o.Store.Maintain(ctx, store.System("mail.send"), func(tx *store.Tx) (err error) {
		taken, err = tx.Exec(takeMessage, d.id, d.attempts, store.Micros(now.Add(wait)))
		return err
	})
	if err != nil {
		return fmt.Errorf("mail: take message: %w", err)
	}
	if taken == 0 {
		return nil // another node has it
	}
	if store.Micros(now) >= d.expires {
		return o.end(ctx, d, "failed", "expired", errors.New("mail: the message expired before it could be sent"))
	}
	plain, err := o.Open(ctx, d.owner, label, d.id.String(), d.body)
	if errors.Is(err, ErrGone) {
		return o.end(ctx, d, "failed", "erased", err)
	}
	if err != nil {
		return fmt.Errorf("mail: open message: %w", err) // tried again at its turn
	}
	l := Letter{ID: d.id.String(), From: o.From, Host: o.BaseURL.Hostname(), Date: now}
	if err := json.Unmarshal(plain, &l); err != nil {
		return o.end(ctx, d, "failed", "unreadable", fmt.Errorf("mail: read message: %w", err))
	}
	attempt, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	err = o.Transport.Send(attempt, &l)
	if err == nil {
		return o.end(ctx, d, "sent", "", nil)
	}
	var refused *Refused
	if errors.As(err, &refused) && refused.Permanent {
		return o.end(ctx, d, "failed", refused.Code, err)
	}
	o.Log.WarnContext(ctx, "mail was not sent and is tried again", "message", d.id.String(), "purpose", d.purpose, "attempt", d.attempts+1, "error", err)
	code := "unreachable"
	if refused != nil {
		code = refused.Code
	}
	return o.Store.Maintain(ctx, store.System("mail.send"), func(tx *store.Tx) error {
		_, err := tx.Exec(noteFailure, d.id, code)
		return err
	})
}

// end closes the message and wipes its content.
func (o *Outbox) end(ctx context.Context, d due, state, code string, cause error) error {
	// The message has left, whatever becomes of the context.
	ctx = context.WithoutCancel(ctx)
	err := o.Store.Maintain(ctx, store.System("mail.send"), func(tx *store.Tx) error {
		_, err := tx.Exec(endMessage, d.id, state, store.Micros(o.Now()), code)
		return err
	})
	if err != nil {
		return fmt.Errorf("mail: end message: %w", err)
	}
	if state == "failed" {
		o.Log.ErrorContext(ctx, "mail is given up", "message", d.id.String(), "purpose", d.purpose, "attempts", d.attempts+1, "error", cause)
		if o.GivenUp != nil {
			o.GivenUp(ctx, d.purpose, int(d.attempts+1), cause)
		}
	}
	return nil
}

// Sweep removes the empty rows of messages that ended long ago.
func (o *Outbox) Sweep(ctx context.Context) error {
	err := o.Store.Maintain(ctx, store.System("mail.sweep"), func(tx *store.Tx) error {
		_, err := tx.Exec(deleteEnded, store.Micros(o.Now().Add(-keepTerm)))
		return err
	})
	if err != nil {
		return fmt.Errorf("mail: sweep outbox: %w", err)
	}
	return nil
}
