package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/osiris/osiris/pkg/protocol"
)

// asking is one request on its way to its answer.
type asking struct {
	c        *Client
	chat     Chat
	listener Listener
	known    chan struct{} // closed once answer.ID is set
	answer   Answer
	said     recital

	kept bool   // the server says the events of this job again
	last string // id of the last event seen; "" if all of them are wanted
	gone bool   // they are no longer stored: the answer is had whole
	lost int    // length of what was said when a stream last ended with an error; -1: none did

	unheard bool // the listener failed
}

func (a *asking) run(ctx context.Context) error {
	p := a.c.patience()
	for {
		err := a.attempt(ctx, p)
		a.answer.Text = a.said.text.String()
		if err == nil {
			return nil
		}
		if err = a.judge(ctx, err); err == nil {
			continue
		}
		if err := p.wait(ctx, err); err != nil {
			_, broken := errors.AsType[*brokenError](err)
			a.answer.Pending = broken && a.kept
			return err
		}
	}
}

// judge says what an attempt's error means for the next one: nothing, if it returns
// nil.
func (a *asking) judge(ctx context.Context, err error) error {
	if told, ok := errors.AsType[*streamError](err); ok {
		return a.afterError(ctx, told)
	}
	if _, broken := errors.AsType[*brokenError](err); broken {
		if !a.kept && a.said.begun() {
			return notResumable(err)
		}
		return err
	}
	e, refused := errors.AsType[*protocol.Error](err)
	if !refused || !a.kept {
		return err
	}
	switch e.Status {
	case http.StatusGone: // what follows is no longer stored: read the whole answer
		a.gone = a.last == ""
		a.fromTheBeginning()
		if !a.gone {
			return nil
		}
		return &brokenError{e}
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		if a.said.begun() {
			return notResumable(err)
		}
	}
	return err
}

// notResumable does not wrap what broke the connection: asking again is no use.
func notResumable(err error) error { return fmt.Errorf("%w: %s", errNotResumable, err.Error()) }

// afterError decides about an error inside a stream. It may be that of a frontend that
// stops, or of a worker that died, while the job goes on: the job itself knows.
func (a *asking) afterError(ctx context.Context, told *streamError) error {
	if !a.kept {
		return told.cause
	}
	var job struct {
		Status string `json:"status"`
	}
	err := a.c.once(ctx, request{method: http.MethodGet, path: completionPath(a.answer.ID), limit: callLimit}, &job)
	_, broken := errors.AsType[*brokenError](err)
	first := a.said.text.Len() != a.lost // since something new was said
	switch {
	case broken, job.Status == "queued", job.Status == "in_progress":
	case job.Status == "completed" && !a.gone:
		a.gone = !first
	default:
		return told.cause
	}
	if a.lost = a.said.text.Len(); first && a.listener.Lost != nil {
		a.listener.Lost(told.cause)
	}
	a.fromTheBeginning()
	return &brokenError{told.cause}
}

// fromTheBeginning has the next attempt ask for all events. What was said is not said
// again.
func (a *asking) fromTheBeginning() {
	a.last = ""
	a.said.repeat()
}

// shortLife is how long a stream must last to count as a step forward even if nothing
// new comes.
const shortLife = time.Second

// attempt asks, or asks for what is missing.
func (a *asking) attempt(ctx context.Context, p *patience) error {
	// Silence counts only where what was missed can be had: elsewhere a model may think
	// for long, and asking again would be asking twice.
	ctx, idle := withIdle(ctx, a.limit())
	defer idle.stop()
	began := time.Now()
	resp, err := a.open(ctx)
	if err != nil {
		return idle.cause(err)
	}
	defer resp.Body.Close()
	named := resp.Header.Get("X-Request-Id")
	a.name(named)
	a.keep(named != "" && named == a.answer.ID)
	heard := func() {
		idle.after = a.limit()
		idle.heard()
		if time.Since(began) > shortLife {
			p.alive()
		}
	}
	heard()
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return idle.cause(a.whole(resp))
	}
	return idle.cause(a.events(resp, heard, p.progress))
}

// limit is how long the connection may be silent.
func (a *asking) limit() time.Duration {
	if !a.kept {
		return 24 * time.Hour
	}
	return a.c.cfg.Idle
}

func (a *asking) open(ctx context.Context) (*http.Response, error) {
	if a.kept {
		a.answer.Resumed++
		r := request{method: http.MethodGet, path: completionPath(a.answer.ID)}
		if !a.gone {
			r.query, r.header = url.Values{"stream": {"true"}}, http.Header{"Accept": {"text/event-stream"}}
		}
		if a.last != "" {
			r.query.Set("starting_after", a.last)
		}
		return a.c.send(ctx, r)
	}
	resp, err := a.post(ctx)
	if e, ok := errors.AsType[*protocol.Error](err); ok && a.chat.Store && complainsOf(e, "store") {
		a.chat.Store = false // a server that does not know it
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
	key := "" // without store, the job belongs to the connection and ends with it
	if a.chat.Store {
		members["store"], key = true, a.chat.Key
	}
	for name, value := range a.chat.Options {
		members[name] = value
	}
	body, err := jsonBody(members)
	if err != nil {
		return nil, err
	}
	return a.c.send(ctx, request{
		method: http.MethodPost, path: chatPath, body: body, contentType: "application/json", key: key,
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

// keep notes that the server keeps the job and says its events again, as far as signs
// go: Osiris names the job in a header and numbers its events, others do neither.
func (a *asking) keep(sign bool) {
	a.kept = a.kept || sign && a.chat.Store && a.chat.Stream
}
