package anthropic

import (
	"math"
	"strconv"
)

// usage is what the server counted so far. Its reports are cumulative: each one
// replaces the last, and nothing is ever added up.
type usage struct {
	input      int64 // without what came from or went to the cache
	cacheRead  int64
	cacheWrite int64
	output     int64 // thinking included
	thinking   int64
}

// read takes over what a usage object says. A null or a zero does not replace a
// count: servers between us and the API leave out what they do not know. It
// reports whether there was anything to take over.
func (u *usage) read(w *walker, object []byte) bool {
	var details []byte
	err := w.members(object, func(name, value []byte) {
		switch string(name) {
		case `"input_tokens"`:
			count(&u.input, value)
		case `"cache_read_input_tokens"`:
			count(&u.cacheRead, value)
		case `"cache_creation_input_tokens"`:
			count(&u.cacheWrite, value)
		case `"output_tokens"`:
			count(&u.output, value)
		case `"output_tokens_details"`:
			details = value
		}
	})
	_ = w.members(details, func(name, value []byte) { // absent or null: nothing was said
		if string(name) == `"thinking_tokens"` {
			count(&u.thinking, value)
		}
	})
	return err == nil
}

func count(n *int64, raw []byte) {
	f, err := strconv.ParseFloat(string(raw), 64)
	if err == nil && f > 0 && f < math.MaxInt64/4 {
		*n = int64(f)
	}
}

// append writes OpenAI's usage object.
func (u *usage) append(dst []byte) []byte {
	prompt := u.input + u.cacheRead + u.cacheWrite
	number := func(name string, n int64) { dst = strconv.AppendInt(append(dst, name...), n, 10) }
	number(`{"prompt_tokens":`, prompt)
	number(`,"completion_tokens":`, u.output)
	number(`,"total_tokens":`, prompt+u.output)
	number(`,"prompt_tokens_details":{"cached_tokens":`, u.cacheRead)
	number(`,"cache_write_tokens":`, u.cacheWrite)
	number(`},"completion_tokens_details":{"reasoning_tokens":`, u.thinking)
	return append(dst, "}}"...)
}
