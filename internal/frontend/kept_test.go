package frontend

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
	"github.com/osiris/osiris/pkg/protocol"
)

// with is the plain request with more members.
func with(members string) string { return strings.Replace(plainRequest, "{", "{"+members+",", 1) }

// tell answers with words in the job's own envelope, as a worker does.
func tell(a *jobs.Attempt, words ...string) error {
	job := a.Job()
	w := protocol.NewStreamWriter(protocol.Envelope{ID: completionID(job.ID), Created: job.Created, Model: job.Model, ServiceTier: job.ServiceTier}, false)
	if err := a.Opened(timing); err != nil {
		return err
	}
	if !job.Stream {
		text, _ := json.Marshal(strings.Join(words, ""))
		whole, err := protocol.NormalizeAnswer(nil, fmt.Appendf(nil, `{"choices":[{"message":{"content":%s}}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`, text),
			protocol.Envelope{ID: completionID(job.ID), Created: job.Created, Model: job.Model, ServiceTier: job.ServiceTier})
		if err != nil {
			return err
		}
		return a.Answer(whole.Body)
	}
	for _, word := range words {
		text, _ := json.Marshal(word)
		if err := a.Chunk(w.Append(nil, &protocol.Chunk{Choices: []protocol.Choice{{Content: text}}})); err != nil {
			return err
		}
	}
	return a.Chunk(w.Append(nil, &protocol.Chunk{Choices: []protocol.Choice{{FinishReason: "stop"}}}))
}

// teller is a worker that says hello.
func teller(_ context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
	return jobs.Outcome{FinishReason: "stop", Timing: timing}, tell(a, "Hel", "lo")
}

// stored is a completion as clients see it.
type stored struct {
	ID, Object, Status, Model string
	RequestID                 string `json:"request_id"`
	Created                   int64
	Metadata                  map[string]string
	Temperature               *float64
	InputUser                 *string `json:"input_user"`
	Choices                   []struct {
		Message struct{ Content string }
		Finish  string `json:"finish_reason"`
	}
	Queue *struct {
		Position int64
		Wait     int64 `json:"wait_seconds"`
	}
	Error *struct{ Message, Type, Param, Code *string }
}

func (s *stored) text() string {
	if len(s.Choices) != 1 {
		return ""
	}
	return s.Choices[0].Message.Content
}

// get asks for path and expects a completion.
func (r *rig) get(path string, header ...string) *stored {
	r.t.Helper()
	resp, body := r.do(http.MethodGet, path, "", header...)
	return r.read(resp, body)
}

func (r *rig) read(resp *http.Response, body []byte) *stored {
	r.t.Helper()
	s := new(stored)
	if err := json.Unmarshal(body, s); err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" {
		r.t.Fatalf("%d %s %v", resp.StatusCode, body, err)
	}
	return s
}

// until gets a completion again and again until it has a status.
func (r *rig) until(path, status string) *stored {
	r.t.Helper()
	var s *stored
	eventually(r.t, path+" is "+status, func() bool { s = r.get(path); return s.Status == status })
	return s
}

const completions = "/v1/chat/completions"

// What was stored can be read, listed, changed and deleted, in OpenAI's shapes.
func TestStoredCompletion(t *testing.T) {
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		r := startOn(t, n, anyone(), teller)
		for name, stream := range map[string]string{"json": "false", "stream": "true"} {
			t.Run(name, func(t *testing.T) {
				resp, body := r.post(with(`"store":true,"metadata":{"team":"blue"},"user":"u","stream":` + stream))
				id := resp.Header.Get("X-Request-Id")
				if resp.StatusCode != http.StatusOK || !strings.HasPrefix(id, "chatcmpl-") || !strings.Contains(string(body), `"`+id+`"`) {
					t.Fatalf("%d, id %s: %s", resp.StatusCode, id, body)
				}
				if stream == "true" && (!strings.HasPrefix(string(body), "id: 1\ndata: {") || !strings.HasSuffix(string(body), "\n\n"+protocol.Done)) {
					t.Errorf("events without numbers: %s", body)
				}
				path := completions + "/" + id
				got := r.until(path, "completed")
				if got.ID != id || got.RequestID != id || got.Object != "chat.completion" || got.text() != "Hello" || got.Choices[0].Finish != "stop" ||
					got.Model != "echo" || got.Metadata["team"] != "blue" || *got.Temperature != 1 || *got.InputUser != "u" || got.Error != nil {
					t.Errorf("%+v", got)
				}
				if head, none := r.do(http.MethodHead, path, ""); head.StatusCode != http.StatusOK || len(none) > 0 || head.Header.Get("Content-Type") != "application/json" {
					t.Errorf("HEAD: %d %s", head.StatusCode, none)
				}
				resp, body = r.do(http.MethodPost, path, `{"metadata":{"team":"red","x":"1"}}`)
				if got := r.read(resp, body); got.Metadata["team"] != "red" || len(got.Metadata) != 2 || got.text() != "Hello" {
					t.Errorf("updated: %s", body)
				}
				if got := r.get(path); got.Metadata["team"] != "red" {
					t.Errorf("after the update: %+v", got)
				}
				resp, body = r.do(http.MethodPost, path+"/cancel", "")
				if got := r.read(resp, body); got.Status != "completed" || got.text() != "Hello" {
					t.Errorf("cancelled after its end: %s", body)
				}
				if _, body := r.do(http.MethodGet, path+"/messages", ""); !strings.Contains(string(body),
					`{"object":"list","data":[{"role":"user","content":"Hello!","id":"`+id+`-0","content_parts":null,"refusal":null,"name":null}],"first_id":"`+id+`-0"`) {
					t.Errorf("messages: %s", body)
				}
				resp, body = r.do(http.MethodDelete, path, "")
				if resp.StatusCode != http.StatusOK || string(body) != `{"object":"chat.completion.deleted","id":"`+id+`","deleted":true}` {
					t.Errorf("delete: %d %s", resp.StatusCode, body)
				}
				r.wantNothing(id)
			})
		}
	})
}

