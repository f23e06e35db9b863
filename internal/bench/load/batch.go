package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/osiris/osiris/internal/bench/answer"
	"github.com/osiris/osiris/internal/client"
)

// BatchTimes are what a batch took, in seconds.
type BatchTimes struct {
	Upload   float64 `json:"upload_s"`
	Run      float64 `json:"run_s"` // from creating it to seeing its end
	Download float64 `json:"download_s"`
	Bytes    int64   `json:"bytes"` // of its file
}

// batchPoll is the pause between two looks at a batch.
const batchPoll = 100 * time.Millisecond

// runBatch has Requests lines answered as one batch.
func runBatch(ctx context.Context, cfg *Config) (*Result, error) {
	api, err := client.New(client.Config{BaseURL: cfg.URL, Key: cfg.Key, Agent: "osiris-bench"})
	if err != nil {
		return nil, err
	}
	defer api.Close()
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	lines, err := newLines(cfg)
	if err != nil {
		return nil, err
	}
	key := fmt.Sprintf("osiris-bench-%016x", lines.first)
	began := time.Now()
	file, err := api.Upload(ctx, client.Upload{
		Name: "bench.jsonl", Purpose: "batch", Size: lines.size(), Key: key + "-file",
		Open: func() (io.ReadCloser, error) { return io.NopCloser(lines.reader()), nil },
	})
	if err != nil {
		return nil, fmt.Errorf("batch: %w", err)
	}
	created := time.Now()
	batch, err := api.CreateBatch(ctx, client.NewBatch{InputFileID: file.ID, Endpoint: "/v1/chat/completions", Window: "24h"}, key)
	for err == nil && !batch.Ended() {
		if !waitUntil(ctx, time.Now().Add(batchPoll)) {
			err = context.Cause(ctx)
			break
		}
		batch, err = api.Batch(ctx, batch.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("batch: %w", err)
	}
	ended := time.Now()
	check := &batchCheck{lines: lines, seen: make([]bool, cfg.Requests), failed: map[string]int64{}}
	for _, id := range []string{batch.OutputFileID, batch.ErrorFileID} {
		if id == "" {
			continue
		}
		if _, err := api.Fetch(ctx, id, check, 0, nil); err != nil {
			return nil, fmt.Errorf("batch: %w", err)
		}
	}
	out := check.result(batch)
	out.Batch = &BatchTimes{
		Upload: created.Sub(began).Seconds(), Run: ended.Sub(created).Seconds(), Download: time.Since(ended).Seconds(), Bytes: lines.size(),
	}
	out.rates(ended.Sub(created))
	return out, nil
}

// lines are the requests of a batch: all have the same length, and are made as they are read.
type lines struct {
	cfg      *Config
	first    uint64 // id of line 0
	template []byte
	idAt     int
	nameAt   int
}

// nameDigits is how many digits a line's custom_id has.
const nameDigits = 9

func newLines(cfg *Config) (*lines, error) {
	one := *cfg
	one.Kind = Plain // a line is a request for a whole answer
	body, err := bodyOf(&one, prompt(cfg))
	if err != nil {
		return nil, err
	}
	head := `{"custom_id":"line-`
	b := append([]byte(head), strings.Repeat("0", nameDigits)...)
	b = append(append(b, `","method":"POST","url":"/v1/chat/completions","body":`...), body...)
	l := &lines{cfg: cfg, first: rand.Uint64(), template: append(b, "}\n"...), nameAt: len(head)}
	l.idAt = answer.IDAt(l.template)
	return l, nil
}

func (l *lines) size() int64 { return l.cfg.Requests * int64(len(l.template)) }

func (l *lines) reader() io.Reader {
	return &lineReader{lines: l, line: bytes.Clone(l.template), at: len(l.template)}
}

// lineReader reads the lines of a batch.
type lineReader struct {
	lines *lines
	line  []byte // the one that is being read
	at    int    // in it
	n     int64  // of the next one
}

// Read implements io.Reader.
func (r *lineReader) Read(p []byte) (int, error) {
	if r.at == len(r.line) {
		if r.n == r.lines.cfg.Requests {
			return 0, io.EOF
		}
		answer.PutID(r.line[r.lines.idAt:], r.lines.first+uint64(r.n))
		copy(r.line[r.lines.nameAt:], fmt.Sprintf("%0*d", nameDigits, r.n))
		r.n++
		r.at = 0
	}
	n := copy(p, r.line[r.at:])
	r.at += n
	return n, nil
}

// batchCheck reads the files that a batch left and checks each line.
type batchCheck struct {
	lines  *lines
	rest   []byte // of a line whose end did not come yet
	seen   []bool
	right  int64
	failed map[string]int64
	sample string
	want   []byte
}

// Write implements io.Writer.
func (c *batchCheck) Write(p []byte) (int, error) {
	c.rest = append(c.rest, p...)
	left := c.rest
	for {
		line, after, ok := bytes.Cut(left, []byte("\n"))
		if !ok {
			break
		}
		if err := c.line(line); err != nil {
			c.failed[kindOf(err)]++
			if c.sample == "" {
				c.sample = err.Error()
			}
		}
		left = after
	}
	c.rest = c.rest[:copy(c.rest, left)]
	return len(p), nil
}

func (c *batchCheck) line(line []byte) error {
	var got struct {
		Name     string `json:"custom_id"`
		Response *struct {
			Status int             `json:"status_code"`
			Body   json.RawMessage `json:"body"`
		} `json:"response"`
		Error json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(line, &got); err != nil {
		return fail("bad_json", "%w in %.200q", err, line)
	}
	var n uint64
	if _, err := fmt.Sscanf(got.Name, "line-%d", &n); err != nil || n >= uint64(len(c.seen)) {
		return fail("foreign_line", "%.200q was not asked for", got.Name)
	}
	if c.seen[n] {
		return fail("repeated_line", "%s is answered twice", got.Name)
	}
	c.seen[n] = true
	switch {
	case got.Response == nil:
		return fail("line_error", "%.300s", got.Error)
	case got.Response.Status != 200:
		return fail(fmt.Sprintf("http_%d", got.Response.Status), "%.300s", got.Response.Body)
	}
	cfg := c.lines.cfg
	spec := answer.Spec{ID: c.lines.first + n, Pieces: cfg.Tokens, Size: cfg.Size}
	asked := &template{spec: spec, prompt: prompt(cfg)}
	answer.PutID(asked.prompt[answer.IDAt(asked.prompt):], spec.ID)
	c.want = asked.expected(c.want, cfg.Verify)
	j := judge{verify: cfg.Verify, want: c.want, usage: true}
	if cfg.Verify == Model {
		j.tokens = cfg.Tokens
	} else if cfg.Verify != Echo {
		j.want = nil
	}
	if err := j.whole(got.Response.Body); err != nil {
		return err
	}
	c.right++
	return nil
}

// result counts the lines, those among the failures that nothing was heard of.
func (c *batchCheck) result(b *client.Batch) *Result {
	out := &Result{
		Kind: Batch, Requests: c.right, AllRequests: c.right, Begun: c.lines.cfg.Requests,
		Errors: c.failed, FirstError: c.sample, TokensPerAnswer: c.lines.cfg.Tokens,
	}
	for _, seen := range c.seen {
		if !seen {
			c.failed["missing_line"]++
		}
	}
	for _, n := range c.failed {
		out.Failed += n
	}
	if out.FirstError == "" && out.Failed > 0 {
		out.FirstError = fmt.Sprintf("the batch is %s and lacks lines: %+v", b.Status, b.Errors.Data)
	}
	return out
}
