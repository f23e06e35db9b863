package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/osiris/osiris/internal/client"
	"github.com/osiris/osiris/internal/progress"
	"github.com/osiris/osiris/internal/service"
)

type batch struct {
	Submit  batchSubmit  `cmd:"" help:"Check a file of requests, upload it and start a batch."`
	List    batchList    `cmd:"" help:"List the newest batches."`
	Get     batchGet     `cmd:"" help:"Show a batch."`
	Cancel  batchCancel  `cmd:"" help:"Cancel a batch; what is done already can be had."`
	Results batchResults `cmd:"" help:"Download what a batch came to."`
}

type batchList struct {
	apiFlags `embed:""`

	Limit atMost `help:"How many (20)." default:"20" placeholder:"N"`
	JSON  bool   `name:"json" help:"As JSON."`
}

func (c *batchList) run(ctx context.Context, std service.IO) int {
	return c.with(std, func(api *client.Client) error {
		all, err := api.Batches(ctx, int(c.Limit))
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(std.Stdout, all)
		}
		if len(all) == 0 {
			fmt.Fprintln(std.Stdout, "no batches; start one with: osiris batch submit FILE.jsonl")
			return nil
		}
		table := tabwriter.NewWriter(std.Stdout, 0, 4, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tSTATUS\tMODEL\tREQUESTS\tDONE\tFAILED\tCREATED")
		for _, b := range all {
			fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\t%s\n", b.ID, b.Status, firstOf(b.Model, "-"),
				b.Counts.Total, b.Counts.Completed, b.Counts.Failed, clock(b.Created))
		}
		return table.Flush()
	})
}

type batchGet struct {
	apiFlags `embed:""`

	ID   string `arg:"" help:"Its id, as submit and list show it."`
	JSON bool   `name:"json" help:"As JSON."`
}

func (c *batchGet) run(ctx context.Context, std service.IO) int {
	return c.with(std, func(api *client.Client) error {
		b, err := api.Batch(ctx, c.ID)
		if err != nil {
			return err
		}
		return showBatch(std.Stdout, b, c.JSON)
	})
}

type batchCancel struct {
	apiFlags `embed:""`

	ID string `arg:"" help:"Its id, as submit and list show it."`
}

func (c *batchCancel) run(ctx context.Context, std service.IO) int {
	return c.with(std, func(api *client.Client) error {
		b, err := api.CancelBatch(ctx, c.ID)
		if err != nil {
			return err
		}
		fmt.Fprintf(std.Stdout, "%s is %s\n", b.ID, b.Status)
		return nil
	})
}

type batchResults struct {
	apiFlags `embed:""`

	ID     string `arg:"" help:"Its id, as submit and list show it."`
	Output string `help:"Where the answers go (ID.output.jsonl), errors beside it; - is standard output." placeholder:"FILE" short:"o"`
	Wait   bool   `help:"Wait until it has ended." short:"w"`
}

func (c *batchResults) run(ctx context.Context, std service.IO) int {
	return c.with(std, func(api *client.Client) error {
		to, err := outputsOf(c.Output, c.ID, "")
		if err != nil {
			return err
		}
		b, err := api.Batch(ctx, c.ID)
		if err != nil {
			return err
		}
		if !b.Ended() && !c.Wait {
			return fmt.Errorf("%s is %s, with %d of %d done: wait for it with --wait", b.ID, b.Status, b.Counts.Completed+b.Counts.Failed, b.Counts.Total)
		}
		if b, err = awaitBatch(ctx, api, b, std); err != nil {
			return err
		}
		return collect(ctx, api, b, to, "", std)
	})
}

// showBatch writes what there is to know of a batch.
func showBatch(w io.Writer, b *client.Batch, asJSON bool) error {
	if asJSON {
		return printJSON(w, b)
	}
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	row := func(name string, format string, args ...any) { fmt.Fprintf(table, name+"\t"+format+"\n", args...) }
	row("id", "%s", b.ID)
	row("status", "%s", b.Status)
	row("model", "%s", firstOf(b.Model, "-"))
	row("requests", "%d: %d answered, %d failed", b.Counts.Total, b.Counts.Completed, b.Counts.Failed)
	row("created", "%s", clock(b.Created))
	if ended := b.EndedAt(); ended > 0 {
		row("ended", "%s, after %s", clock(ended), progress.Duration(time.Duration(ended-b.Created)*time.Second))
	} else {
		row("expires", "%s", clock(b.Expires))
	}
	if b.Usage != nil && b.Usage.Total > 0 {
		row("tokens", "%d: %d in, %d out", b.Usage.Total, b.Usage.Input, b.Usage.Output)
	}
	row("input", "%s", b.InputFileID)
	if b.OutputFileID != "" {
		row("output", "%s", b.OutputFileID)
	}
	if b.ErrorFileID != "" {
		row("errors", "%s", b.ErrorFileID)
	}
	for _, key := range slices.Sorted(maps.Keys(b.Metadata)) {
		row("metadata", "%s=%s", key, b.Metadata[key])
	}
	for _, e := range b.Errors.Data {
		row("fault", "%s", faultText("line ", e.Line, e.Code, e.Message))
	}
	return table.Flush()
}

// faultText is a fault of a file, at "FILE:" or "line " and its number.
func faultText(where string, line int, code, message string) string {
	if line == 0 {
		return code + ": " + message
	}
	return fmt.Sprintf("%s%d: %s: %s", where, line, code, message)
}

func clock(unix int64) string {
	if unix == 0 {
		return "-"
	}
	return time.Unix(unix, 0).UTC().Format("2006-01-02 15:04:05Z")
}
