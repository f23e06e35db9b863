package protocol

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// Answer is a whole completion in the profile.
type Answer struct {
	Body         []byte
	Usage        Usage  // the zero value if the provider said nothing
	FinishReason string // of the first choice
}

// NormalizeAnswer brings a provider's whole answer into the profile and appends
// it to dst, which becomes Answer.Body: the envelope is env's, every member that
// the schema requires is there, content in parts becomes text, tool calls have
// ids, finish reasons are those of the schema. Unknown members stay, on every
// level. dst must not overlap body, which is not changed.
//
// The error is always an *Error: the server's own, where body reports one in
// spite of its status, else one that says what is wrong with it.
func NormalizeAnswer(dst, body []byte, env Envelope) (Answer, error) {
	var c Chunk
	if err := parseAnswer(body, &c); err != nil {
		return Answer{}, err
	}
	if dst == nil {
		dst = make([]byte, 0, len(body)+len(env.ID)+len(env.Model)+192)
	}
	return appendAnswer(dst, &c, env)
}

// IsAnswer reports whether body is visibly a whole completion: one valid JSON object
// whose choices are objects, at least one, and that reports no error. Of anything else it
// says false, also of some odd bodies that NormalizeAnswer accepts. It allocates nothing.
func IsAnswer(body []byte) bool {
	s := spanScanner{data: body}
	choices, odd := 0, false
	for name := range s.members {
		switch {
		case string(name) == "error":
			odd = string(s.value()) != "null" || odd
		case string(name) == "choices" && s.peek() == '[':
			s.enter('[')
			for first := true; s.more(first, ']'); first = false {
				odd = s.peek() != '{' || odd
				s.value()
				choices++
			}
		default:
			s.value()
		}
	}
	return s.end() && choices > 0 && !odd
}

// parseAnswer reads a chat.completion: as one chunk whose choices carry all.
// Choices come in order and are numbered from 0.
func parseAnswer(body []byte, c *Chunk) error {
	p := chunkParser{c: c, key: "message"}
	if err := p.parse(body); err != nil {
		return err
	}
	if len(c.Choices) == 0 || p.said < len(c.Choices) {
		if e := parseError(body); e != nil {
			return e
		}
		return ErrUpstream("The model's server sent something that is no chat completion.").
			Wrap(fmt.Errorf("parse answer: %d choices, %d messages", len(c.Choices), p.said))
	}
	slices.SortStableFunc(c.Choices, func(a, b Choice) int { return cmp.Compare(a.Index, b.Index) })
	for i := range c.Choices {
		ch := &c.Choices[i]
		ch.Index = i
		reason, failed := mapFinish(ch.FinishReason, len(ch.ToolCalls) > 0)
		if failed {
			return ErrUpstream("The model's server stopped with an error before the answer was complete.")
		}
		if reason == "" { // the document is whole, so the answer is
			reason, _ = mapFinish("stop", len(ch.ToolCalls) > 0)
		}
		ch.FinishReason = reason
	}
	return nil
}

// appendAnswer appends the chat.completion that c, as parseAnswer leaves it, says.
func appendAnswer(dst []byte, c *Chunk, env Envelope) (Answer, error) {
	dst = append(dst, `{"id":`...)
	dst = appendLiteral(dst, env.ID)
	dst = append(dst, `,"object":"chat.completion","created":`...)
	dst = strconv.AppendInt(dst, env.Created, 10)
	dst = append(dst, `,"model":`...)
	dst = appendLiteral(dst, env.Model)
	dst = append(dst, `,"choices":[`...)
	for i := range c.Choices {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendWholeChoice(dst, &c.Choices[i], env.ID)
	}
	dst = append(dst, ']')
	a := Answer{FinishReason: c.Choices[0].FinishReason}
	if c.Usage != nil {
		dst = append(dst, `,"usage":`...)
		dst = appendUsage(dst, c.Usage)
		a.Usage, _ = ParseUsage(c.Usage)
	}
	switch {
	case env.ServiceTier != "":
		dst = append(dst, `,"service_tier":`...)
		dst = appendLiteral(dst, env.ServiceTier)
	case c.ServiceTier != nil:
		dst = append(append(dst, `,"service_tier":`...), c.ServiceTier...)
	}
	if len(c.Extra) > 0 {
		dst = append(append(dst, ','), c.Extra...)
	}
	a.Body = append(dst, '}')
	return a, nil
}

