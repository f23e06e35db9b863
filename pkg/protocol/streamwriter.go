package protocol

import (
	"bytes"
	"strconv"
)

// maxHeld bounds what a StreamWriter holds of chunks that made no event.
const maxHeld = 64 << 10

// Envelope is what Osiris, not the provider, says about an answer.
type Envelope struct {
	ID          string // chatcmpl-…
	Created     int64  // unix seconds
	Model       string // the name that the client asked for
	ServiceTier string // "": what the provider says, if it does
}

// StreamWriter writes the chunks of one answer as server-sent events in the
// profile that every SDK survives, whatever the provider did:
//
//   - every chunk has the same id, created and model, and an array of choices;
//   - choices are opened in order, each first delta and no other has the role;
//   - each choice has one finish reason, one of the schema's; what comes after it
//     is dropped;
//   - tool calls are numbered from 0 without gaps; id, type and name come in a
//     call's first delta only, arguments are strings;
//   - usage comes once, in a last chunk of its own, and only if asked for; then
//     every other chunk says "usage":null;
//   - no chunk has a member error, and none has nothing to say.
//
// Unknown members pass through. Those of a chunk that says nothing else wait for
// the next event; the last of the same name wins. A StreamWriter allocates when a
// choice or a tool call begins, not per chunk. It is not safe for concurrent use.
type StreamWriter struct {
	env          Envelope
	includeUsage bool
	prefix       []byte // of every event, up to the opening bracket of choices
	tier         []byte // the provider's service tier, if it is the one written
	usage        []byte // what was reported last; nil if nothing was
	held         []byte // unknown members that wait for an event
	choices      []choiceState
}

// choiceState is how far a choice got.
type choiceState struct {
	finish   string // "" until it came
	failed   bool   // the provider said that it cannot finish it
	function bool   // function_call's name is out
	tools    toolState
}

// NewStreamWriter starts the stream of one answer. includeUsage is the client's
// stream_options.include_usage.
func NewStreamWriter(env Envelope, includeUsage bool) *StreamWriter {
	w := &StreamWriter{env: env, includeUsage: includeUsage, choices: make([]choiceState, 0, 1)}
	w.begin()
	return w
}

func (w *StreamWriter) begin() {
	dst := append(w.prefix[:0], `data: {"id":`...)
	dst = appendLiteral(dst, w.env.ID)
	dst = append(dst, `,"object":"chat.completion.chunk","created":`...)
	dst = strconv.AppendInt(dst, w.env.Created, 10)
	dst = append(dst, `,"model":`...)
	dst = appendLiteral(dst, w.env.Model)
	if w.env.ServiceTier != "" {
		dst = append(dst, `,"service_tier":`...)
		dst = appendLiteral(dst, w.env.ServiceTier)
	} else if w.tier != nil {
		dst = append(dst, `,"service_tier":`...)
		dst = append(dst, w.tier...)
	}
	w.prefix = append(dst, `,"choices":[`...)
}

// Append appends what c says as zero or more whole events. It keeps nothing of c.
func (w *StreamWriter) Append(dst []byte, c *Chunk) []byte {
	if c.Usage != nil {
		w.usage = append(w.usage[:0], c.Usage...)
	}
	if c.ServiceTier != nil && w.env.ServiceTier == "" && !bytes.Equal(w.tier, c.ServiceTier) {
		w.tier = append(w.tier[:0], c.ServiceTier...)
		w.begin()
	}
	dst = w.openUpTo(dst, c)

	event := len(dst)
	dst = append(dst, w.prefix...)
	first := len(dst)
	for i := range c.Choices {
		before := len(dst)
		if before > first {
			dst = append(dst, ',')
		}
		var said bool
		if dst, said = w.appendChoice(dst, &c.Choices[i]); !said {
			dst = dst[:before]
		}
	}
	if len(dst) == first {
		w.hold(c.Extra)
		return dst[:event]
	}
	return w.endEvent(dst, c.Extra, "null")
}

// endEvent closes the array of choices, the chunk and the event.
func (w *StreamWriter) endEvent(dst, extra []byte, usage string) []byte {
	dst = append(dst, ']')
	if len(w.held) > 0 {
		dst = appendMerged(append(dst, ','), w.held, extra)
		w.held = w.held[:0]
	} else if len(extra) > 0 {
		dst = append(append(dst, ','), extra...)
	}
	if w.includeUsage {
		dst = append(append(dst, `,"usage":`...), usage...)
	}
	return append(dst, "}\n\n"...)
}

// hold keeps the unknown members of a chunk that makes no event for the next one.
func (w *StreamWriter) hold(extra []byte) {
	if len(extra) == 0 || len(extra) > maxHeld {
		return
	}
	held := appendMerged(nil, w.held, extra)
	if len(held) > maxHeld {
		held = append(held[:0], extra...)
	}
	w.held = held
}

