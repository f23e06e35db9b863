package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/service"
	"github.com/osiris/osiris/internal/service/local"
	"github.com/osiris/osiris/pkg/jobs"
)

// connectTime is how long a command waits for NATS.
const connectTime = 10 * time.Second

type keys struct {
	Create keysCreate `cmd:"" help:"Create a key and print its secret, which is shown only once."`
	List   keysList   `cmd:"" help:"List the keys."`
	Revoke keysRevoke `cmd:"" help:"Revoke a key. Takes effect within a second."`
}

// queueFlags say which queue a command talks to: --nats-url, else the osiris up that
// runs on the data folder, else the folder itself.
type queueFlags struct {
	service.CommonFlags `embed:""`
	service.DataFlags   `embed:""`
}

// with opens the queue for f and prints the error it returns.
func (q *queueFlags) with(ctx context.Context, std service.IO, f func(context.Context, *local.Queue) error) int {
	cfg, ok := q.load(std)
	if !ok {
		return exitFailed
	}
	return withQueue(ctx, std, cfg, 0, f)
}

// load reads the configuration; it has said what is wrong if that fails.
func (q *queueFlags) load(std service.IO) (*config.Config, bool) {
	return service.LoadConfig(name, config.Options{
		Program: config.FrontendOnly, File: q.CommonFlags.Config, Environ: std.Environ,
		Overrides: append(q.CommonFlags.Overrides(), q.DataFlags.Overrides()...),
	}, std)
}

// withQueue opens the queue for f, which may take longer by more than NATS takes to
// answer, and prints the error it returns.
func withQueue(ctx context.Context, std service.IO, cfg *config.Config, more time.Duration, f func(context.Context, *local.Queue) error) int {
	log := slog.New(slog.NewTextHandler(std.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	limit := connectTime + more
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errors.New("no answer from NATS within "+limit.String()))
	defer cancel()
	queue, err := local.OpenQueue(ctx, cfg, std.Environ, log)
	if err == nil {
		err = errors.Join(f(ctx, queue), queue.Close())
	}
	if err != nil && errors.Is(context.Cause(ctx), service.ErrSignal) {
		return exitInterrupted
	}
	return exitOf(err, error.Error, std)
}

type keysCreate struct {
	queueFlags `embed:""`

	Name    string   `help:"What the key is called in lists." placeholder:"NAME"`
	Tenant  string   `help:"Who pays (default)." default:"default" placeholder:"TENANT"`
	Models  []string `help:"Models it may use, comma separated. Without it: every model." placeholder:"MODEL"`
	Expires string   `help:"When it ends: 720h, 30d, 2027-01-31 or a time as in RFC 3339." placeholder:"WHEN"`
}

func (c *keysCreate) run(ctx context.Context, std service.IO) int {
	expires, err := parseExpiry(c.Expires, time.Now())
	if err != nil {
		fmt.Fprintf(std.Stderr, "%s: --expires: %v\n", name, err)
		return exitUsage
	}
	spec := jobs.KeySpec{Name: c.Name, Tenant: c.Tenant, Models: c.Models, Expires: expires}
	return c.with(ctx, std, func(ctx context.Context, q *local.Queue) error {
		key, secret, err := q.CreateKey(ctx, spec)
		if err != nil {
			return err
		}
		fmt.Fprintf(std.Stdout, "%s\n", secret)
		fmt.Fprintf(std.Stderr, "key %s created for tenant %s; its secret is shown only now\n", key.ID, key.Tenant)
		return nil
	})
}

type keysList struct {
	queueFlags `embed:""`
}

func (c *keysList) run(ctx context.Context, std service.IO) int {
	return c.with(ctx, std, func(ctx context.Context, q *local.Queue) error {
		all, err := q.Keys(ctx)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			_, err := fmt.Fprintf(std.Stdout, "no keys; create one with: %s\n", createHint(&c.CommonFlags, c.DataDir, std.Environ))
			return err
		}
		return printKeys(std.Stdout, all, time.Now())
	})
}

func printKeys(w io.Writer, all []jobs.Key, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tNAME\tTENANT\tKEY\tMODELS\tCREATED\tSTATE")
	for _, k := range all {
		models := "all"
		if len(k.Models) > 0 {
			models = strings.Join(k.Models, ",")
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			k.ID, k.Name, k.Tenant, k.Hint, models, k.Created.UTC().Format(time.DateOnly), keyState(k, now))
	}
	return table.Flush()
}

func keyState(k jobs.Key, now time.Time) string {
	switch {
	case !k.Revoked.IsZero():
		return "revoked " + k.Revoked.UTC().Format(time.DateOnly)
	case k.Expires.IsZero():
		return "active"
	case k.Expires.Before(now):
		return "expired " + k.Expires.UTC().Format(time.DateOnly)
	}
	return "active until " + k.Expires.UTC().Format(time.DateOnly)
}

type keysRevoke struct {
	queueFlags `embed:""`

	Key string `arg:"" help:"Its id or its name."`
}

func (c *keysRevoke) run(ctx context.Context, std service.IO) int {
	return c.with(ctx, std, func(ctx context.Context, q *local.Queue) error {
		key, err := q.RevokeKey(ctx, c.Key)
		if err != nil {
			return err
		}
		fmt.Fprintf(std.Stdout, "key %s (%s) is revoked\n", key.ID, key.Name)
		return nil
	})
}

// parseExpiry reads a duration from now, in days too, a date or a time. Empty is
// never.
func parseExpiry(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	expires, err := time.Parse(time.RFC3339, text)
	if err != nil {
		expires, err = time.ParseInLocation(time.DateOnly, text, now.Location())
	}
	if err != nil {
		var d time.Duration
		if d, err = parseDays(text); err == nil {
			expires = now.Add(d)
		}
	}
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf("%q is no time: write 720h, 30d, 2027-01-31 or 2027-01-31T12:00:00Z", text)
	case !expires.After(now):
		return time.Time{}, fmt.Errorf("%q is over already", text)
	}
	return expires, nil
}

func parseDays(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n > 36500 {
			return 0, errors.New("not a number of days")
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	return time.ParseDuration(text)
}
