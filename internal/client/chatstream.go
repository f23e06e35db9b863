package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/osiris/osiris/pkg/protocol"
)

// maxEvent bounds one event, and a whole answer.
const maxEvent = 64 << 20

// said is a chunk or a completion, as far as a terminal is concerned.
type said struct {
	ID      string `json:"id"`
	Status  string `json:"status"` // of a kept completion
	Choices []struct {
		Index        int    `json:"index"`
		Delta        words  `json:"delta"`
		Message      words  `json:"message"`
		FinishReason string `json:"finish_reason"`
	} `json:"choices"`
	Usage json.RawMessage `json:"usage"`
	Error json.RawMessage `json:"error"`
}

type words struct {
	Content   string          `json:"content"`
	Refusal   string          `json:"refusal"`
	ToolCalls json.RawMessage `json:"tool_calls"`
}

// events reads a stream to its end. heard is called for everything that comes, got
// for text that is new.
func (a *asking) events(resp *http.Response, heard, got func()) error {
	in := protocol.NewDecoder(&hearing{resp.Body, heard}, maxEvent)
	for {
		ev, err := in.Next()
		switch {
		case errors.Is(err, protocol.ErrLineTooLong):
			return fmt.Errorf("read answer: %w", err)
		case err == io.EOF && a.answer.FinishReason != "" && !a.kept:
			return nil // a server that does not write [DONE]
		case err == io.EOF:
			return &brokenError{io.ErrUnexpectedEOF}
		case err != nil:
			return &brokenError{err}
		}
		if string(ev.Data) == "[DONE]" {
			return a.say(a.said.end())
		}
		before := a.said.text.Len()
		if err := a.take(ev.Data); err != nil {
			return err
		}
		if len(ev.ID) > 0 && a.answer.ID != "" {
			a.last = string(ev.ID)
			a.keep(true)
			heard() // from now on silence counts
		}
		if a.said.text.Len() != before {
			got()
		}
	}
}

// whole reads an answer that comes in one piece.
func (a *asking) whole(resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxEvent))
	if err != nil {
		return &brokenError{err}
	}
	if err := a.take(body); err != nil {
		return err
	}
	return a.say(a.said.end())
}

// errNotYet says that a kept completion was asked for too early.
var errNotYet = errors.New("the answer is not complete yet")

// take adds a chunk or a completion to the answer.
func (a *asking) take(data []byte) error {
	var s said
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("the answer is not what OpenAI's API says: %w", err)
	}
	if len(s.Error) > 0 && string(s.Error) != "null" {
		told := readErrorObject(s.Error)
		told.NoRetry = true
		return &streamError{told}
	}
	a.name(s.ID)
	if a.gone {
		switch s.Status {
		case "queued", "in_progress":
			return &brokenError{errNotYet}
		case "cancelled":
			return &streamError{&protocol.Error{Message: "The completion was cancelled.", NoRetry: true}}
		}
	}
	if len(s.Usage) > 0 && string(s.Usage) != "null" {
		a.answer.Usage = s.Usage
	}
	for _, choice := range s.Choices {
		if choice.Index != 0 {
			continue
		}
		if choice.FinishReason != "" {
			a.answer.FinishReason = choice.FinishReason
		}
		for _, w := range []words{choice.Delta, choice.Message} {
			if err := a.say(a.said.take(w.Content + w.Refusal + shown(w.ToolCalls))); err != nil {
				return err
			}
		}
	}
	return nil
}

// shown is how calls of tools, which nobody here can answer, are shown.
func shown(calls json.RawMessage) string {
	if len(calls) == 0 || string(calls) == "null" {
		return ""
	}
	return string(calls) + "\n"
}

// say tells the listener what a recital returned.
func (a *asking) say(text string, void bool) error {
	err := a.tell(text, void)
	if err != nil {
		a.unheard = true
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}

func (a *asking) tell(text string, void bool) error {
	if void && a.listener.Anew != nil {
		if err := a.listener.Anew(); err != nil {
			return err
		}
	}
	if text == "" {
		return nil
	}
	return a.listener.Say(text)
}

// streamError is an error that came inside a stream, or instead of a kept answer.
type streamError struct{ cause *protocol.Error }

// Error implements error.
func (e *streamError) Error() string { return e.cause.Error() }

// hearing is a reader that tells when something came.
type hearing struct {
	io.Reader
	heard func()
}

// Read implements io.Reader.
func (h *hearing) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if n > 0 {
		h.heard()
	}
	return n, err
}
