package load

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/osiris/osiris/internal/bench/histogram"
)

// worker sends requests on a connection of its own. It is used by one goroutine.
type worker struct {
	cfg      *Config
	url      *url.URL
	template *template
	conn     conn
	events   events
	judge    judge
	want     []byte
	body     []byte
	asked    int
}

func newWorker(cfg *Config, u *url.URL) (*worker, error) {
	t, err := newTemplate(cfg, u)
	if err != nil {
		return nil, err
	}
	return &worker{cfg: cfg, url: u, template: t, conn: conn{target: newTarget(u, cfg.Dial)}}, nil
}

// ask sends the request with this id and checks its answer. gap, unless it is nil,
// takes the times between two pieces of text.
func (w *worker) ask(ctx context.Context, id uint64, gap *histogram.Histogram) (outcome, error) {
	w.template.set(id)
	w.want = w.template.expected(w.want, w.cfg.Verify)
	j := &w.judge
	*j = judge{verify: w.cfg.Verify, want: w.want, gap: gap, every: w.asked%16 == 0}
	w.asked++
	if w.cfg.Verify == Off || w.cfg.Verify == Shape {
		j.want = nil
	}
	if w.cfg.Verify == Model {
		j.tokens = w.cfg.Tokens
		if w.cfg.Kind == Stream && !w.cfg.Coalesce {
			j.pieces = w.cfg.Tokens
		}
	}
	j.usage = w.cfg.Kind == Plain || w.cfg.Usage
	deadline := time.Now().Add(w.cfg.Timeout)
	var err error
	switch w.cfg.Kind {
	case Stream:
		err = w.stream(ctx, w.template.bytes, deadline)
	case Kept:
		err = w.kept(ctx, deadline)
	default:
		var body []byte
		if body, err = w.whole(ctx, w.template.bytes, deadline); err == nil {
			err = j.whole(body)
		}
	}
	if err != nil {
		w.conn.close()
	}
	return j.outcome, err
}

// whole returns the body of an answer with status 200.
func (w *worker) whole(ctx context.Context, request []byte, deadline time.Time) ([]byte, error) {
	r, err := w.open(ctx, request, deadline)
	if err != nil {
		return nil, err
	}
	if w.body, err = readAll(w.conn.body, w.body[:0]); err != nil {
		return nil, broken("reading the answer", err)
	}
	return w.body, w.conn.finish(r)
}

func (w *worker) stream(ctx context.Context, request []byte, deadline time.Time) error {
	r, err := w.open(ctx, request, deadline)
	if err != nil {
		return err
	}
	w.events.r = w.conn.body
	if err := w.judge.stream(&w.events); err != nil {
		return err
	}
	return w.conn.finish(r)
}

// kept submits a completion that is kept, and reads its stream by its id.
func (w *worker) kept(ctx context.Context, deadline time.Time) error {
	body, err := w.whole(ctx, w.template.bytes, deadline)
	if err != nil {
		return err
	}
	accepted := time.Now()
	var c chunk
	if err := json.Unmarshal(body, &c); err != nil || c.ID == "" || c.Status == "" {
		return fail("not_kept", "the answer has no id and status: %.200q", body)
	}
	get := appendLine(nil, w.cfg, w.url, http.MethodGet, "/chat/completions/"+url.PathEscape(c.ID)+"?stream=true")
	err = w.stream(ctx, append(get, "\r\n"...), deadline)
	w.judge.outcome.accepted = accepted
	return err
}

// open sends a request and returns the head of its answer, whose status is 200.
func (w *worker) open(ctx context.Context, request []byte, deadline time.Time) (response, error) {
	r, err := w.conn.send(ctx, request, deadline)
	if err != nil || r.status == http.StatusOK {
		return r, err
	}
	refusal := make([]byte, 300)
	n, _ := io.ReadFull(w.conn.body, refusal)
	return r, fail(fmt.Sprintf("http_%d", r.status), "%s", refusal[:n])
}

// readAll appends all of r to b.
func readAll(r io.Reader, b []byte) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = append(b, make([]byte, max(len(b), 2<<10))...)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}
