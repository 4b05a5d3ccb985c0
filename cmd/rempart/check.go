package main

import (
	"context"
	"fmt"

	"github.com/rempart/rempart/internal/app"
	"github.com/rempart/rempart/internal/invariant"
)

type checkCommand struct{ place }

// operate verifies every invariant; the exit code is 1 when one is broken.
func (c *checkCommand) operate(ctx context.Context, o *operation) error {
	answer := struct {
		OK         bool                  `json:"ok"`
		Invariants []invariant.Invariant `json:"invariants"`
	}{OK: true}
	err := o.app.Check(ctx, func(inv invariant.Invariant) {
		answer.OK = answer.OK && inv.OK()
		answer.Invariants = append(answer.Invariants, inv)
		if o.json {
			return
		}
		mark := "ok    "
		if !inv.OK() {
			mark = "BROKEN"
		}
		fmt.Fprintf(o.out, "%s  %s (%d checked)\n", mark, inv.Title, inv.Checked)
		for _, p := range inv.Problems {
			fmt.Fprintf(o.out, "        %s\n", p)
		}
		if inv.More > 0 {
			fmt.Fprintf(o.out, "        and %d more\n", inv.More)
		}
	})
	if err == nil && o.json {
		err = o.encode(answer)
	}
	if err == nil && !answer.OK {
		err = exit(1)
	}
	return err
}

type migrateCommand struct{ place }

// operate runs where a process serves, which has migrated when it started.
func (c *migrateCommand) operate(_ context.Context, o *operation) error {
	return o.say(map[string]bool{"migrated": true}, "The running server has migrated the databases.")
}

// alone migrates what may be no installation yet.
func (c *migrateCommand) alone(ctx context.Context, cfg app.Config, s streams) error {
	if err := app.Migrate(ctx, cfg); err != nil {
		return err
	}
	o := &operation{out: s.out, json: c.JSON}
	return o.say(map[string]bool{"migrated": true}, "The databases have the schema of this release.")
}
