package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/osiris/osiris/pkg/protocol"
)

// Message is one turn of a conversation.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Chat is what to ask.
type Chat struct {
	Model    string
	Messages []Message
	Stream   bool
	Store    bool // keep the job, so that a broken stream can be taken up again
	Key      string
	Options  map[string]json.RawMessage // further members of the request; they win
}

// Answer is what the first choice said.
type Answer struct {
	ID           string
	Text         string
	FinishReason string
	Usage        json.RawMessage // as the server said it; nil if it did not
	Resumed      int             // how often the stream was taken up again
}

// errNotResumable says that text was lost for good.
var errNotResumable = errors.New("the connection broke in the middle of the answer, and this server's streams cannot be taken up again")

// Ask sends a chat completion request and calls say with each piece of the answer as
// it comes. When ctx ends the job is cancelled, also one that the server keeps.
func (c *Client) Ask(ctx context.Context, chat Chat, say func(text string) error) (*Answer, error) {
	// The request outlives ctx for a moment: a job can be cancelled only by its id.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	run := &asking{c: c, chat: chat, say: say, known: make(chan struct{})}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		select {
		case <-run.known:
		case <-work.Done():
		case <-time.After(cancelGrace):
		}
		cancel()
	})
	err := run.run(work)
	if stop() {
		return &run.answer, err
	}
	cancel()
	<-ended
	if err == nil { // it was done just then
		return &run.answer, nil
	}
	if run.answer.ID != "" && run.chat.Store {
		c.abandon(context.WithoutCancel(ctx), run.answer.ID)
	}
	return &run.answer, context.Cause(ctx)
}

// cancelGrace is how long a cancelled request may take to tell its id.
const cancelGrace = 3 * time.Second

// abandon cancels a kept job that nobody waits for any more. A server that cannot do
// that, or is gone, must not keep the caller.
func (c *Client) abandon(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, cancelGrace)
	defer cancel()
	resp, err := c.send(ctx, request{method: http.MethodPost, path: chatPath + "/" + url.PathEscape(id) + "/cancel"})
	if err == nil {
		resp.Body.Close()
	}
}

const chatPath = "chat/completions"

// asking is one request on its way to its answer.
type asking struct {
	c      *Client
	chat   Chat
	say    func(string) error
	known  chan struct{} // closed once answer.ID is set
	answer Answer
	text   strings.Builder

	last   string // id of the last event seen; "" if events have none
	seen   bool   // text came
	failed bool   // the last stream ended with an error event
}

func (a *asking) run(ctx context.Context) error {
	p := a.c.patience()
	for {
		err := a.attempt(ctx, p)
		a.answer.Text = a.text.String()
		if err == nil {
			return nil
		}
		if _, broken := errors.AsType[*brokenError](err); broken && a.seen && a.last == "" {
			return fmt.Errorf("%w: %w", errNotResumable, err)
		}
		if err := p.wait(ctx, err); err != nil {
			return err
		}
	}
}

// attempt asks, or asks for what is missing.
func (a *asking) attempt(ctx context.Context, p *patience) error {
	// Silence counts only where what was missed can be had: elsewhere a model may think
	// for long, and asking again would be asking twice.
	ctx, idle := withIdle(ctx, a.limit())
	defer idle.stop()
	resp, err := a.open(ctx)
	if err != nil {
		return idle.cause(err)
	}
	defer resp.Body.Close()
	a.name(resp.Header.Get("X-Request-Id"))
	if !a.chat.Stream || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return idle.cause(a.whole(resp))
	}
	return idle.cause(a.events(resp, func() {
		idle.after = a.limit()
		idle.heard()
		p.progress()
	}))
}

// limit is how long the connection may be silent.
func (a *asking) limit() time.Duration {
	if a.last == "" {
		return 24 * time.Hour
	}
	return a.c.cfg.Idle
}

func (a *asking) open(ctx context.Context) (*http.Response, error) {
	if a.last != "" {
		a.answer.Resumed++
		return a.c.send(ctx, request{
			method: http.MethodGet, path: chatPath + "/" + url.PathEscape(a.answer.ID),
			query:  url.Values{"stream": {"true"}, "starting_after": {a.last}},
			header: http.Header{"Accept": {"text/event-stream"}},
		})
	}
	resp, err := a.post(ctx)
	if e, ok := errors.AsType[*protocol.Error](err); ok && a.chat.Store && complainsOf(e, "store") {
		a.chat.Store = false // a server that does not know it
		a.chat.Key += "-plain"
		return a.post(ctx)
	}
	return resp, err
}

// complainsOf reports whether a refusal is about a member of the request.
func complainsOf(e *protocol.Error, member string) bool {
	if e.Status != http.StatusBadRequest && e.Status != http.StatusUnprocessableEntity {
		return false
	}
	return e.Param == member || e.Param == "" && strings.Contains(e.Message, member)
}

func (a *asking) post(ctx context.Context) (*http.Response, error) {
	members := map[string]any{"model": a.chat.Model, "messages": a.chat.Messages}
	if a.chat.Stream {
		members["stream"] = true
	}
	if a.chat.Store {
		members["store"] = true
	}
	for name, value := range a.chat.Options {
		members[name] = value
	}
	body, err := jsonBody(members)
	if err != nil {
		return nil, err
	}
	return a.c.send(ctx, request{
		method: http.MethodPost, path: chatPath, body: body, contentType: "application/json", key: a.chat.Key,
	})
}

// name notes the job's id, which x-request-id tells before the first event. Other
// servers' request ids are no ids of completions.
func (a *asking) name(id string) {
	if a.answer.ID != "" || !strings.HasPrefix(id, "chatcmpl-") {
		return
	}
	a.answer.ID = id
	close(a.known)
}
