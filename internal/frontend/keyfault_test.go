package frontend

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
	"github.com/osiris/osiris/pkg/protocol"
)

// One key is for one request: another body, or another route, is refused for good.
func TestKeyReused(t *testing.T) {
	r := start(t, Config{}, teller)
	mine := []string{"Idempotency-Key", "k", "Authorization", "Bearer " + r.key(jobs.KeySpec{Name: "mine", Tenant: "acme"})}
	theirs := []string{"Idempotency-Key", "k", "Authorization", "Bearer " + r.key(jobs.KeySpec{Name: "theirs", Tenant: "other"})}
	eventually(t, "the keys are known", func() bool {
		resp, _ := r.do(http.MethodGet, "/v1/models", "", theirs...)
		return resp.StatusCode == 200
	})
	first, _ := r.post(with(`"store":true`), mine...)
	id := first.Header.Get("X-Request-Id")
	for _, q := range [][2]string{
		{completions, plainRequest},
		{completions, with(`"store":true `)},
		{completions + "/" + id, `{"metadata":{}}`},
		{completions + "/" + id + "/cancel", ""},
	} {
		resp, body := r.do(http.MethodPost, q[0], q[1], mine...)
		message := wantError(t, resp, body, http.StatusConflict, invalid, "idempotency_key_reused")
		if resp.Header.Get("X-Should-Retry") != "false" || !strings.Contains(message, "Idempotency-Key") {
			t.Errorf("%s: %v", message, resp.Header)
		}
	}
	if resp, body := r.post(plainRequest, theirs...); resp.StatusCode != http.StatusOK || resp.Header.Get("X-Request-Id") == id {
		t.Errorf("another tenant's key is the same: %d %s", resp.StatusCode, body)
	}
	for range 2 { // an update with a key of its own may be repeated
		resp, body := r.do(http.MethodPost, completions+"/"+id, `{"metadata":{"a":"b"}}`, append(mine, "Idempotency-Key", "update")...)
		if got := r.read(resp, body); got.Metadata["a"] != "b" {
			t.Errorf("%s", body)
		}
	}
}

// A request that is refused leaves its key free.
func TestRefusedLeavesNoClaim(t *testing.T) {
	r := start(t, anyone(), teller)
	r.models(jobs.Model{ID: "echo"})
	for _, body := range []string{
		"no json", `{"model":"echo"}`, with(`"n":0`), with(`"background":true,"store":false`), strings.Replace(plainRequest, "echo", "unknown", 1),
	} {
		resp, got := r.post(body, "Idempotency-Key", "k")
		if resp.StatusCode < 400 || resp.StatusCode == http.StatusConflict {
			t.Errorf("%s: %d %s", body, resp.StatusCode, got)
		}
	}
	if resp, body := r.post(plainRequest, "Idempotency-Key", "k"); resp.StatusCode != http.StatusOK {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

// A request that a full queue turned away may come again with its key.
func TestKeyAfterFullQueue(t *testing.T) {
	cfg := anyone()
	cfg.MaxWaiting, cfg.RequestTimeout = 1, 100*time.Millisecond
	r := start(t, cfg, nil)
	r.post(with(`"background":true`))
	request := with(`"service_tier":"flex"`)
	n := 0
	eventually(t, "the queue is full", func() bool {
		n++
		resp, _ := r.post(request, "Idempotency-Key", strconv.Itoa(n))
		return resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("X-Should-Retry") == ""
	})
	r.work(teller)
	cfg.RequestTimeout = time.Minute
	if err := r.SetConfig(cfg); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the queue is empty", func() bool {
		resp, body := r.post(request, "Idempotency-Key", strconv.Itoa(n))
		return resp.StatusCode == http.StatusOK && strings.Contains(string(body), "Hello")
	})
}

// A key of a completion that was deleted does not bring it back, nor another one.
func TestKeyOfDeleted(t *testing.T) {
	var runs atomic.Int64
	r := start(t, anyone(), counting(&runs, teller))
	for name, request := range map[string]string{"json": with(`"store":true`), "stream": with(`"store":true,"stream":true`)} {
		runs.Store(0)
		first, _ := r.post(request, "Idempotency-Key", name)
		id := first.Header.Get("X-Request-Id")
		if resp, body := r.do(http.MethodDelete, completions+"/"+id, ""); resp.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", resp.StatusCode, body)
		}
		for range 2 {
			resp, body := r.post(request, "Idempotency-Key", name)
			wantError(t, resp, body, http.StatusConflict, invalid, "completion_deleted")
			if resp.Header.Get("X-Should-Retry") != "false" {
				t.Errorf("%s: %v", name, resp.Header)
			}
		}
		if n := runs.Load(); n != 1 {
			t.Errorf("%s: %d calls", name, n)
		}
		r.wantNothing(id)
	}
}

