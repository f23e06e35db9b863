package batch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
	"github.com/osiris/osiris/pkg/protocol"
)

// rig is an installation for one test: a broker, a key, a worker and drivers.
type rig struct {
	t    testing.TB
	n    *jobstest.NATS
	conn *jobs.Conn // for clients and for looking
	key  jobs.Key
	cfg  Config
}

func newRig(t testing.TB, n *jobstest.NATS) *rig {
	t.Helper()
	r := &rig{t: t, n: n, cfg: Config{Drain: 5 * time.Second}}
	r.conn = n.ConnectWith(t, r.config())
	ctx := t.Context()
	var err error
	if r.key, _, err = r.conn.CreateKey(ctx, jobs.KeySpec{Name: "k", Tenant: "acme"}); err != nil {
		t.Fatal(err)
	}
	for _, m := range []jobs.PoolModels{
		{Pool: "default", Models: []jobs.Model{{ID: "m"}}},
		{Pool: "other", Models: []jobs.Model{{ID: "m2"}}},
	} {
		if err := r.conn.PublishModels(ctx, m); err != nil {
			t.Fatal(err)
		}
		if err := r.conn.EnsurePool(ctx, m.Pool); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// config has short leases, so that takeovers need not be waited for.
func (r *rig) config() jobs.Config {
	cfg := r.n.Config()
	cfg.AckWait = time.Second
	cfg.Logger = r.logger()
	return cfg
}

func (r *rig) logger() *slog.Logger {
	if os.Getenv("OSIRIS_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(r.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// machine is a driver with all it needs, as one process has it.
type machine struct {
	*Driver
	conn *jobs.Conn
	stop func() // as at a shutdown
	die  func() // as with kill -9: from one moment to the next it reaches nobody
}

// driver starts a driver that runs until the test ends, or its stop or die.
func (r *rig) driver(change func(d *Driver)) *machine {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	conn := r.n.ConnectWith(r.t, r.config())
	keys, err := conn.WatchKeys(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	catalogue, err := conn.WatchCatalogue(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	client, err := jobs.NewClient(r.t.Context(), conn, jobs.ClientConfig{})
	if err != nil {
		r.t.Fatal(err)
	}
	d, err := New(r.cfg, conn, client, catalogue, keys, r.logger(), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if change != nil {
		change(d)
	}
	var wg sync.WaitGroup
	wg.Go(func() { d.Run(ctx) })
	m := &machine{Driver: d, conn: conn}
	var once, dead sync.Once
	m.stop = func() {
		once.Do(func() {
			cancel()
			wg.Wait()
			client.Close()
			catalogue.Close()
			keys.Close()
		})
	}
	m.die = func() { dead.Do(conn.Close) }
	r.t.Cleanup(m.stop)
	return m
}

// worker answers lines as the word in their prompt says; see answer.
func (r *rig) worker(slots int) *jobs.Consumer { return r.workerOf("default", slots, answer) }

func (r *rig) workerOf(pool string, slots int, h jobs.Handler) *jobs.Consumer {
	r.t.Helper()
	k, err := jobs.Consume(r.t.Context(), r.n.ConnectWith(r.t, r.config()), jobs.ConsumeConfig{Pool: pool, Slots: slots}, h)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = k.Stop(ctx)
	})
	return k
}

// answer is a model: "bad" is refused, "busy" fails until the third attempt, "slow"
// takes until it is cancelled, anything else is answered.
func answer(ctx context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
	body := string(a.Job().Body)
	switch {
	case strings.Contains(body, `"bad"`):
		return jobs.Outcome{}, protocol.ErrInvalid("messages", "context_length_exceeded", "Too long.")
	case strings.Contains(body, `"busy"`) && !strings.Contains(a.Job().ID.String(), thirdTry(a.Job())):
		e := protocol.ErrRateLimit("Slow down.", time.Millisecond)
		return jobs.Outcome{}, e
	case strings.Contains(body, `"slow"`):
		<-ctx.Done()
		return jobs.Outcome{}, context.Cause(ctx)
	}
	usage := protocol.Usage{PromptTokens: 3, CompletionTokens: 2, TotalTokens: 5}
	err := a.Answer([]byte(`{"id":"chatcmpl-` + a.Job().ID.String() + `","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":` +
		`{"role":"assistant","content":"hi","refusal":null},"logprobs":null,"finish_reason":"stop"}]}`))
	return jobs.Outcome{Usage: usage, FinishReason: "stop"}, err
}

// thirdTry is the id of a line's third try.
func thirdTry(j *jobs.Job) string {
	id, err := jobs.LineID(j.Keep.Batch, j.Keep.Line, 2)
	if err != nil {
		return "none"
	}
	return id.String()
}

// line is one line of an input whose prompt is a word.
func line(id, word string) string { return lineOf(id, "m", word) }

func lineOf(id, model, word string) string {
	return fmt.Sprintf(`{"custom_id":%q,"method":"POST","url":"/v1/chat/completions","body":{"model":%q,"messages":[{"role":"user","content":%q}]}}`,
		id, model, word)
}

// words is an input of numbered lines with these prompts.
func words(words ...string) string {
	var text strings.Builder
	for i, w := range words {
		text.WriteString(line("c"+strconv.Itoa(i), w) + "\n")
	}
	return text.String()
}

func repeat(word string, n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = word
	}
	return words(all...)
}

func (r *rig) upload(content string) jobs.File {
	r.t.Helper()
	w := r.conn.NewFile(r.t.Context(), jobs.File{
		ID: jobs.NewFileID(), Tenant: r.key.Tenant, Purpose: "batch", Filename: "in.jsonl", Expires: time.Now().Add(time.Hour),
	})
	if _, err := io.WriteString(w, content); err != nil {
		r.t.Fatal(err)
	}
	f, err := w.Commit(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return f
}

// create uploads an input and creates a batch on it.
func (r *rig) create(content string, change func(b *jobs.StoredBatch)) string {
	r.t.Helper()
	now := time.Now()
	b := &jobs.StoredBatch{Tenant: r.key.Tenant, Key: r.key.ID, Object: protocol.Batch{
		ID: jobs.NewBatchID(), Endpoint: protocol.ChatEndpoint, CompletionWindow: "24h", Status: protocol.BatchValidating,
		CreatedAt: now.Unix(), ExpiresAt: now.Add(24 * time.Hour).Unix(),
	}}
	if content != "" {
		b.Object.InputFileID = r.upload(content).ID
	}
	if change != nil {
		change(b)
	}
	if err := r.conn.CreateBatch(r.t.Context(), b); err != nil {
		r.t.Fatal(err)
	}
	return b.Object.ID
}

func (r *rig) get(id string) *jobs.StoredBatch {
	r.t.Helper()
	b, err := r.conn.Batch(r.t.Context(), r.key.Tenant, id)
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

// patience is how long tests wait for what usually takes milliseconds, on a machine
// that is busy with others.
const patience = time.Minute

// await polls until the batch is as it should be.
func (r *rig) await(id string, limit time.Duration, what string, is func(b *protocol.Batch) bool) *protocol.Batch {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), limit)
	defer cancel()
	for {
		b := r.get(id)
		if is(&b.Object) {
			return &b.Object
		}
		if ctx.Err() != nil {
			r.t.Fatalf("%s after %s: not %s: %s", id, limit, what, b.Object.AppendJSON(nil))
		}
		sleep(ctx, 20*time.Millisecond)
	}
}

func (r *rig) end(id string, limit time.Duration) *protocol.Batch {
	r.t.Helper()
	return r.await(id, limit, "ended", func(b *protocol.Batch) bool { return b.Status.Ended() })
}

// fileLine is one line of an output or error file.
type fileLine struct {
	ID       string `json:"id"`
	CustomID string `json:"custom_id"`
	Response *struct {
		Status    int    `json:"status_code"`
		RequestID string `json:"request_id"`
		Body      struct {
			ID      string            `json:"id"`
			Choices []json.RawMessage `json:"choices"`
			Error   *struct {
				Code string `json:"code"`
			} `json:"error"`
		} `json:"body"`
	} `json:"response"`
	Error *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

func (r *rig) lines(file string) []fileLine {
	r.t.Helper()
	if file == "" {
		return nil
	}
	f, err := r.conn.File(r.t.Context(), r.key.Tenant, file)
	if err != nil {
		r.t.Fatalf("%s: %v", file, err)
	}
	if f.Purpose != "batch_output" {
		r.t.Errorf("purpose %q", f.Purpose)
	}
	reader := r.conn.OpenFile(r.t.Context(), f)
	defer reader.Close()
	text, err := io.ReadAll(reader)
	if err != nil || len(text) == 0 {
		r.t.Fatalf("%s: %d bytes, %v", file, len(text), err)
	}
	var all []fileLine
	for row := range bytes.SplitSeq(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) {
		var l fileLine
		if err := json.Unmarshal(row, &l); err != nil {
			r.t.Fatalf("%s: %v: %s", file, err, row)
		}
		all = append(all, l)
	}
	return all
}

// check holds an ended batch to what must be true of every one that ran: each line
// of the input is in exactly one output or error line, and the counts agree. It
// returns what became of each line: "ok", a code, or a status.
func (r *rig) check(b *protocol.Batch, input string) map[string]string {
	r.t.Helper()
	fates := map[string]string{}
	note := func(l fileLine, fate string) {
		if was, twice := fates[l.CustomID]; twice {
			r.t.Errorf("%s is in the files twice: %s, %s", l.CustomID, was, fate)
		}
		fates[l.CustomID] = fate
	}
	for _, l := range r.lines(b.OutputFileID) {
		if l.Response == nil || l.Response.Status != 200 || l.Error != nil || len(l.Response.Body.Choices) != 1 {
			r.t.Errorf("output line %+v", l)
		}
		note(l, "ok")
	}
	for _, l := range r.lines(b.ErrorFileID) {
		switch {
		case l.Response == nil && l.Error != nil:
			note(l, l.Error.Code)
		case l.Response != nil && l.Error == nil && l.Response.Status != 200 && l.Response.Body.Error != nil:
			note(l, strconv.Itoa(l.Response.Status))
		default:
			r.t.Errorf("error line %+v", l)
		}
	}
	total := 0
	for row := range strings.Lines(input) {
		var l fileLine
		if err := json.Unmarshal([]byte(row), &l); err != nil {
			continue // blank
		}
		total++
		if fates[l.CustomID] == "" {
			r.t.Errorf("%s is in no file", l.CustomID)
		}
	}
	completed := 0
	for _, fate := range fates {
		if fate == "ok" {
			completed++
		}
	}
	want := protocol.BatchCounts{Total: total, Completed: completed, Failed: total - completed}
	if b.Counts != want || len(fates) != total {
		r.t.Errorf("counts %+v, want %+v; %d lines in the files", b.Counts, want, len(fates))
	}
	if b.Usage == nil || b.Usage.TotalTokens != int64(5*completed) {
		r.t.Errorf("usage %+v of %d completed lines", b.Usage, completed)
	}
	return fates
}

// blocking tells of each line that begins and lets it end once release is closed.
func blocking(running chan<- struct{}, release <-chan struct{}) jobs.Handler {
	return func(ctx context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
		select {
		case running <- struct{}{}:
		default:
		}
		select {
		case <-ctx.Done():
			return jobs.Outcome{}, context.Cause(ctx)
		case <-release:
		}
		return answer(ctx, a)
	}
}

// blockingWorker starts a worker that blocks so, and counts what it runs.
func (r *rig) blockingWorker(slots int, running chan<- struct{}, release <-chan struct{}) *atomic.Int64 {
	var runs atomic.Int64
	block := blocking(running, release)
	r.workerOf("default", slots, func(ctx context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
		runs.Add(1)
		return block(ctx, a)
	})
	return &runs
}
