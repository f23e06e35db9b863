package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/osiris/osiris/internal/batchfile"
	"github.com/osiris/osiris/internal/client"
	"github.com/osiris/osiris/internal/progress"
	"github.com/osiris/osiris/internal/service"
	"github.com/osiris/osiris/pkg/protocol"
)

type batchSubmit struct {
	apiFlags `embed:""`

	File     string            `arg:"" help:"Requests as JSON lines, or a .csv with a header row, or a .txt with a prompt in each line; - is standard input."`
	Format   string            `help:"What the file is, whatever it is called: jsonl, csv or txt." enum:",jsonl,csv,txt" default:"" placeholder:"FORMAT"`
	Wait     bool              `help:"Wait until it has ended, and download the results." short:"w"`
	Output   string            `help:"Where the answers go (FILE.output.jsonl, or ID.output.jsonl for standard input), errors beside it; - is standard output." placeholder:"FILE" short:"o"`
	Model    string            `help:"Model to ask. Needed for .csv and .txt; of JSON lines it replaces theirs." placeholder:"NAME" short:"m"`
	Template string            `help:"Prompt made of columns, such as 'Translate {text}'. Without it: the column prompt." placeholder:"TEXT" short:"t"`
	System   string            `help:"System message before each prompt, with columns too." placeholder:"TEXT" short:"s"`
	Option   map[string]string `help:"Further members of each request made of a .csv or .txt, such as max_tokens=100." placeholder:"NAME=VALUE" mapsep:"none"`
	Metadata map[string]string `help:"Pairs to know the batch by." placeholder:"KEY=VALUE" mapsep:"none"`
	Window   string            `help:"How long it may take (24h)." default:"24h" placeholder:"TIME"`
	Mixed    bool              `help:"The server takes several models in one file."`
	Key      string            `name:"idempotency-key" help:"Submitting again with the same key is the same batch." placeholder:"KEY"`
}

func (c *batchSubmit) run(ctx context.Context, std service.IO) int {
	return c.with(std, func(api *client.Client) error {
		base := strings.TrimSuffix(c.File, filepath.Ext(c.File)) // of the results' names; "-": the batch's id
		var to outputs
		if c.Wait {
			var err error
			if to, err = outputsOf(c.Output, base, c.File); err != nil {
				return err
			}
		}
		input, err := c.prepare(ctx, api, std)
		if err != nil {
			return err
		}
		defer input.close()
		b, err := c.create(ctx, api, input, std)
		if err != nil || !c.Wait {
			return err
		}
		if b, err = awaitBatch(ctx, api, b, std); err != nil {
			return err
		}
		if c.File == stdin && c.Output == "" {
			to = outputs{b.ID + ".output.jsonl", b.ID + ".errors.jsonl"}
		}
		return collect(ctx, api, b, to, c.title()+":", std)
	})
}

// stdin is how standard input is named as a file.
const stdin = "-"

// title is what the file is called in messages.
func (c *batchSubmit) title() string {
	if c.File == stdin {
		return "standard input"
	}
	return c.File
}

// input is a checked file that is ready to be uploaded.
type input struct {
	path     string
	name     string // as uploaded
	size     int64
	requests int
	model    string
	made     bool // path is ours to remove
}

func (in *input) close() {
	if in.made {
		_ = os.Remove(in.path) // it is in the folder for such files
	}
}

// prepare makes a file of requests, if it is none yet, and checks it.
func (c *batchSubmit) prepare(ctx context.Context, api *client.Client, std service.IO) (*input, error) {
	in, err := c.requests(ctx, std)
	if err != nil {
		return nil, err
	}
	if err := c.check(ctx, api, in, std); err != nil {
		in.close()
		return nil, err
	}
	return in, nil
}

// requests returns the file itself, or one made of it.
func (c *batchSubmit) requests(ctx context.Context, std service.IO) (*input, error) {
	format := c.Format
	if ext := strings.ToLower(filepath.Ext(c.File)); format == "" && (ext == ".csv" || ext == ".txt") {
		format = ext[1:]
	}
	fromRows := format == "csv" || format == "txt"
	switch {
	case fromRows && c.Model == "":
		return nil, &exitError{exitUsage, "prompts need a model: name it with --model"}
	case !fromRows && (c.Template != "" || c.System != "" || len(c.Option) > 0):
		return nil, &exitError{exitUsage, "--template, --system and --option are for .csv and .txt files (or --format): JSON lines are whole requests"}
	case !fromRows && c.Model == "" && c.File != stdin:
		return &input{path: c.File, name: uploadName(c.File)}, nil
	}
	from, err := c.open(ctx, std)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	to, err := os.CreateTemp("", "osiris-batch-*.jsonl")
	if err != nil {
		return nil, err
	}
	in := &input{path: to.Name(), name: uploadName(c.title()), made: true}
	if err := errors.Join(c.fill(batchfile.Bound(to), from, format), to.Close()); err != nil {
		in.close()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &exitError{exitUsage, c.title() + ": " + err.Error()}
	}
	return in, nil
}