// wantNothing holds that no route knows a completion.
func (r *rig) wantNothing(id string, header ...string) {
	r.t.Helper()
	for _, q := range [][3]string{
		{http.MethodGet, ""},
		{http.MethodGet, "?stream=true"},
		{http.MethodGet, "/messages"},
		{http.MethodPost, "", `{"metadata":{}}`},
		{http.MethodPost, "/cancel"},
		{http.MethodDelete, ""},
	} {
		resp, body := r.do(q[0], completions+"/"+id+q[1], q[2], header...)
		if message := wantError(r.t, resp, body, http.StatusNotFound, invalid, ""); message != "No chat completion found with id '"+id+"'." {
			r.t.Errorf("%s %s: %s", q[0], q[1], message)
		}
	}
}

// Nobody finds a completion that is not stored, another tenant's, or one whose id is
// none.
func TestNotStored(t *testing.T) {
	r := start(t, Config{}, teller)
	mine := []string{"Authorization", "Bearer " + r.key(jobs.KeySpec{Name: "mine", Tenant: "acme"})}
	theirs := []string{"Authorization", "Bearer " + r.key(jobs.KeySpec{Name: "theirs", Tenant: "other"})}
	eventually(t, "the keys are known", func() bool {
		resp, _ := r.do(http.MethodGet, completions, "", theirs...)
		return resp.StatusCode == 200
	})

	resp, _ := r.post(plainRequest, mine...)
	r.wantNothing(resp.Header.Get("X-Request-Id"), mine...)
	resp, _ = r.post(with(`"store":true`), mine...)
	id := resp.Header.Get("X-Request-Id")
	r.wantNothing(id, theirs...)
	if got := r.get(completions+"/"+id, mine...); got.Status != "completed" {
		t.Errorf("%+v", got)
	}
	if got := r.list("", theirs...); len(got.Data) > 0 {
		t.Errorf("another tenant lists %v", got)
	}
	for _, id := range []string{
		"x", "chatcmpl-", "chatcmpl-123", "chatcmpl-" + strings.Repeat("0", 32), "chatcmpl-" + strings.Repeat("z", 32),
		strings.ToUpper(id), strings.TrimPrefix(id, "chatcmpl-"), "chatcmpl-*", "chatcmpl-%3E",
	} {
		resp, body := r.do(http.MethodGet, completions+"/"+id, "", mine...)
		wantError(t, resp, body, http.StatusNotFound, invalid, "")
	}
	resp, body := r.do(http.MethodGet, completions+"/"+id, "")
	wantError(t, resp, body, http.StatusUnauthorized, invalid, "")
	resp, body = r.do(http.MethodPut, completions+"/"+id, "", mine...)
	wantError(t, resp, body, http.StatusMethodNotAllowed, invalid, "method_not_supported")
	if got := resp.Header.Get("Allow"); got != "DELETE, GET, OPTIONS, POST" {
		t.Errorf("allow: %q", got)
	}
}

type storedPage struct {
	Object  string
	Data    []stored
	FirstID *string `json:"first_id"`
	LastID  *string `json:"last_id"`
	HasMore *bool   `json:"has_more"`
}

func (r *rig) list(query string, header ...string) storedPage {
	r.t.Helper()
	resp, body := r.do(http.MethodGet, completions+query, "", header...)
	var page storedPage
	if err := json.Unmarshal(body, &page); err != nil || resp.StatusCode != http.StatusOK || page.Object != "list" || page.HasMore == nil {
		r.t.Fatalf("%s: %d %s", query, resp.StatusCode, body)
	}
	return page
}

