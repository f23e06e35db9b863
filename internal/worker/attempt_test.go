package worker

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

func TestAttemptFallbacks(t *testing.T) {
	once := func(e provider.Error) []act { e.Retry = false; return []act{failing(e)} }
	fine := []act{answering(wholeAnswer)}
	bad := provider.Error{Public: protocol.ErrInvalid("messages", "", "too odd")}
	gone := provider.Error{Public: protocol.ErrModelNotFound("up-0"), Fallback: true}
	for name, test := range map[string]struct {
		scripts [][]act
		calls   []int
		status  int // 0 is an answer
		after   time.Duration
	}{
		"first answers":            {[][]act{fine, fine}, []int{1, 0}, 0, 0},
		"second answers":           {[][]act{once(overloaded()), fine}, []int{1, 1}, 0, 0},
		"third answers":            {[][]act{once(overloaded()), once(gone), fine}, []int{1, 1, 1}, 0, 0},
		"client's fault ends it":   {[][]act{once(bad), fine}, []int{1, 0}, 400, 0},
		"unknown there, tried on":  {[][]act{once(gone), fine}, []int{1, 1}, 0, 0},
		"unknown everywhere":       {[][]act{once(gone), once(gone)}, []int{1, 1}, 404, 0},
		"all limited, the shorter": {[][]act{once(limitedFor(40 * time.Second)), once(limitedFor(20 * time.Second))}, []int{1, 1}, 429, 20 * time.Second},
		"limited and overloaded":   {[][]act{once(overloaded()), once(limitedFor(20 * time.Second))}, []int{1, 1}, 502, 0},
		"rubbish":                  {[][]act{{answering(`{"choices":[]}`)}, fine}, []int{3, 1}, 0, 0},
		"two targets break":        {[][]act{{failing(overloaded())}, {failing(overloaded())}}, []int{3, 3}, 502, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var providers []*scripted
				for _, script := range test.scripts {
					providers = append(providers, &scripted{script: script})
				}
				r, o, err := ask(t.Context(), serve(t, providers...), jobs.Job{})
				for i, p := range providers {
					if p.count() != test.calls[i] {
						t.Errorf("target %d was called %d times, not %d", i, p.count(), test.calls[i])
					}
				}
				if test.status == 0 {
					if err != nil || !bytes.Contains(r.answer, []byte("Hello")) || o.Usage.TotalTokens != 5 {
						t.Errorf("answer %q, outcome %+v, error %v", r.answer, o, err)
					}
					return
				}
				e := protocol.AsError(err)
				if err == nil || e.Status != test.status || e.RetryAfter != test.after {
					t.Errorf("error is %+v", e)
				}
				if strings.Contains(e.Message, "up-") {
					t.Errorf("the client is told %q", e.Message)
				}
			})
		})
	}
}

func TestAttemptRetriesWhenTheServerSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &scripted{script: []act{
			failing(limitedFor(7 * time.Second)), failing(limitedFor(9 * time.Second)), answering(wholeAnswer),
		}}
		start := time.Now()
		_, o, err := ask(t.Context(), serve(t, p), jobs.Job{})
		if err != nil {
			t.Fatal(err)
		}
		if first, second := p.at[1].Sub(p.at[0]), p.at[2].Sub(p.at[1]); first != 7*time.Second || second != 9*time.Second {
			t.Errorf("waited %v and %v", first, second)
		}
		if o.Timing.Worker != time.Since(start) || o.Timing.Model != 0 || o.Timing.Queue != time.Second {
			t.Errorf("timing is %+v", o.Timing)
		}
	})
}

func TestAttemptBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &scripted{script: []act{failing(overloaded())}}
		if _, _, err := ask(t.Context(), serve(t, p), jobs.Job{}); protocol.AsError(err).Status != 502 {
			t.Errorf("error is %v", err)
		}
		if p.count() != 3 {
			t.Fatalf("%d calls, not 3", p.count())
		}
		first, second := p.at[1].Sub(p.at[0]), p.at[2].Sub(p.at[1])
		if first < 250*time.Millisecond || first > 500*time.Millisecond || second < 500*time.Millisecond || second > time.Second {
			t.Errorf("waited %v and %v", first, second)
		}
	})
}

func TestAttemptKeepsTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Second, jobs.ErrExpired)
		defer cancel()
		start := time.Now()
		p := &scripted{script: []act{failing(limitedFor(6 * time.Second))}}
		_, _, err := ask(ctx, serve(t, p), jobs.Job{})
		if e := protocol.AsError(err); e.Status != 429 || e.RetryAfter != 6*time.Second || time.Since(start) != 0 {
			t.Errorf("error is %+v after %v: a wait beyond the deadline is of no use", e, time.Since(start))
		}
		hung := &scripted{script: []act{hanging}}
		_, o, err := ask(ctx, serve(t, hung), jobs.Job{})
		if !errors.Is(err, jobs.ErrExpired) || o.Timing.Model != 5*time.Second || o.Provider != "0" || o.Target != "up-0" {
			t.Errorf("error is %v, outcome %+v", err, o)
		}
	})
}

// TestAttemptNeverRepeatsText: rule 4, after the first token neither a retry nor a
// fallback.
func TestAttemptNeverRepeatsText(t *testing.T) {
	breaks := func(ctx context.Context, out provider.Output) error {
		if err := saying("Hel", "...")(ctx, out); err != nil {
			return err
		}
		return new(overloaded())
	}
	for name, script := range map[string]act{"error in the middle": breaks, "no finish": saying("Hel", "...")} {
		t.Run(name, func(t *testing.T) {
			first, second := &scripted{script: []act{script}}, &scripted{script: []act{saying("Hello")}}
			r, _, err := ask(t.Context(), serve(t, first, second), jobs.Job{Stream: true})
			if e := protocol.AsError(err); err == nil || e.Status != 502 {
				t.Errorf("error is %v", err)
			}
			if first.count() != 1 || second.count() != 0 {
				t.Errorf("%d and %d calls", first.count(), second.count())
			}
			if bytes.Contains(r.chunks, []byte(`"finish_reason":"`)) {
				t.Errorf("a finish was made up: %s", r.chunks)
			}
		})
	}
}

func TestAttemptFallsBackAfterARole(t *testing.T) {
	role := func(_ context.Context, out provider.Output) error {
		if err := out.Chunk(&protocol.Chunk{Choices: []protocol.Choice{{}}}); err != nil {
			return err
		}
		e := overloaded()
		e.Retry = false
		return &e
	}
	first, second := &scripted{script: []act{role}}, &scripted{script: []act{saying("Hello")}}
	r, o, err := ask(t.Context(), serve(t, first, second), jobs.Job{Stream: true})
	if err != nil || o.Provider != "1" || bytes.Count(r.chunks, []byte(`"role"`)) != 1 {
		t.Errorf("error %v, outcome %+v, stream %s", err, o, r.chunks)
	}
}

