package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rempart/rempart/internal/capability"
	"github.com/rempart/rempart/internal/trust"
)

type trustCommand struct {
	Run    trustRunCommand    `cmd:"" help:"Run controls now."`
	Status trustStatusCommand `cmd:"" help:"Where every control stands."`
}

type trustRunCommand struct {
	place
	Control string `arg:"" optional:"" help:"Only this control."`
}

func (c *trustRunCommand) operate(ctx context.Context, o *operation) error {
	if !o.served && o.app.Config.Database.URL == "" {
		return errors.New("controls exercise the running server, and none runs on this data folder; start rempart serve")
	}
	var states []trust.State
	var err error
	if c.Control == "" {
		states, err = o.app.Trust.RunAll(ctx, o.who)
	} else {
		var st trust.State
		st, err = o.app.Trust.Run(ctx, o.who, c.Control)
		err, states = named(err, "control", c.Control), []trust.State{st}
	}
	if err != nil {
		return err
	}
	if err := o.controls(states); err != nil {
		return err
	}
	for _, st := range states {
		if st.Verdict == capability.Fail || st.Verdict == capability.Unknown {
			return exit(1)
		}
	}
	return nil
}

// controls shows states of controls.
func (o *operation) controls(states []trust.State) error {
	rows := [][]string{}
	for _, st := range states {
		at := "-"
		if st.RanAt != nil {
			at = st.RanAt.UTC().Format(time.RFC3339)
		}
		rows = append(rows, []string{string(st.Verdict), st.ID, fmt.Sprint(st.Checked), fmt.Sprint(st.Failed), at})
	}
	return o.show(list[trust.State]{Items: states}, []string{"VERDICT", "CONTROL", "CHECKED", "FAILED", "RAN AT"}, rows)
}

type trustStatusCommand struct{ place }

func (c *trustStatusCommand) operate(ctx context.Context, o *operation) error {
	states, err := o.app.Trust.Current(ctx)
	if err != nil {
		return err
	}
	return o.controls(states)
}
