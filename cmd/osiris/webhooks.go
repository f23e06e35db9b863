package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/osiris/osiris/internal/service"
	"github.com/osiris/osiris/internal/service/local"
	"github.com/osiris/osiris/internal/webhook"
	"github.com/osiris/osiris/pkg/jobs"
)

type webhooks struct {
	Create webhooksCreate `cmd:"" help:"Create a webhook and print its signing secret, which is shown only once."`
	List   webhooksList   `cmd:"" help:"List the webhooks."`
	Delete webhooksDelete `cmd:"" help:"Delete a webhook and what was still to be delivered to it."`
	Test   webhooksTest   `cmd:"" help:"Have a frontend send a webhook a signed event of type webhook.test, and say how it went."`
}

type webhooksCreate struct {
	queueFlags `embed:""`

	URL    string   `arg:"" name:"url" help:"Where events are posted to. It begins with https:// unless webhooks.allow_private is set."`
	Event  []string `help:"Type of event to send, such as batch.completed. Several: repeat it, or separate by commas. Without it: all." placeholder:"TYPE"`
	Tenant string   `help:"Whose events (default)." default:"default" placeholder:"TENANT"`
}

func (c *webhooksCreate) run(ctx context.Context, std service.IO) int {
	cfg, ok := c.load(std)
	if !ok {
		return exitFailed
	}
	if err := webhook.CheckURL(c.URL, cfg.Webhooks.AllowPrivate); err != nil {
		fmt.Fprintf(std.Stderr, "%s: url: %v\n", name, err)
		return exitUsage
	}
	spec := jobs.WebhookSpec{URL: c.URL, Tenant: c.Tenant, Events: c.Event}
	return withQueue(ctx, std, cfg, 0, func(ctx context.Context, q *local.Queue) error {
		w, err := q.CreateWebhook(ctx, spec)
		if err != nil {
			return err
		}
		fmt.Fprintf(std.Stdout, "%s\n", w.Secret)
		fmt.Fprintf(std.Stderr, "webhook %s created for tenant %s; its secret is shown only now\n", w.ID, w.Tenant)
		return nil
	})
}

type webhooksList struct {
	queueFlags `embed:""`
}

func (c *webhooksList) run(ctx context.Context, std service.IO) int {
	return c.with(ctx, std, func(ctx context.Context, q *local.Queue) error {
		all, err := q.Webhooks(ctx)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			_, err := fmt.Fprintln(std.Stdout, "no webhooks; create one with: osiris webhooks create URL")
			return err
		}
		return printWebhooks(std.Stdout, all)
	})
}

func printWebhooks(w io.Writer, all []jobs.Webhook) error {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tTENANT\tURL\tEVENTS\tCREATED\tSTATE")
	for _, h := range all {
		events, state := "all", "active"
		if len(h.Events) < len(jobs.NoticeTypes()) {
			events = strings.Join(h.Events, ",")
		}
		if !h.Disabled.IsZero() {
			state = "off since " + h.Disabled.UTC().Format(time.DateOnly) + ": its receiver is gone"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", h.ID, h.Tenant, h.URL, events, h.Created.UTC().Format(time.DateOnly), state)
	}
	return table.Flush()
}

type webhooksDelete struct {
	queueFlags `embed:""`

	ID string `arg:"" name:"id" help:"Its id, as list shows it."`
}

func (c *webhooksDelete) run(ctx context.Context, std service.IO) int {
	return c.with(ctx, std, func(ctx context.Context, q *local.Queue) error {
		w, err := q.DeleteWebhook(ctx, c.ID)
		if err != nil {
			return err
		}
		fmt.Fprintf(std.Stdout, "webhook %s is deleted\n", w.ID)
		return nil
	})
}

type webhooksTest struct {
	queueFlags `embed:""`

	ID string `arg:"" name:"id" help:"Its id, as list shows it."`
}

func (c *webhooksTest) run(ctx context.Context, std service.IO) int {
	cfg, ok := c.load(std)
	if !ok {
		return exitFailed
	}
	return withQueue(ctx, std, cfg, cfg.Webhooks.Timeout, func(ctx context.Context, q *local.Queue) error {
		r, err := q.TestWebhook(ctx, c.ID)
		if err != nil {
			return err
		}
		took := r.Took.Round(100 * time.Microsecond)
		if !r.Delivered {
			return errors.New("not delivered after " + took.String() + ": " + r.Fault)
		}
		_, err = fmt.Fprintf(std.Stdout, "delivered: status %d in %s\n", r.Status, took)
		return err
	})
}
