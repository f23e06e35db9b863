package protocol

import (
	"bytes"
	"hash/fnv"
	"strconv"
)

// toolState gives the tool calls of a choice the dense numbers that clients need,
// whatever the provider calls them.
type toolState struct {
	calls   []toolCall
	slots   []toolSlot
	waiting int // calls that are known by their id only, and not yet out
}

// toolSlot says which call the provider means by an index now.
type toolSlot struct{ index, call int }

// toolCall is one call of the choice; its number is its place.
type toolCall struct {
	id, name []byte // JSON strings; nil while unknown
	custom   bool
	out      bool // its first delta was written
	args     jsonProgress
}

func (t *toolState) seen() bool { return len(t.calls) > 0 }

// callIDs invents ids for calls that have none. The same call of the same answer
// gets the same one, so that an answer sent again agrees with the first.
type callIDs struct {
	answer string
	choice int
}

func (c callIDs) appendID(dst []byte, call int) []byte {
	h := fnv.New64a()
	h.Write([]byte(c.answer))
	h.Write([]byte{byte(c.choice), byte(call), byte(call >> 8)})
	dst = append(dst, `"call_`...)
	sum := h.Sum64()
	for range 16 {
		dst = append(dst, "0123456789abcdef"[sum&15])
		sum >>= 4
	}
	return append(dst, '"')
}

// appendDelta appends "tool_calls":[…], with a comma after it, for the deltas of
// one chunk; nothing if they say nothing new.
func (t *toolState) appendDelta(dst []byte, ch *Choice, ids callIDs) []byte {
	start := len(dst)
	dst = append(dst, `"tool_calls":[`...)
	first := len(dst)
	for i := range ch.ToolCalls {
		tc := ch.ToolCalls[i] // a copy: find may add the name
		if at := t.find(&tc, i); at >= 0 {
			dst = t.appendCall(dst, at, &tc, ids)
		}
	}
	if ch.FinishReason != "" {
		dst = t.appendWaiting(dst, len(t.calls), ids)
	}
	if len(dst) == first {
		return dst[:start]
	}
	return append(dst[:len(dst)-1], ']', ',') // the last comma gives way
}

// find returns the number of the call that tc, the place-th of its chunk, belongs
// to, beginning a new one if need be; -1 if there are too many.
//
// A provider names a call by its index, else by its id, else by its place. Under
// one index a new call has begun when the id changes (some change it with every
// delta: then a name must come along), when the name does, or when the arguments
// of the last one were complete and more come.
func (t *toolState) find(tc *ToolCall, place int) int {
	index := tc.Index
	if index < 0 {
		index = place
		if tc.ID != nil {
			for i := range t.calls {
				if bytes.Equal(t.calls[i].id, tc.ID) {
					return i
				}
			}
			return t.add(tc, index)
		}
	}
	at := -1
	for _, s := range t.slots {
		if s.index == index {
			at = s.call
		}
	}
	if at < 0 {
		return t.add(tc, index)
	}
	last := &t.calls[at]
	again := last.args.complete && opensObject(tc.Arguments) && !last.custom
	switch {
	case tc.ID != nil && last.id != nil && !bytes.Equal(tc.ID, last.id) && (tc.Name != nil || last.args.complete):
		return t.add(tc, index)
	case tc.ID != nil && bytes.Equal(tc.ID, last.id):
		return at
	case tc.Name != nil && last.name != nil && !bytes.Equal(tc.Name, last.name):
		return t.add(tc, index)
	case again && tc.Name == nil && t.silent() >= 0:
		return t.silent()
	case again:
		if tc.Name == nil {
			tc.Name = last.name
		}
		return t.add(tc, index)
	}
	return at
}

// silent returns the last call if it has no arguments yet, else -1.
func (t *toolState) silent() int {
	if n := len(t.calls) - 1; n >= 0 && !t.calls[n].args.begun {
		return n
	}
	return -1
}

func (t *toolState) add(tc *ToolCall, index int) int {
	at := len(t.calls)
	if at == maxCalls {
		return -1
	}
	t.calls = append(t.calls, toolCall{id: bytes.Clone(tc.ID), custom: tc.Custom})
	t.waiting++
	for i := range t.slots {
		if t.slots[i].index == index {
			t.slots[i].call = at
			return at
		}
	}
	t.slots = append(t.slots, toolSlot{index, at})
	return at
}

// appendCall appends one delta of a call, with a comma after it. A call that has
// only an id so far waits for its name, which must come in the same delta.
func (t *toolState) appendCall(dst []byte, at int, tc *ToolCall, ids callIDs) []byte {
	call := &t.calls[at]
	if call.name == nil {
		call.name = bytes.Clone(tc.Name)
	}
	if call.id == nil {
		call.id = bytes.Clone(tc.ID)
	}
	if !call.out {
		if call.name == nil && len(tc.Arguments) <= 2 && tc.Extra == nil && tc.FunctionExtra == nil {
			return dst
		}
		return t.appendFirst(t.appendWaiting(dst, at, ids), at, tc, ids)
	}
	args := call.take(tc.Arguments)
	if len(args) <= 2 && len(tc.Extra) == 0 && len(tc.FunctionExtra) == 0 {
		return dst
	}
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, int64(at), 10)
	if call.custom {
		dst = append(dst, `,"custom":{"input":`...)
	} else {
		dst = append(dst, `,"function":{"arguments":`...)
	}
	return appendCallEnd(dst, args, tc)
}

// appendWaiting begins the calls before end that still wait for a name.
func (t *toolState) appendWaiting(dst []byte, end int, ids callIDs) []byte {
	for at := 0; at < end && t.waiting > 0; at++ {
		if !t.calls[at].out {
			dst = t.appendFirst(dst, at, &ToolCall{}, ids)
		}
	}
	return dst
}

// appendFirst appends the delta that begins a call.
func (t *toolState) appendFirst(dst []byte, at int, tc *ToolCall, ids callIDs) []byte {
	call := &t.calls[at]
	call.out = true
	call.custom = call.custom || tc.Custom
	t.waiting--
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, int64(at), 10)
	dst = append(dst, `,"id":`...)
	if call.id == nil {
		call.id = ids.appendID(nil, at)
	}
	dst = append(dst, call.id...)
	if call.custom {
		dst = append(dst, `,"type":"custom","custom":{"name":`...)
	} else {
		dst = append(dst, `,"type":"function","function":{"name":`...)
	}
	if call.name == nil {
		call.name = []byte(`""`)
	}
	dst = append(dst, call.name...)
	if call.custom {
		dst = append(dst, `,"input":`...)
	} else {
		dst = append(dst, `,"arguments":`...)
	}
	return appendCallEnd(dst, call.take(tc.Arguments), tc)
}

func appendCallEnd(dst, args []byte, tc *ToolCall) []byte {
	if args == nil {
		dst = append(dst, `""`...)
	}
	dst = append(dst, args...)
	if len(tc.FunctionExtra) > 0 {
		dst = append(append(dst, ','), tc.FunctionExtra...)
	}
	dst = append(dst, '}')
	if len(tc.Extra) > 0 {
		dst = append(append(dst, ','), tc.Extra...)
	}
	return append(dst, '}', ',')
}

// take notes how far the arguments are and returns what to send of them: nothing
// where a server repeats them once they were complete.
func (c *toolCall) take(args []byte) []byte {
	if c.custom {
		return args
	}
	if c.args.complete && opensObject(args) {
		return nil
	}
	c.args.feed(args)
	return args
}
