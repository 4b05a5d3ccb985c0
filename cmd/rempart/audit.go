package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/rempart/rempart/internal/audit"
	"github.com/rempart/rempart/internal/id"
	"github.com/rempart/rempart/internal/invariant"
)

type auditCommand struct {
	List       auditListCommand       `cmd:"" help:"List entries of a log, newest first. That they were read is an entry, too."`
	Verify     auditVerifyCommand     `cmd:"" help:"Recompute the stored logs and compare with every checkpoint ever published."`
	Export     auditExportCommand     `cmd:"" help:"Write a whole log with its proofs, as JSON Lines that rempart verify reads."`
	Checkpoint auditCheckpointCommand `cmd:"" help:"Print the newest signed checkpoint of a log."`
	Proof      auditProofCommand      `cmd:"" help:"Print one entry with the proof that it is in the log."`
}

// ofLog names a log.
type ofLog struct {
	Org string `help:"Organization, by slug or id; without it the installation's own log." placeholder:"ORG"`
}

type auditVerifyCommand struct {
	place
	Org string `help:"Only the log of this organization, by slug or id." placeholder:"ORG"`
}

func (c *auditVerifyCommand) operate(ctx context.Context, o *operation) error {
	reports, ok := []audit.Report{}, true
	add := func(r audit.Report) error {
		reports, ok = append(reports, r), ok && r.OK()
		if o.json {
			return nil
		}
		mark := "ok    "
		if !r.OK() {
			mark = "BROKEN"
		}
		fmt.Fprintf(o.out, "%s  %s: %d entries, %d checkpoints\n", mark, r.Origin, r.Entries, r.Checkpoints)
		for _, p := range r.Problems {
			fmt.Fprintf(o.out, "        %s\n", p)
		}
		if r.More > 0 {
			fmt.Fprintf(o.out, "        and %d more\n", r.More)
		}
		return nil
	}
	org, err := o.org(ctx, c.Org)
	if err != nil {
		return err
	}
	if c.Org != "" {
		r, err := o.app.Audit.Verify(ctx, org)
		if err == nil {
			err = add(r)
		}
		if err != nil {
			return err
		}
	} else if err := o.app.Audit.VerifyAll(ctx, add); err != nil {
		return err
	}
	if o.json {
		err = o.encode(struct {
			OK   bool           `json:"ok"`
			Logs []audit.Report `json:"logs"`
		}{ok, reports})
	}
	if err == nil && !ok {
		err = exit(1)
	}
	return err
}

type auditListCommand struct {
	place
	ofLog
	Kind  string `help:"Only entries of this kind, or of those that begin so when it ends in a dot." placeholder:"KIND"`
	Limit int    `default:"50" help:"At most as many."`
}

func (c *auditListCommand) operate(ctx context.Context, o *operation) error {
	org, err := o.org(ctx, c.Org)
	if err != nil {
		return err
	}
	if c.Limit < 1 || c.Limit > 200 {
		return errors.New("--limit is from 1 to 200")
	}
	found, err := o.app.Audit.Search(ctx, org, audit.Query{Kind: c.Kind, Limit: c.Limit})
	if err != nil {
		return err
	}
	if err := o.app.Audit.StaffRead(ctx, o.who, org, audit.Target{Kind: "log", ID: o.app.Audit.Origin(org)}, map[string]any{"entries": len(found)}); err != nil {
		return err
	}
	answer, rows := list[audit.Record]{Items: []audit.Record{}}, [][]string{}
	for _, r := range found {
		r.Text = o.app.Bundle.T(o.who.Lang, invariant.EventLabel(r.Kind))
		answer.Items = append(answer.Items, r)
		rows = append(rows, []string{r.Time.UTC().Format(time.RFC3339), r.ID.String(), r.Kind, string(r.Outcome), r.Actor.Kind + ":" + r.Actor.ID, r.Target.ID})
	}
	return o.show(answer, []string{"TIME", "ENTRY", "KIND", "OUTCOME", "ACTOR", "TARGET"}, rows)
}

type auditExportCommand struct {
	place
	ofLog
	Sealed bool `help:"Leave the sealed parts closed: a copy that shows integrity only."`
}

func (c *auditExportCommand) operate(ctx context.Context, o *operation) error {
	org, err := o.org(ctx, c.Org)
	if err != nil {
		return err
	}
	// The export ends at the newest checkpoint: one of now.
	if _, _, err := o.app.Audit.Latest(ctx, org); err != nil {
		return err
	}
	return o.app.Audit.Export(ctx, o.who, org, audit.Form{Sealed: c.Sealed}, o.out)
}

type auditCheckpointCommand struct {
	place
	ofLog
}

func (c *auditCheckpointCommand) operate(ctx context.Context, o *operation) error {
	org, err := o.org(ctx, c.Org)
	if err != nil {
		return err
	}
	note, size, err := o.app.Audit.Latest(ctx, org)
	if err != nil {
		return err
	}
	keys, err := o.app.Audit.VerifierKeys(ctx, org)
	if err != nil {
		return err
	}
	if o.json {
		return o.encode(struct {
			Size       int64    `json:"size"`
			Checkpoint string   `json:"checkpoint"`
			Keys       []string `json:"verifier_keys"`
		}{size, string(note), keys})
	}
	_, err = o.out.Write(note)
	return err
}

type auditProofCommand struct {
	place
	ofLog
	Entry  string `arg:"" help:"Identifier of the entry."`
	Sealed bool   `help:"Leave the sealed parts closed."`
}

func (c *auditProofCommand) operate(ctx context.Context, o *operation) error {
	org, err := o.org(ctx, c.Org)
	if err != nil {
		return err
	}
	entry, err := id.ParseEntry(c.Entry)
	if err != nil {
		return fmt.Errorf("%s is no identifier of an entry", strconv.Quote(c.Entry))
	}
	if _, _, err := o.app.Audit.Latest(ctx, org); err != nil {
		return err
	}
	file, err := o.app.Audit.Proof(ctx, org, entry, c.Sealed)
	if err != nil {
		return named(err, "entry", c.Entry+" in this log")
	}
	if !c.Sealed {
		if err := o.app.Audit.StaffRead(ctx, o.who, org, audit.Target{Kind: "entry", ID: entry.String()}, nil); err != nil {
			return err
		}
	}
	_, err = o.out.Write(file)
	return err
}
