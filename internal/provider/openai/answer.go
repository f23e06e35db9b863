package openai

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/upstream"
	"github.com/osiris/osiris/pkg/protocol"
)

// maxLine bounds one event of a stream; a picture in base64 comes as one.
const maxLine = 64 << 20

// tail is how long usage and [DONE] may come after the last finish reason: nobody
// should wait for a server that leaves its stream open.
const tail = 10 * time.Second

// answer reads one answer, whatever form it takes.
type answer struct {
	call    *upstream.Call
	model   string // the client's name for it
	choices int    // how many were asked for
	out     provider.Output
}

// read finds out by the first byte that means something which form it is: servers
// answer a stream with JSON, JSON with a stream, and give either any content type.
func (a *answer) read() error {
	head, err := a.firstBytes()
	switch {
	case errors.Is(err, io.EOF):
		return a.call.EndedEarly()
	case err != nil:
		return a.call.Fail(err)
	}
	switch head[0] {
	case '{', '[', '"', '<':
		return a.whole(head)
	default:
		return a.stream(head)
	}
}

// firstBytes returns the beginning of the answer without the blanks that some
// servers send while they work.
func (a *answer) firstBytes() ([]byte, error) {
	buf := make([]byte, 1<<10)
	for {
		n, err := a.call.Read(buf)
		head := bytes.TrimLeft(bytes.TrimPrefix(buf[:n], []byte("\xef\xbb\xbf")), " \t\r\n")
		if len(head) > 0 {
			return head, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// whole hands on a chat.completion, or finds the error that came in its place.
func (a *answer) whole(head []byte) error {
	body, err := a.call.ReadAll(head)
	if err != nil {
		return a.call.Fail(err)
	}
	if err := a.check(body); err != nil {
		return err
	}
	a.call.Payload()
	return a.out.Answer(bytes.TrimSpace(body))
}

// check reports what makes body something else than an answer.
func (a *answer) check(body []byte) error {
	if protocol.IsAnswer(body) { // what nearly all are is told without reflection
		return nil
	}
	var v struct {
		Choices []struct {
			FinishReason jsontext.Value `json:"finish_reason"`
		} `json:"choices"`
		Error jsontext.Value `json:"error"`
	}
	err := json.Unmarshal(body, &v, lenient())
	if err == nil && (v.Error == nil || v.Error.Kind() == 'n') && len(v.Choices) > 0 {
		return nil
	}
	details := upstream.ParseError(body)
	if details.Message != "" || details.Type != "" {
		return a.call.EventError(details, a.model)
	}
	if err == nil {
		err = errors.New("no choices in the answer")
	}
	return a.call.Fail(fmt.Errorf("not a completion: %w", err))
}

// stream hands on chunks until the answer is complete.
func (a *answer) stream(head []byte) error {
	dec := protocol.NewDecoder(io.MultiReader(bytes.NewReader(head), a.call), maxLine)
	var chunk protocol.Chunk
	var seen progress
	for {
		event, err := dec.Next()
		if err != nil {
			return a.end(&seen, err)
		}
		data := bytes.TrimSpace(event.Data)
		switch {
		case len(data) == 0:
			continue
		case bytes.HasPrefix(data, []byte("[DONE]")):
			return a.end(&seen, io.EOF)
		}
		if is, err := a.chunk(&event, data, &chunk); err != nil {
			return a.forgive(&seen, err)
		} else if !is {
			continue
		}
		if err := seen.note(&chunk); err != nil {
			return a.forgive(&seen, a.call.Fail(err))
		}
		if seen.complete(a.choices) {
			a.call.Hurry(tail)
		}
		if substantial(&chunk) {
			a.call.Payload()
		}
		if err := a.out.Chunk(&chunk); err != nil {
			return err
		}
	}
}

// chunk reads the chunk of an event, or finds that there is none in it, or an error.
func (a *answer) chunk(event *protocol.Event, data []byte, chunk *protocol.Chunk) (is bool, err error) {
	if event.Error || event.Name == "error" {
		return false, a.call.EventError(upstream.ParseError(data), a.model)
	}
	if err := protocol.ParseChunk(data, chunk); errors.Is(err, protocol.ErrMalformed) {
		return false, a.call.Fail(fmt.Errorf("parse chunk: %w", err))
	} else if err != nil { // mostly an error
		return false, a.call.EventError(upstream.ParseError(data), a.model)
	}
	if isBare(chunk) && !bytes.Contains(data, []byte(`"choices"`)) {
		// Nothing of a chunk: a flat error such as {"message":…}, or a ping.
		if details := upstream.ParseError(data); details.Message != "" {
			return false, a.call.EventError(details, a.model)
		}
		return false, nil
	}
	return true, nil
}

// end judges a stream that stopped with err.
func (a *answer) end(seen *progress, err error) error {
	if err == io.EOF {
		if seen.complete(1) {
			return nil
		}
		return a.call.EndedEarly()
	}
	return a.forgive(seen, a.call.Fail(err))
}

// forgive drops the model server's fault once every choice that was asked for is
// finished: the client has the whole answer, whatever comes after it.
func (a *answer) forgive(seen *progress, err error) error {
	if _, upstreams := errors.AsType[*provider.Error](err); upstreams && seen.complete(a.choices) {
		return nil
	}
	return err
}

func isBare(c *protocol.Chunk) bool { return len(c.Choices) == 0 && c.Usage == nil }