func appendWholeChoice(dst []byte, ch *Choice, answer string) []byte {
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, int64(ch.Index), 10)
	dst = append(dst, `,"message":{"role":"assistant","content":`...)
	dst = appendOrNull(dst, ch.Content)
	dst = append(dst, `,"refusal":`...)
	dst = appendOrNull(dst, ch.Refusal)
	if len(ch.ToolCalls) > 0 {
		dst = append(dst, `,"tool_calls":[`...)
		for i := range ch.ToolCalls {
			dst = appendWholeCall(dst, i, &ch.ToolCalls[i], callIDs{answer, ch.Index})
		}
		dst[len(dst)-1] = ']'
	}
	if ch.FunctionName != nil || ch.FunctionArguments != nil {
		dst = append(dst, `,"function_call":{"name":`...)
		dst = appendOrEmpty(dst, ch.FunctionName)
		dst = append(dst, `,"arguments":`...)
		dst = append(appendOrEmpty(dst, ch.FunctionArguments), '}')
	}
	if len(ch.DeltaExtra) > 0 {
		dst = append(append(dst, ','), ch.DeltaExtra...)
	}
	dst = append(dst, `},"logprobs":`...)
	dst = appendOrNull(dst, ch.Logprobs)
	dst = append(dst, `,"finish_reason":"`...)
	dst = append(append(dst, ch.FinishReason...), '"')
	if len(ch.Extra) > 0 {
		dst = append(append(dst, ','), ch.Extra...)
	}
	return append(dst, '}')
}

// appendWholeCall appends one call of an answer, with a comma after it.
func appendWholeCall(dst []byte, at int, tc *ToolCall, ids callIDs) []byte {
	dst = append(dst, `{"id":`...)
	if tc.ID == nil {
		dst = ids.appendID(dst, at)
	}
	dst = append(dst, tc.ID...)
	if tc.Custom {
		dst = append(dst, `,"type":"custom","custom":{"name":`...)
		dst = append(appendOrEmpty(dst, tc.Name), `,"input":`...)
	} else {
		dst = append(dst, `,"type":"function","function":{"name":`...)
		dst = append(appendOrEmpty(dst, tc.Name), `,"arguments":`...)
	}
	return appendCallEnd(dst, tc.Arguments, tc)
}

func appendOrNull(dst, raw []byte) []byte {
	if raw == nil {
		return append(dst, "null"...)
	}
	return append(dst, raw...)
}

func appendOrEmpty(dst, raw []byte) []byte {
	if raw == nil {
		return append(dst, `""`...)
	}
	return append(dst, raw...)
}

// SplitAnswer turns a provider's whole answer into chunks, for a client that
// asked for a stream: for each choice one with all it says and one with its
// finish reason, then one with the usage. Written by a StreamWriter and folded
// again they are what NormalizeAnswer makes of body. The chunks point into body
// where they can. The error is always an *Error, as NormalizeAnswer's.
func SplitAnswer(body []byte) ([]Chunk, error) {
	var c Chunk
	if err := parseAnswer(body, &c); err != nil {
		return nil, err
	}
	chunks := make([]Chunk, 0, 2*len(c.Choices)+1)
	for _, ch := range c.Choices {
		said := ch
		said.FinishReason, said.Extra = "", nil
		if said.Content == nil {
			said.Content = []byte("null")
		}
		for i := range said.ToolCalls {
			said.ToolCalls[i].Index = i
		}
		chunks = append(chunks, Chunk{Choices: []Choice{said}})
	}
	for _, ch := range c.Choices {
		end := Choice{Index: ch.Index, FinishReason: ch.FinishReason, Extra: ch.Extra}
		chunks = append(chunks, Chunk{Choices: []Choice{end}})
	}
	chunks[0].Extra, chunks[0].ServiceTier = c.Extra, c.ServiceTier
	if c.Usage != nil {
		chunks = append(chunks, Chunk{Usage: c.Usage})
	}
	return chunks, nil
}
