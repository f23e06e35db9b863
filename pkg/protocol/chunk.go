package protocol

// Chunk is one chat.completion.chunk as a provider said it, in spans of JSON:
// every []byte below is raw JSON text (a string with its quotes), nil where the
// member was absent. Nothing is decoded that need not be, and the spans may point
// into the buffer the chunk was parsed from: they are valid as long as it is.
type Chunk struct {
	Choices []Choice
	Usage   []byte // object; nil if absent or null
	// ServiceTier is the tier that the provider says it used: a JSON string, nil if absent or null.
	ServiceTier []byte
	// Extra holds the unknown members of the chunk as JSON text without braces:
	// `"provider":"x","timings":{}`. Known and dropped: id, object, created, model.
	// A member named error is never among them.
	Extra []byte

	// Where the parser keeps what it had to put together.
	members       []extraMember
	scratch       []byte
	text, thought []byte
	like          alike
}

// reset empties c for the next chunk and keeps its space, unless a giant chunk
// made that large.
func (c *Chunk) reset() {
	if cap(c.scratch) > keptScratch {
		c.scratch = nil
	}
	if cap(c.text)+cap(c.thought) > keptScratch {
		c.text, c.thought = nil, nil
	}
	if cap(c.members) > 1024 {
		c.members = nil
	}
	*c = Chunk{Choices: c.Choices[:0], members: c.members[:0], scratch: c.scratch[:0], text: c.text, thought: c.thought, like: c.like}
}

// addChoice adds a choice, in the space of one of an earlier chunk if there is any.
func (c *Chunk) addChoice() *Choice {
	n := len(c.Choices)
	if n == cap(c.Choices) {
		c.Choices = append(c.Choices, Choice{})
	} else {
		c.Choices = c.Choices[:n+1]
		c.Choices[n] = Choice{ToolCalls: c.Choices[n].ToolCalls[:0]}
	}
	return &c.Choices[n]
}

// keep joins parts in the scratch space and returns the result.
func (c *Chunk) keep(parts ...[]byte) []byte {
	at := len(c.scratch)
	for _, part := range parts {
		c.scratch = append(c.scratch, part...)
	}
	return c.scratch[at:len(c.scratch):len(c.scratch)]
}

// Choice is one element of a chunk's choices, with its delta flattened in.
type Choice struct {
	Index             int
	Content           []byte // JSON string or null
	Refusal           []byte // JSON string or null
	ToolCalls         []ToolCall
	FunctionName      []byte // deprecated function_call
	FunctionArguments []byte
	DeltaExtra        []byte // unknown members of the delta, as Chunk.Extra
	Logprobs          []byte // object; nil if absent or null
	FinishReason      string // as the provider said it; "" if none
	Extra             []byte // unknown members of the choice, as Chunk.Extra
}

// ToolCall is one element of a delta's tool_calls.
type ToolCall struct {
	Index     int    // as sent, -1 if absent
	ID        []byte // JSON string
	Custom    bool   // type "custom": Name and Arguments are custom.name and custom.input
	Name      []byte // JSON string
	Arguments []byte // JSON string
	Extra     []byte // unknown members of the call, as Chunk.Extra
	// FunctionExtra holds the unknown members of function (or custom), as Chunk.Extra.
	FunctionExtra []byte
}
