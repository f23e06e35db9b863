package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// Batch is a batch as the API shows it.
type Batch struct {
	ID           string            `json:"id"`
	Status       string            `json:"status"`
	Model        string            `json:"model"`
	Endpoint     string            `json:"endpoint"`
	Window       string            `json:"completion_window"`
	InputFileID  string            `json:"input_file_id"`
	OutputFileID string            `json:"output_file_id"`
	ErrorFileID  string            `json:"error_file_id"`
	Created      int64             `json:"created_at"`
	InProgress   int64             `json:"in_progress_at"`
	Completed    int64             `json:"completed_at"`
	Failed       int64             `json:"failed_at"`
	Expired      int64             `json:"expired_at"`
	Cancelled    int64             `json:"cancelled_at"`
	Expires      int64             `json:"expires_at"`
	Counts       BatchCounts       `json:"request_counts"`
	Usage        *BatchUsage       `json:"usage"`
	Errors       BatchErrors       `json:"errors"`
	Metadata     map[string]string `json:"metadata"`
}

// BatchCounts counts the lines of a batch.
type BatchCounts struct {
	Total     int64 `json:"total"`
	Completed int64 `json:"completed"`
	Failed    int64 `json:"failed"`
}

// BatchUsage counts the tokens of a batch.
type BatchUsage struct {
	Input  int64 `json:"input_tokens"`
	Output int64 `json:"output_tokens"`
	Total  int64 `json:"total_tokens"`
}

// BatchErrors say why a file was refused.
type BatchErrors struct {
	Data []BatchError `json:"data"`
}

// BatchError is one fault of a file.
type BatchError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Param   string `json:"param"`
	Line    int    `json:"line"` // from 1; 0 is the file as a whole
}

// Ended reports whether the batch will not change any more.
func (b *Batch) Ended() bool {
	switch b.Status {
	case "completed", "failed", "expired", "cancelled":
		return true
	}
	return false
}

// EndedAt is when the batch ended, in Unix seconds, 0 if it did not.
func (b *Batch) EndedAt() int64 { return max(b.Completed, b.Failed, b.Expired, b.Cancelled) }

// NewBatch says what batch to create.
type NewBatch struct {
	InputFileID string            `json:"input_file_id"`
	Endpoint    string            `json:"endpoint"`
	Window      string            `json:"completion_window"`
	Metadata    map[string]string `json:"metadata,omitempty"`
}

// CreateBatch starts a batch. Calls with the same key and the same values are one.
func (c *Client) CreateBatch(ctx context.Context, n NewBatch, key string) (*Batch, error) {
	body, err := jsonBody(n)
	if err != nil {
		return nil, err
	}
	r := request{method: http.MethodPost, path: "batches", body: body, contentType: "application/json", key: key}
	return c.batch(ctx, r)
}

// Batch returns a batch.
func (c *Client) Batch(ctx context.Context, id string) (*Batch, error) {
	return c.batch(ctx, request{method: http.MethodGet, path: "batches/" + url.PathEscape(id)})
}

// CancelBatch asks for a batch to be cancelled.
func (c *Client) CancelBatch(ctx context.Context, id string) (*Batch, error) {
	return c.batch(ctx, request{method: http.MethodPost, path: "batches/" + url.PathEscape(id) + "/cancel"})
}

func (c *Client) batch(ctx context.Context, r request) (*Batch, error) {
	var b Batch
	if err := c.call(ctx, r, &b); err != nil {
		return nil, err
	}
	if b.ID == "" {
		return nil, fmt.Errorf("%s %s: the answer is no batch", r.method, r.path)
	}
	return &b, nil
}

// Batches lists the newest batches, at most limit.
func (c *Client) Batches(ctx context.Context, limit int) ([]Batch, error) {
	const page = 100
	var all []Batch
	after := ""
	for {
		q := url.Values{"limit": {strconv.Itoa(min(limit-len(all), page))}}
		if after != "" {
			q.Set("after", after)
		}
		var list struct {
			Data    []Batch `json:"data"`
			HasMore bool    `json:"has_more"`
		}
		if err := c.call(ctx, request{method: http.MethodGet, path: "batches", query: q}, &list); err != nil {
			return nil, err
		}
		all = append(all, list.Data...)
		if !list.HasMore || len(list.Data) == 0 || len(all) >= limit {
			return all[:min(len(all), limit)], nil
		}
		after = list.Data[len(list.Data)-1].ID
	}
}
