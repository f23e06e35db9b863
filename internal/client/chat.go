package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
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
	Store    bool                       // keep the job, so that a broken stream can be taken up again
	Key      string                     // Idempotency-Key of a job that is kept
	Options  map[string]json.RawMessage // further members of the request; they win
}

// Listener is told of an answer as it comes. Only Say is required.
type Listener struct {
	// Say gets each piece of the text, once.
	Say func(text string) error
	// Lost is told that the server ended the stream with err, while the job goes on:
	// another worker begins it anew, and what it says is waited for.
	Lost func(err error)
	// Anew is told that what was said is void: the text of another attempt follows,
	// whole. It is not called for one that says the same and goes on from there.
	Anew func() error
	// Ending is told that ctx ended before the server named the job, without which it
	// cannot be cancelled: the name is waited for.
	Ending func()
}

// Answer is what the first choice said.
type Answer struct {
	ID           string
	Text         string
	FinishReason string
	Usage        json.RawMessage // as the server said it; nil if it did not
	Resumed      int             // how often the stream was taken up again
	Pending      bool            // of one that was given up: the server keeps it, and may go on with it; if it was not named, ID is empty
}

// errNotResumable says that text was lost for good.
var errNotResumable = errors.New("the connection broke in the middle of the answer, and this server's streams cannot be taken up again")

// Ask sends a chat completion request and tells l of the answer as it comes. When ctx
// ends, or l can no longer be told, the job is cancelled, also one that the server keeps.
func (c *Client) Ask(ctx context.Context, chat Chat, l Listener) (*Answer, error) {
	// The request outlives ctx for a moment: a job can be cancelled only by its id.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	run := &asking{c: c, chat: chat, listener: l, known: make(chan struct{}), lost: -1}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		run.awaitName(work)
		cancel()
	})
	err := run.run(work)
	answer := &run.answer
	if stop() {
		if run.unheard {
			answer.Pending = c.abandon(work, run) != nil
		}
		return answer, err
	}
	cancel()
	<-ended
	if err == nil { // it was done just then
		return answer, nil
	}
	if _, refused := errors.AsType[*protocol.Error](err); !refused || answer.ID != "" {
		answer.Pending = c.abandon(context.WithoutCancel(ctx), run) != nil
	}
	return answer, context.Cause(ctx)
}

// cancelGrace is how long cancelling a job may take, nameGrace how long the server may
// take to name it. A frontend names a job whose model is silent after 5 s, unless
// frontend.hold_back says another time.
const (
	cancelGrace = 3 * time.Second
	nameGrace   = 8 * time.Second
)

// awaitName returns when the server has named the job, or the asking is over.
func (a *asking) awaitName(work context.Context) {
	select {
	case <-a.known:
		return
	case <-work.Done():
		return
	default:
	}
	if a.listener.Ending != nil && a.chat.Store {
		a.listener.Ending()
	}
	select {
	case <-a.known:
	case <-work.Done():
	case <-time.After(nameGrace):
	}
}

// errNotNamed says that a job cannot be cancelled.
var errNotNamed = errors.New("the server did not name the job")

// abandon cancels a job that nobody waits for any more, if the server keeps it. Its
// error says that the server may go on. One that is gone must not keep the caller.
func (c *Client) abandon(ctx context.Context, run *asking) error {
	switch {
	case !run.chat.Store:
		return nil // it ends with the connection
	case run.answer.ID == "":
		return errNotNamed
	}
	ctx, cancel := context.WithTimeout(ctx, cancelGrace)
	defer cancel()
	resp, err := c.send(ctx, request{method: http.MethodPost, path: completionPath(run.answer.ID) + "/cancel"})
	if e, refused := errors.AsType[*protocol.Error](err); refused && e.Status < http.StatusInternalServerError {
		return nil // a server that knows no such job
	}
	if err == nil {
		resp.Body.Close()
	}
	return err
}

const chatPath = "chat/completions"

func completionPath(id string) string { return chatPath + "/" + url.PathEscape(id) }
