package load

import (
	"time"

	"github.com/osiris/osiris/internal/bench/histogram"
)

// Result is what a run came to. Times are in milliseconds.
type Result struct {
	Kind Kind `json:"kind"`

	Requests    int64 `json:"requests"` // right and measured
	Chunks      int64 `json:"chunks"`   // of text, in them
	AllRequests int64 `json:"all_requests"`
	AllChunks   int64 `json:"all_chunks"`

	Begun      int64            `json:"begun"` // AllRequests + Failed + Abandoned
	Failed     int64            `json:"failed"`
	Abandoned  int64            `json:"abandoned,omitempty"` // the run was cut short
	Errors     map[string]int64 `json:"errors,omitempty"`    // Failed by kind
	FirstError string           `json:"first_error,omitempty"`

	Seconds         float64 `json:"seconds"` // from the first measured request to the last answer
	RequestsPerSec  float64 `json:"requests_per_s"`
	ChunksPerSec    float64 `json:"chunks_per_s,omitempty"`
	TokensPerAnswer int     `json:"tokens_per_answer"`

	Accepted *Times `json:"accepted_ms,omitempty"`    // kept: until the id is known
	First    *Times `json:"first_token_ms,omitempty"` // streams
	Gap      *Times `json:"gap_ms,omitempty"`         // between two chunks of text
	Total    *Times `json:"total_ms,omitempty"`
	Late     *Times `json:"late_ms,omitempty"` // at a rate: how much later than due requests were sent

	Batch *BatchTimes `json:"batch,omitempty"`
}

// Times are quantiles in milliseconds.
type Times struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
	Mean float64 `json:"mean"`
}

func timesOf(h *histogram.Histogram) *Times {
	if h.Count() == 0 {
		return nil
	}
	q := h.Quantiles(.5, .9, .99, .999)
	return &Times{ms(q[0]), ms(q[1]), ms(q[2]), ms(q[3]), ms(h.Max()), ms(h.Mean())}
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

// result makes the result of all records.
func (r *run) result() *Result {
	sum := &record{failed: map[string]int64{}}
	for _, rec := range r.records {
		sum.merge(rec)
	}
	out := &Result{
		Kind: r.cfg.Kind, Requests: sum.right, Chunks: sum.chunks, AllRequests: sum.allRight, AllChunks: sum.allChunks,
		Begun: r.begun.Load(), Abandoned: sum.abandoned, FirstError: sum.sample, TokensPerAnswer: r.cfg.Tokens,
		Accepted: timesOf(&sum.accepted), First: timesOf(&sum.first), Gap: timesOf(&sum.gap), Total: timesOf(&sum.total),
	}
	if r.cfg.Rate > 0 {
		out.Late = timesOf(&sum.late)
	}
	for _, n := range sum.failed {
		out.Failed += n
	}
	if out.Failed > 0 {
		out.Errors = sum.failed
	}
	out.rates(sum.lastDone.Sub(sum.firstBegan))
	return out
}

func (r *Result) rates(took time.Duration) {
	if r.Seconds = took.Seconds(); r.Seconds > 0 {
		r.RequestsPerSec = float64(r.Requests) / r.Seconds
		r.ChunksPerSec = float64(r.Chunks) / r.Seconds
	}
}
