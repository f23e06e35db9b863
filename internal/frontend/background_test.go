package frontend

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
	"github.com/osiris/osiris/pkg/protocol"
)

// A background request is answered at once and can be followed through its life.
func TestBackground(t *testing.T) {
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		r := startOn(t, n, anyone(), nil)
		resp, body := r.post(with(`"background":true,"metadata":{"a":"b"}`))
		id := resp.Header.Get("X-Request-Id")
		got := r.read(resp, body)
		if got.ID != id || got.Status != "queued" || got.Choices == nil || len(got.Choices) > 0 || got.Queue == nil || got.Queue.Position < 1 || got.Metadata["a"] != "b" {
			t.Fatalf("%s", body)
		}
		path := completions + "/" + id
		if got := r.get(path); got.Status != "queued" || got.Queue == nil || got.Queue.Position < 1 {
			t.Errorf("queued: %+v", got)
		}
		resp, _ = r.post(with(`"background":true`))
		second := completions + "/" + resp.Header.Get("X-Request-Id")
		eventually(t, "the second in the queue is known as such", func() bool { q := r.get(second).Queue; return q != nil && q.Position == 2 })
		released := make(chan struct{})
		r.work(func(ctx context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
			select {
			case <-released:
			case <-ctx.Done():
				return jobs.Outcome{}, context.Cause(ctx)
			}
			return teller(ctx, a)
		})
		if got := r.until(path, "in_progress"); got.Queue != nil || len(got.Choices) > 0 {
			t.Errorf("in progress: %+v", got)
		}
		close(released)
		if got := r.until(path, "completed"); got.text() != "Hello" || got.Metadata["a"] != "b" {
			t.Errorf("completed: %+v", got)
		}
	})
}

// A background request that fails keeps its error.
func TestBackgroundFails(t *testing.T) {
	r := start(t, anyone(), func(context.Context, *jobs.Attempt) (jobs.Outcome, error) {
		return jobs.Outcome{}, protocol.ErrInvalid("messages", "context_length_exceeded", "too long")
	})
	resp, _ := r.post(with(`"background":true`))
	path := completions + "/" + resp.Header.Get("X-Request-Id")
	got := r.until(path, "failed")
	if got.Error == nil || *got.Error.Message != "too long" || *got.Error.Code != "context_length_exceeded" || len(got.Choices) > 0 {
		t.Errorf("%+v", got)
	}
	resp, body := r.do(http.MethodGet, path+"?stream=true", "")
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(string(body), `data: {"error":{"message":"too long"`) || !strings.HasSuffix(string(body), "\n\n"+protocol.Done) {
		t.Errorf("as a stream: %d %s", resp.StatusCode, body)
	}
	if page := r.list("?status=failed"); len(page.Data) != 1 {
		t.Errorf("%d failed ones are listed", len(page.Data))
	}
}

// Cancelling works in every phase, and changes nothing once it has ended.
func TestCancelCompletion(t *testing.T) {
	r := start(t, anyone(), nil)
	cancel := func(path string) {
		t.Helper()
		for range 2 {
			resp, body := r.do(http.MethodPost, path+"/cancel", "")
			if got := r.read(resp, body); got.Status != "cancelled" || len(got.Choices) > 0 {
				t.Errorf("%s", body)
			}
		}
		if got := r.get(path); got.Status != "cancelled" {
			t.Errorf("%+v", got)
		}
	}
	resp, _ := r.post(with(`"background":true`))
	cancel(completions + "/" + resp.Header.Get("X-Request-Id"))

	ended := make(chan error, 1)
	r.work(func(ctx context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return jobs.Outcome{}, context.Cause(ctx)
	})
	resp, _ = r.post(with(`"background":true`))
	running := completions + "/" + resp.Header.Get("X-Request-Id")
	r.until(running, "in_progress")
	cancel(running)
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("the worker goes on")
	}
	if page := r.list("?status=cancelled"); len(page.Data) != 2 {
		t.Errorf("%d cancelled ones are listed", len(page.Data))
	}
}