// Lists are filtered, ordered and come in pages.
func TestListCompletions(t *testing.T) {
	r := start(t, anyone(), teller)
	var ids []string
	for i := range 5 {
		body := with(fmt.Sprintf(`"store":true,"metadata":{"i":"%d","odd":"%d"}`, i, i%2))
		if i == 4 {
			body = strings.Replace(body, `"echo"`, `"other"`, 1)
		}
		resp, _ := r.post(body)
		ids = append(ids, resp.Header.Get("X-Request-Id"))
	}
	r.post(plainRequest)
	r.post(plainRequest, "Idempotency-Key", "hidden")
	for query, c := range map[string]struct {
		want string
		more bool
	}{
		"":                                       {"01234", false},
		"?order=desc":                            {"43210", false},
		"?limit=2":                               {"01", true},
		"?limit=2&order=desc":                    {"43", true},
		"?limit=2&after=" + ids[1]:               {"23", true},
		"?after=" + ids[4]:                       {"", false},
		"?after=" + ids[1] + "&order=desc":       {"0", false},
		"?model=other":                           {"4", false},
		"?metadata[odd]=1":                       {"13", false},
		"?metadata%5Bodd%5D=0&metadata%5Bi%5D=2": {"2", false},
		"?metadata[none]=1":                      {"", false},
		"?status=completed&limit=100":            {"01234", false},
		"?status=queued":                         {"", false},
		"?metadata[odd]=0&limit=1&after=" + ids[0]: {"2", true},
	} {
		page := r.list(query)
		var got strings.Builder
		for _, s := range page.Data {
			got.WriteString(s.Metadata["i"])
			if s.text() != "Hello" || s.Status != "completed" || s.Temperature == nil {
				t.Errorf("%s: %+v", query, s)
			}
		}
		if got.String() != c.want || *page.HasMore != c.more {
			t.Errorf("%s: %q, more %v", query, got.String(), *page.HasMore)
		}
		if n := len(page.Data); n > 0 && (*page.FirstID != page.Data[0].ID || *page.LastID != page.Data[n-1].ID) || n == 0 && page.FirstID != nil {
			t.Errorf("%s: first and last id are wrong", query)
		}
	}
}

// Parameters are checked in OpenAI's words.
func TestBadParameters(t *testing.T) {
	r := start(t, anyone(), teller)
	resp, _ := r.post(with(`"store":true`))
	one := "/" + resp.Header.Get("X-Request-Id")
	for query, want := range map[string]struct{ param, code, message string }{
		"?limit=0":   {"limit", "integer_below_min_value", "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got 0 instead."},
		"?limit=101": {"limit", "integer_above_max_value", "Invalid 'limit': integer above maximum value. Expected a value <= 100, but got 101 instead."},
		"?limit=x":   {"limit", "invalid_type", "Invalid type for 'limit': expected an integer, but got a string instead."},
		"?order=up":  {"order", "invalid_value", "Invalid value: 'up'. Supported values are: 'asc' and 'desc'."},
		"?status=x": {
			"status", "invalid_value",
			"Invalid value: 'x'. Supported values are: 'queued', 'in_progress', 'completed', 'failed', and 'cancelled'.",
		},
		"?after=chatcmpl-1":                       {"after", "invalid_value", "Invalid value: 'chatcmpl-1'. It is not the id of a chat completion."},
		one + "?stream=1":                         {"stream", "invalid_type", "Invalid type for 'stream': expected a boolean, but got a string instead."},
		one + "?stream=true&starting_after=x":     {"starting_after", "invalid_type", "Invalid type for 'starting_after': expected an integer, but got a string instead."},
		one + "?stream=true&starting_after=-1":    {"starting_after", "integer_below_min_value", "Invalid 'starting_after': integer below minimum value. Expected a value >= 0, but got -1 instead."},
		one + "/messages?limit=1000":              {"limit", "integer_above_max_value", "Invalid 'limit': integer above maximum value. Expected a value <= 100, but got 1000 instead."},
		one + "/messages?after=" + one[1:] + "-9": {"after", "invalid_value", "Invalid value: '" + one[1:] + "-9'. There is no message with this id in " + one[1:] + "."},
	} {
		resp, body := r.do(http.MethodGet, completions+query, "")
		message := wantError(t, resp, body, http.StatusBadRequest, invalid, want.code)
		if message != want.message || !strings.Contains(string(body), `"param":"`+want.param+`"`) {
			t.Errorf("%s: %s", query, body)
		}
	}
	for _, body := range []string{"", "{}", `{"metadata":{"a":1}}`, `{"metadata":[]}`, "x"} {
		resp, got := r.do(http.MethodPost, completions+one, body)
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("update with %q: %d %s", body, resp.StatusCode, got)
		}
	}
}

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
	case <-time.After(10 * time.Second):
		t.Error("the worker goes on")
	}
	if page := r.list("?status=cancelled"); len(page.Data) != 2 {
		t.Errorf("%d cancelled ones are listed", len(page.Data))
	}
}