func TestLongKey(t *testing.T) {
	r := start(t, anyone(), teller)
	if resp, body := r.post(plainRequest, "Idempotency-Key", strings.Repeat("k", 255)); resp.StatusCode != http.StatusOK {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	resp, body := r.post(plainRequest, "Idempotency-Key", strings.Repeat("k", 256))
	if message := wantError(t, resp, body, http.StatusBadRequest, invalid, "invalid_idempotency_key"); !strings.Contains(message, "255") {
		t.Error(message)
	}
	resp, body = r.do(http.MethodPost, completions+"/x/cancel", "", "Idempotency-Key", strings.Repeat("k", 256))
	wantError(t, resp, body, http.StatusNotFound, invalid, "")
}

// A failure is an answer too: it is not tried again under the same key, and says so.
func TestKeyedFailure(t *testing.T) {
	var runs atomic.Int64
	r := start(t, anyone(), counting(&runs, func(context.Context, *jobs.Attempt) (jobs.Outcome, error) {
		e := protocol.ErrUpstream("it broke")
		e.RetryAfter = time.Second
		return jobs.Outcome{}, e
	}))
	for name, request := range map[string]string{"json": plainRequest, "stream": streamRequest} {
		runs.Store(0)
		for range 3 {
			resp, body := r.post(request, "Idempotency-Key", name)
			if message := wantError(t, resp, body, http.StatusBadGateway, "server_error", ""); message != "it broke" ||
				resp.Header.Get("X-Should-Retry") != "false" || resp.Header.Get("Retry-After") != "" {
				t.Errorf("%s: %s %v", name, message, resp.Header)
			}
		}
		if n := runs.Load(); n != 1 {
			t.Errorf("%s: %d calls", name, n)
		}
	}
	resp, body := r.post(with(`"store":true`)) // without a key the next one is another
	wantError(t, resp, body, http.StatusBadGateway, "server_error", "")
	if resp.Header.Get("X-Should-Retry") != "" || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("stored without a key: %v", resp.Header)
	}
}

// Whoever made the claim may die at any line after it: the next request with the
// key gets the answer, of one call.
func TestCreatorDies(t *testing.T) {
	lines := map[string]func(t *testing.T, n *jobstest.NATS, client *jobs.Client, job *jobs.Job){
		"after the claim": func(*testing.T, *jobstest.NATS, *jobs.Client, *jobs.Job) {},
		"after the record": func(t *testing.T, n *jobstest.NATS, client *jobs.Client, job *jobs.Job) {
			if err := client.SubmitBackground(t.Context(), job); err != nil {
				t.Fatal(err)
			}
			n.LoseJobs(t)
		},
		"after it was published": func(t *testing.T, _ *jobstest.NATS, client *jobs.Client, job *jobs.Job) {
			s, err := client.Submit(t.Context(), job)
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "it is stored", s.Stored)
		},
	}
	for name, line := range lines {
		for kind, body := range map[string]string{"json": plainRequest, "stream": streamRequest, "background": with(`"background":true`)} {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
					var runs atomic.Int64
					r := startOn(t, n, anyone(), nil)
					client, err := jobs.NewClient(t.Context(), n.Connect(t), jobs.ClientConfig{})
					if err != nil {
						t.Fatal(err)
					}
					line(t, n, client, claimFor(t, r.conn, "k", body))
					client.Close()
					r.work(counting(&runs, teller))
					resp, got := r.post(body, "Idempotency-Key", "k")
					if kind == "background" {
						r.until(completions+"/"+r.read(resp, got).ID, "completed")
					} else if resp.StatusCode != http.StatusOK || !strings.Contains(string(got), "Hel") {
						t.Errorf("%d %s", resp.StatusCode, got)
					}
					if n := runs.Load(); n != 1 {
						t.Errorf("%d calls", n)
					}
				})
			})
		}
	}
}

// claimFor makes the claim of a request as a frontend does, and the job that it
// would submit then.
func claimFor(t *testing.T, conn *jobs.Conn, key, body string) *jobs.Job {
	t.Helper()
	id := jobs.NewID()
	about := claimed(http.MethodPost, completions, sum([]byte(body)))
	if owner, err := conn.Claim(t.Context(), anonymous, key, about, completionID(id)); err != nil || owner != completionID(id) {
		t.Fatalf("claim: %s, %v", owner, err)
	}
	req, err := protocol.ParseRequest([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	class, tier := classOf(req.ServiceTier, req.Background)
	return &jobs.Job{
		ID: id, Tenant: anonymous, Key: anonymous, Model: req.Model, Pool: "default", Class: class, Stream: req.Stream, ServiceTier: tier,
		Created: id.Time().Unix(), Timeout: time.Minute, Body: req.Body, Keep: keepOf(req, true),
	}
}