// open opens the file. A read from standard input ends with ctx.
func (c *batchSubmit) open(ctx context.Context, std service.IO) (io.ReadCloser, error) {
	switch {
	case c.File != stdin:
		return os.Open(c.File)
	case std.Stdin == nil:
		return nil, &exitError{exitUsage, "there is no standard input: name a file"}
	}
	return io.NopCloser(&interruptible{ctx: ctx, r: std.Stdin}), nil
}

// fill writes the requests of a file of that format.
func (c *batchSubmit) fill(to io.Writer, from io.Reader, format string) (err error) {
	recipe := batchfile.Recipe{Model: c.Model, System: c.System, Template: c.Template, Options: requestOptions(c.Option)}
	switch {
	case format == "csv":
		_, err = batchfile.FromCSV(to, from, recipe)
	case format == "txt":
		_, err = batchfile.FromText(to, from, recipe)
	case c.Model != "":
		err = batchfile.WithModel(to, from, c.Model)
	default:
		_, err = io.Copy(to, from)
	}
	return err
}

// uploadName is the file's name with the ending that batches ask for.
func uploadName(path string) string {
	base := filepath.Base(path)
	return strings.TrimSuffix(base, filepath.Ext(base)) + ".jsonl"
}

// check finds what the server would refuse, and tells all of it.
func (c *batchSubmit) check(ctx context.Context, api *client.Client, in *input, std service.IO) error {
	f, err := os.Open(in.path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	summary, err := batchfile.Check(f, c.Mixed, func(model string) (bool, error) { return api.Serves(ctx, model) })
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return &exitError{exitUsage, c.title() + ": " + err.Error()}
	}
	in.size, in.requests, in.model = info.Size(), summary.Requests, summary.Model
	if len(summary.Faults) == 0 {
		return nil
	}
	for _, fault := range summary.Faults {
		if fault.Line == 0 {
			fmt.Fprintf(std.Stderr, "%s: %s: %s\n", c.title(), fault.Code, fault.Message)
			continue
		}
		fmt.Fprintln(std.Stderr, faultText(c.title()+":", fault.Line, fault.Code, fault.Message))
	}
	found := howMany(len(summary.Faults), "fault")
	if len(summary.Faults) == protocol.MaxBatchFaults {
		found += ", and perhaps more,"
	}
	return &exitError{exitUsage, fmt.Sprintf("nothing was sent: %s in %s", found, c.title())}
}

// create uploads the file and starts the batch. Its id goes to standard output.
func (c *batchSubmit) create(ctx context.Context, api *client.Client, in *input, std service.IO) (*client.Batch, error) {
	key := firstOf(c.Key, newKey())
	bar := progress.New(std.Stderr, "uploading", progress.Bytes)
	file, err := api.Upload(ctx, client.Upload{
		Name: in.name, Purpose: "batch", Size: in.size, Key: key + "-file",
		Open: func() (io.ReadCloser, error) { return os.Open(in.path) },
		Sent: func(n int64) { bar.Set(n, in.size, "") },
	})
	bar.Done()
	if err != nil {
		return nil, err
	}
	b, err := api.CreateBatch(ctx, client.NewBatch{
		InputFileID: file.ID, Endpoint: protocol.ChatEndpoint, Window: c.Window, Metadata: c.Metadata,
	}, key+"-batch")
	if err != nil {
		return nil, err
	}
	if c.Output != "-" {
		fmt.Fprintln(std.Stdout, b.ID)
	}
	fmt.Fprintf(std.Stderr, "%s: %s for %s\n", b.ID, howMany(in.requests, "request"), firstOf(in.model, "several models"))
	if !c.Wait {
		fmt.Fprintf(std.Stderr, "osiris batch results --wait %s waits for it and downloads what it comes to\n", b.ID)
	}
	return b, nil
}

func howMany(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