// TestAttemptCountsWhatWasUsed: usage is known also of what failed or was cancelled.
func TestAttemptCountsWhatWasUsed(t *testing.T) {
	used := func(then act) act {
		return func(ctx context.Context, out provider.Output) error {
			c := text(`"Hi"`)
			c.Usage = []byte(`{"prompt_tokens":11,"completion_tokens":1,"total_tokens":12}`)
			if err := out.Chunk(c); err != nil {
				return err
			}
			return then(ctx, out)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	leaves := func(ctx context.Context, out provider.Output) error {
		cancel(jobs.ErrCancelled)
		return hanging(ctx, out)
	}
	for name, test := range map[string]struct {
		ctx  context.Context
		then act
		want error
	}{
		"failed":    {t.Context(), failing(overloaded()), protocol.ErrUpstream("overloaded")},
		"cancelled": {ctx, leaves, jobs.ErrCancelled},
	} {
		p := &scripted{script: []act{used(test.then)}}
		_, o, err := ask(test.ctx, serve(t, p), jobs.Job{Stream: true})
		if err == nil || !strings.Contains(err.Error(), test.want.Error()) {
			t.Errorf("%s: error is %v", name, err)
		}
		if o.Usage.TotalTokens != 12 || o.Usage.PromptTokens != 11 || o.Target != "up-0" {
			t.Errorf("%s: outcome is %+v", name, o)
		}
	}
}

func TestAttemptAllBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &scripted{script: []act{failing(provider.Error{Public: protocol.ErrUpstream("bad"), Fallback: true})}}
		w := serve(t, p)
		for range 5 {
			if _, _, err := ask(t.Context(), w, jobs.Job{}); protocol.AsError(err).Status != 502 {
				t.Fatalf("error is %v", err)
			}
		}
		pass(2500 * time.Millisecond)
		_, _, err := ask(t.Context(), w, jobs.Job{})
		if e := protocol.AsError(err); e.Status != 503 || !strings.Contains(e.Message, "provider keeps failing") || !strings.Contains(e.Message, "`m`") || e.RetryAfter != 8*time.Second {
			t.Errorf("error is %+v", e)
		}
		if p.count() != 5 {
			t.Errorf("%d calls: the broken target was called", p.count())
		}
		pass(7500 * time.Millisecond)
		p.script = []act{answering(wholeAnswer)}
		if _, _, err := ask(t.Context(), w, jobs.Job{}); err != nil {
			t.Errorf("after the cool-down: %v", err)
		}
	})
}

func TestAttemptRequestsWhatTheTargetNeeds(t *testing.T) {
	for name, test := range map[string]struct {
		job    jobs.Job
		target Target
		most   int
		stream bool
		tokens int
	}{
		"JSON client":        {jobs.Job{}, Target{}, 0, false, 0},
		"stream":             {jobs.Job{Stream: true}, Target{}, 0, true, 0},
		"always streaming":   {jobs.Job{}, Target{StreamAlways: true}, 0, true, 0},
		"limit of the model": {jobs.Job{}, Target{}, 99, false, 99},
		"the client's limit": {jobs.Job{Body: []byte(`{"model":"m","messages":[],"max_tokens":7}`)}, Target{}, 99, false, 7},
	} {
		t.Run(name, func(t *testing.T) {
			p := &scripted{script: []act{saying("Hello")}}
			test.target.Provider, test.target.Model = "p", "up"
			w := newTestWorker(t, Config{
				Providers: []ProviderSpec{{Name: "p", Provider: p}},
				Models:    []Model{{Name: "m", MaxTokens: test.most, Targets: []Target{test.target}}},
			})
			if _, _, err := ask(t.Context(), w, test.job); err != nil {
				t.Fatal(err)
			}
			req := p.calls[0]
			if req.Model != "up" || req.Stream != test.stream || req.Chat.MaxTokens != test.tokens {
				t.Errorf("asked for %q, stream %v, %d tokens", req.Model, req.Stream, req.Chat.MaxTokens)
			}
			decoded, err := protocol.DecodeRequest(req.Chat.Body)
			if err != nil || decoded.MaxTokens != test.tokens {
				t.Errorf("body is %s: %v", req.Chat.Body, err)
			}
		})
	}
}

// TestAttemptFoldsForJSONClients: chunks for a JSON client carry usage, so that
// the frontend can fold them.
func TestAttemptFoldsForJSONClients(t *testing.T) {
	w := serve(t, &scripted{script: []act{saying("Hel", "lo")}})
	r, o, err := ask(t.Context(), w, jobs.Job{})
	if err != nil {
		t.Fatal(err)
	}
	acc := protocol.NewAccumulator(protocol.Envelope{ID: "x", Model: "m"})
	if err := acc.Add(r.chunks); err != nil {
		t.Fatal(err)
	}
	body, err := acc.Completion(nil)
	if err != nil || !bytes.Contains(body, []byte(`"content":"Hello"`)) || !bytes.Contains(body, []byte(`"total_tokens":5`)) {
		t.Errorf("folds to %s: %v", body, err)
	}
	if o.FinishReason != "stop" || o.Usage.TotalTokens != 5 {
		t.Errorf("outcome is %+v", o)
	}
}
