package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/osiris/osiris/internal/client"
	"github.com/osiris/osiris/internal/progress"
	"github.com/osiris/osiris/internal/service"
)

const (
	firstPoll   = 100 * time.Millisecond
	longestPoll = 5 * time.Second
)

// awaitBatch shows how far a batch is until it has ended. When ctx ends, the batch
// goes on without the one who watched.
func awaitBatch(ctx context.Context, api *client.Client, b *client.Batch, std service.IO) (*client.Batch, error) {
	bar := progress.New(std.Stderr, "batch", nil)
	defer bar.Done()
	began, status := time.Now(), ""
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if b.Status != status {
			status = b.Status
			bar.Notef("%s is %s", b.ID, status)
		}
		if b.Counts.Total > 0 {
			bar.Set(b.Counts.Completed+b.Counts.Failed, b.Counts.Total, failedNote(b.Counts.Failed))
		}
		if b.Ended() {
			return b, nil
		}
		timer.Reset(min(max(time.Since(began)/20, firstPoll), longestPoll))
		select {
		case <-ctx.Done():
			bar.Notef("the batch goes on; osiris batch results --wait %s takes it up again", b.ID)
			return nil, context.Cause(ctx)
		case <-timer.C:
		}
		next, err := api.Batch(ctx, b.ID)
		switch {
		case err == nil:
			b = next
		case ctx.Err() == nil:
			return nil, err
		}
	}
}

func failedNote(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d failed", n)
}

// collect downloads what a batch came to, and returns an error that says which lines
// have no answer. where begins the place of a fault in the file, if it is at hand.
func collect(ctx context.Context, api *client.Client, b *client.Batch, to outputs, where string, std service.IO) error {
	for _, file := range []struct{ id, path, what string }{
		{b.OutputFileID, to.answers, "answers"}, {b.ErrorFileID, to.errors, "errors"},
	} {
		if file.id == "" {
			if info, err := os.Stat(file.path); file.path != "-" && err == nil && info.Mode().IsRegular() {
				fmt.Fprintf(std.Stderr, "%s is of an earlier batch: this one has no %s\n", file.path, file.what)
			}
			continue
		}
		if err := download(ctx, api, file.id, file.path, std); err != nil {
			return err
		}
		if file.path != "-" {
			fmt.Fprintf(std.Stderr, "%s: %s\n", file.what, file.path)
		}
	}
	if b.Status == "failed" {
		return refused(b, where, std)
	}
	fmt.Fprintf(std.Stderr, "%s: %d of %d requests answered%s\n", b.ID, b.Counts.Completed, b.Counts.Total, tokens(b.Usage))
	switch {
	case b.Counts.Completed < b.Counts.Total:
		return &exitError{exitUnanswered, fmt.Sprintf("the batch is %s, and %s no answer", b.Status, without(b.Counts))}
	case b.Status != "completed":
		return &exitError{exitUnanswered, "the batch is " + b.Status}
	}
	return nil
}

func without(n client.BatchCounts) string {
	if n.Total-n.Completed == 1 {
		return "1 request has"
	}
	return fmt.Sprintf("%d requests have", n.Total-n.Completed)
}

func tokens(u *client.BatchUsage) string {
	if u == nil || u.Total == 0 {
		return ""
	}
	return fmt.Sprintf(", %d tokens", u.Total)
}

// refused tells why the server did not take the file.
func refused(b *client.Batch, where string, std service.IO) error {
	for _, e := range b.Errors.Data {
		fmt.Fprintln(std.Stderr, faultText(firstOf(where, "line "), e.Line, e.Code, e.Message))
	}
	return &exitError{exitUnanswered, b.ID + " has failed: the server refused its file"}
}
