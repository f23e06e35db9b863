package protocol

import (
	"bytes"
)

// Accumulator folds a stream into the completion that it amounts to: content,
// refusal, reasoning and arguments are joined, logprobs lined up, of unknown
// members the last that is not null stays. It expects events as StreamWriter
// writes them. Its memory is proportional to the answer. It is not safe for
// concurrent use.
type Accumulator struct {
	env     Envelope
	chunk   Chunk
	tier    []byte
	usage   []byte
	extra   foldedMembers
	choices []*foldedChoice
}

// foldedChoice is what a choice said so far.
type foldedChoice struct {
	content, refusal  joinedText
	function          bool
	functionName      []byte
	functionArguments joinedText
	calls             []*foldedCall
	message           foldedMembers
	logprobs          bool
	tokens, refused   []byte // elements of logprobs.content and .refusal; nil for null
	tokenExtra        foldedMembers
	finish            string
	extra             foldedMembers
}

type foldedCall struct {
	id, name      []byte
	custom        bool
	arguments     joinedText
	extra         foldedMembers
	functionExtra foldedMembers
}

// NewAccumulator starts a fold. The envelope of the completion is env's.
func NewAccumulator(env Envelope) *Accumulator { return &Accumulator{env: env} }

// Add folds in one or more whole events; comments and [DONE] say nothing. The
// error is an *Error: the stream's own, if event is its error event, else one
// that says that the event cannot be read. Add keeps nothing of event.
func (a *Accumulator) Add(event []byte) error {
	for len(event) > 0 {
		line := event
		if at := bytes.IndexByte(event, '\n'); at >= 0 {
			line, event = event[:at], event[at+1:]
		} else {
			event = nil
		}
		data, ok := bytes.CutPrefix(line, []byte("data:"))
		if !ok {
			continue
		}
		data = bytes.TrimLeft(data, " ")
		if len(data) == 0 || string(data) == "[DONE]" {
			continue
		}
		if err := ParseChunk(data, &a.chunk); err != nil {
			return err
		}
		a.fold()
	}
	return nil
}

func (a *Accumulator) fold() {
	c := &a.chunk
	if c.Usage != nil {
		a.usage = append(a.usage[:0], c.Usage...)
	}
	if c.ServiceTier != nil {
		a.tier = append(a.tier[:0], c.ServiceTier...)
	}
	a.extra.add(withoutPadding(c.Extra))
	for i := range c.Choices {
		ch := &c.Choices[i]
		for len(a.choices) <= ch.Index {
			a.choices = append(a.choices, &foldedChoice{})
		}
		a.choices[ch.Index].add(ch)
	}
}

// withoutPadding removes the member by which OpenAI hides the length of a chunk.
func withoutPadding(extra []byte) []byte {
	if !bytes.Contains(extra, []byte(`"obfuscation"`)) {
		return extra
	}
	var kept []byte
	for _, m := range membersOf(nil, extra) {
		if string(m.name) != "obfuscation" {
			kept = append(append(kept, m.text...), ',')
		}
	}
	return bytes.TrimSuffix(kept, []byte(","))
}

func (f *foldedChoice) add(ch *Choice) {
	f.content.add(ch.Content)
	f.refusal.add(ch.Refusal)
	if ch.FunctionName != nil {
		f.functionName = bytes.Clone(ch.FunctionName)
	}
	if ch.FunctionName != nil || ch.FunctionArguments != nil {
		f.function = true
		f.functionArguments.add(ch.FunctionArguments)
	}
	for i := range ch.ToolCalls {
		f.addCall(&ch.ToolCalls[i])
	}
	f.message.add(ch.DeltaExtra)
	f.addLogprobs(ch.Logprobs)
	if ch.FinishReason != "" {
		f.finish = ch.FinishReason
	}
	f.extra.add(ch.Extra)
}

func (f *foldedChoice) addCall(tc *ToolCall) {
	if tc.Index < 0 || tc.Index >= maxCalls {
		return
	}
	for len(f.calls) <= tc.Index {
		f.calls = append(f.calls, &foldedCall{})
	}
	call := f.calls[tc.Index]
	if tc.ID != nil {
		call.id = bytes.Clone(tc.ID)
	}
	if tc.Name != nil {
		call.name = bytes.Clone(tc.Name)
	}
	call.custom = call.custom || tc.Custom
	call.arguments.add(tc.Arguments)
	call.extra.add(tc.Extra)
	call.functionExtra.add(tc.FunctionExtra)
}

// addLogprobs lines up the tokens of both lists.
func (f *foldedChoice) addLogprobs(raw []byte) {
	if raw == nil {
		return
	}
	f.logprobs = true
	for _, m := range membersOf(nil, raw[1:len(raw)-1]) {
		switch string(m.name) {
		case "content":
			f.tokens = appendElements(f.tokens, m.value())
		case "refusal":
			f.refused = appendElements(f.refused, m.value())
		default:
			f.tokenExtra.add(m.text)
		}
	}
}

// SetUsage gives the completion usage where the stream told none, as one without
// include_usage does not.
func (a *Accumulator) SetUsage(u Usage) {
	if a.usage == nil && u != (Usage{}) {
		a.usage = u.appendJSON(nil)
	}
}

// Completion appends the completion to dst. The error, an *Error, says that the
// stream was not complete: there was no choice, or one without a finish reason.
func (a *Accumulator) Completion(dst []byte) ([]byte, error) {
	if len(a.choices) == 0 {
		return dst, ErrUpstream("The model's server ended the answer before it began.")
	}
	c := Chunk{Choices: make([]Choice, len(a.choices)), Usage: a.usage, ServiceTier: a.tier, Extra: a.extra.text()}
	for i, f := range a.choices {
		if f.finish == "" {
			return dst, ErrUpstream("The model's server ended the answer before it was complete.")
		}
		c.Choices[i] = f.choice(i)
	}
	answer, err := appendAnswer(dst, &c, a.env)
	if err != nil {
		return dst, err
	}
	return answer.Body, nil
}

// choice returns what was folded as one choice.
func (f *foldedChoice) choice(index int) Choice {
	ch := Choice{
		Index: index, Content: f.content.literal(), Refusal: f.refusal.literal(), FunctionName: f.functionName,
		FunctionArguments: f.functionArguments.literal(), DeltaExtra: f.message.text(),
		FinishReason: f.finish, Extra: f.extra.text(),
	}
	for at, call := range f.calls {
		ch.ToolCalls = append(ch.ToolCalls, ToolCall{
			Index: at, ID: call.id, Custom: call.custom, Name: call.name, Arguments: call.arguments.literal(),
			Extra: call.extra.text(), FunctionExtra: call.functionExtra.text(),
		})
	}
	if f.logprobs {
		ch.Logprobs = append(ch.Logprobs, `{"content":`...)
		ch.Logprobs = appendList(ch.Logprobs, f.tokens)
		ch.Logprobs = append(ch.Logprobs, `,"refusal":`...)
		ch.Logprobs = appendList(ch.Logprobs, f.refused)
		if extra := f.tokenExtra.text(); len(extra) > 0 {
			ch.Logprobs = append(append(ch.Logprobs, ','), extra...)
		}
		ch.Logprobs = append(ch.Logprobs, '}')
	}
	return ch
}
