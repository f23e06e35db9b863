package load

import (
	"encoding/json"
	"io"
	"time"

	"github.com/osiris/osiris/internal/bench/histogram"
)

// outcome is when what of an answer came.
type outcome struct {
	accepted time.Time // of a kept completion: its id was known
	first    time.Time // the first piece of text
	done     time.Time // the end
	chunks   int
}

// judge checks one answer.
type judge struct {
	verify  Verify
	want    []byte               // the whole text; nil: any
	pieces  int                  // that the text has to come in; 0: any number
	tokens  int                  // that the usage has to count; 0: any number
	usage   bool                 // a usage has to come
	every   bool                 // decode every event, also those that a glance would do for
	gap     *histogram.Histogram // nil: not measured
	outcome outcome

	got      int // bytes of want that came
	text     bool
	role     bool
	finish   string
	counted  bool
	previous time.Time
}

// stream reads a stream up to [DONE].
func (j *judge) stream(in *events) error {
	for {
		event, err := in.next()
		if err == io.EOF {
			return fail("no_done", "the stream ended after %d chunks without [DONE]", j.outcome.chunks)
		}
		if err != nil {
			return broken("reading the stream", err)
		}
		if string(event) == "[DONE]" {
			j.outcome.done = time.Now()
			return j.verdict()
		}
		if err := j.event(event); err != nil {
			return err
		}
	}
}

// event takes one event of a stream.
func (j *judge) event(event []byte) error {
	text, ok := plainText(event)
	if !ok || !j.role || j.every {
		var err error
		if text, err = j.decode(event); err != nil {
			return err
		}
	}
	if len(text) == 0 {
		return nil
	}
	now := time.Now()
	if j.outcome.chunks == 0 {
		j.outcome.first = now
	} else if j.gap != nil {
		j.gap.Record(now.Sub(j.previous))
	}
	j.previous = now
	j.outcome.chunks++
	return j.say(text)
}

// decode takes everything of an event but its text, which it returns.
func (j *judge) decode(event []byte) (text []byte, err error) {
	var c chunk
	if err := json.Unmarshal(event, &c); err != nil {
		return nil, fail("bad_json", "%w in %.200q", err, event)
	}
	if c.failed() {
		return nil, fail("error_event", "%.300s", event)
	}
	if len(c.Choices) > 0 {
		choice := &c.Choices[0]
		j.role = j.role || choice.Delta.Role != ""
		j.text = j.text || choice.Delta.otherwise()
		if choice.Finish != "" {
			j.finish = choice.Finish
		}
		text = []byte(choice.Delta.Content)
	}
	return text, j.count(&c)
}

// say takes a piece of text.
func (j *judge) say(text []byte) error {
	j.text = true
	if j.want == nil {
		return nil
	}
	if j.finish != "" {
		return fail("wrong_text", "text comes behind the finish reason: %.100q", text)
	}
	rest := j.want[j.got:]
	if len(text) > len(rest) || string(rest[:len(text)]) != string(text) {
		return fail("wrong_text", "byte %d on is %.100q, not %.100q", j.got, text, rest)
	}
	j.got += len(text)
	return nil
}

func (j *judge) count(c *chunk) error {
	if c.Usage == nil {
		return nil
	}
	j.counted = true
	if n := c.Usage.Completion; j.verify != Off && (n < 1 || j.tokens > 0 && n != j.tokens) {
		return fail("wrong_usage", "%d tokens are counted", n)
	}
	return nil
}

// verdict is given at the proper end of an answer.
func (j *judge) verdict() error {
	switch {
	case j.verify == Off:
		return nil
	case j.want != nil && j.got != len(j.want):
		return fail("wrong_text", "%d of %d bytes came before the end", j.got, len(j.want))
	case !j.text:
		return fail("no_text", "the answer says nothing")
	case j.pieces > 0 && j.outcome.chunks != j.pieces:
		return fail("wrong_chunks", "the text came in %d chunks, not %d", j.outcome.chunks, j.pieces)
	case !j.role:
		return fail("no_role", "nobody is named who says it")
	case j.finish == "":
		return fail("no_finish", "there is no finish reason")
	case j.usage && !j.counted:
		return fail("no_usage", "there is no usage")
	}
	return nil
}

// whole reads a JSON answer.
func (j *judge) whole(body []byte) error {
	j.outcome.done = time.Now()
	j.outcome.first = j.outcome.done
	if j.verify == Off {
		return nil
	}
	var c chunk
	if err := json.Unmarshal(body, &c); err != nil {
		return fail("bad_json", "%w in %.200q", err, body)
	}
	if c.failed() {
		return fail("error_body", "%.300s", body)
	}
	if len(c.Choices) == 0 {
		return fail("no_text", "%.200q", body)
	}
	m := c.Choices[0].Message
	j.role, j.text = m.Role != "", m.otherwise()
	if m.Content != "" {
		if err := j.say([]byte(m.Content)); err != nil {
			return err
		}
	}
	j.finish = c.Choices[0].Finish
	if err := j.count(&c); err != nil {
		return err
	}
	return j.verdict()
}
