package frontend

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

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
				if _, whole := r.do(http.MethodGet, path, ""); !bytes.Equal(body, whole) {
					t.Errorf("updated %s, then got %s", body, whole)
				}
				updated := body
				resp, body = r.do(http.MethodPost, path+"/cancel", "")
				if !bytes.Equal(body, updated) {
					t.Errorf("cancelled %s, was %s", body, updated)
				}
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