// openUpTo opens the choices that c leaves out or takes out of order, each by an
// event of its own: some clients keep choices in a list and add to its end only.
func (w *StreamWriter) openUpTo(dst []byte, c *Chunk) []byte {
	next, upTo := len(w.choices), 0
	for i := range c.Choices {
		switch at := c.Choices[i].Index; {
		case at == next:
			next++
		case at > next && at < maxChoices:
			upTo = max(upTo, at)
			next = at + 1
		}
	}
	for len(w.choices) < upTo {
		dst = append(dst, w.prefix...)
		dst, _ = w.appendChoice(dst, &Choice{Index: len(w.choices)})
		dst = w.endEvent(dst, nil, "null")
	}
	return dst
}

// appendChoice appends one element of choices, and reports whether it says
// anything: if not, the caller cuts it off again.
func (w *StreamWriter) appendChoice(dst []byte, ch *Choice) ([]byte, bool) {
	opening := ch.Index == len(w.choices)
	if opening && ch.Index < maxChoices {
		w.choices = append(w.choices, choiceState{})
	}
	if ch.Index < 0 || ch.Index >= len(w.choices) {
		return dst, false
	}
	st := &w.choices[ch.Index]
	if st.finish != "" || st.failed {
		return dst, false
	}
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, int64(ch.Index), 10)
	dst = append(dst, `,"delta":{`...)
	begin := len(dst)
	if opening {
		dst = append(dst, `"role":"assistant",`...)
	}
	dst = w.appendDelta(dst, ch, st)
	finish, failed := mapFinish(ch.FinishReason, st.tools.seen())
	st.finish, st.failed = finish, failed
	said := len(dst) > begin || finish != "" || len(ch.Extra) > 0 || ch.Logprobs != nil
	if dst[len(dst)-1] == ',' {
		dst = dst[:len(dst)-1]
	}
	if ch.Logprobs == nil {
		dst = append(dst, `},"logprobs":null,"finish_reason":`...)
	} else {
		dst = append(append(dst, `},"logprobs":`...), ch.Logprobs...)
		dst = append(dst, `,"finish_reason":`...)
	}
	if finish == "" {
		dst = append(dst, "null"...)
	} else {
		dst = append(append(append(dst, '"'), finish...), '"')
	}
	if len(ch.Extra) > 0 {
		dst = append(append(dst, ','), ch.Extra...)
	}
	return append(dst, '}'), said
}

// appendDelta appends the members of a delta, each with a comma after it.
func (w *StreamWriter) appendDelta(dst []byte, ch *Choice, st *choiceState) []byte {
	if ch.Content != nil {
		dst = append(append(append(dst, `"content":`...), ch.Content...), ',')
	}
	if ch.Refusal != nil {
		dst = append(append(append(dst, `"refusal":`...), ch.Refusal...), ',')
	}
	if ch.FunctionName != nil || ch.FunctionArguments != nil {
		dst = st.appendFunctionCall(dst, ch)
	}
	if len(ch.ToolCalls) > 0 || st.tools.waiting > 0 {
		dst = st.tools.appendDelta(dst, ch, callIDs{w.env.ID, ch.Index})
	}
	if len(ch.DeltaExtra) > 0 {
		dst = append(append(dst, ch.DeltaExtra...), ',')
	}
	return dst
}

// appendFunctionCall appends a delta of the deprecated function_call, which
// clients join as they do tool calls: the name comes once.
func (st *choiceState) appendFunctionCall(dst []byte, ch *Choice) []byte {
	naming := !st.function && ch.FunctionName != nil
	if !naming && ch.FunctionArguments == nil {
		return dst
	}
	dst = append(dst, `"function_call":{`...)
	if naming {
		st.function = true
		dst = append(append(append(dst, `"name":`...), ch.FunctionName...), ',')
	}
	dst = append(dst, `"arguments":`...)
	if ch.FunctionArguments == nil {
		dst = append(dst, `""`...)
	}
	return append(append(dst, ch.FunctionArguments...), '}', ',')
}

// AppendEnd ends the answer: it appends the usage chunk if the client asked for
// it and the provider reported any. The [DONE] is the caller's. The error, an
// *Error, says that the answer is not complete: there was no choice, or one that
// has no finish reason; dst is then returned as it was.
func (w *StreamWriter) AppendEnd(dst []byte) ([]byte, error) {
	if len(w.choices) == 0 {
		return dst, ErrUpstream("The model's server ended the answer before it began.")
	}
	for i := range w.choices {
		if w.choices[i].failed {
			return dst, ErrUpstream("The model's server stopped with an error before the answer was complete.")
		}
		if w.choices[i].finish == "" {
			return dst, ErrUpstream("The model's server ended the answer before it was complete.")
		}
	}
	if !w.includeUsage || w.usage == nil {
		return dst, nil
	}
	dst = append(dst, w.prefix...)
	return w.endEvent(dst, nil, string(appendUsage(nil, w.usage))), nil
}

// Usage returns what the provider reported last, and whether it reported any.
func (w *StreamWriter) Usage() (Usage, bool) {
	if w.usage == nil {
		return Usage{}, false
	}
	u, err := ParseUsage(w.usage)
	return u, err == nil
}

// FinishReason returns the finish reason of the first choice, "" before it came.
func (w *StreamWriter) FinishReason() string {
	if len(w.choices) == 0 {
		return ""
	}
	return w.choices[0].finish
}
