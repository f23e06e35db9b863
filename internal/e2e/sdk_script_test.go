package e2e

import (
	"fmt"
	"strings"
)

// answerAs says what a case has its model say.
func (c *upstreamCall) answerAs(tc *sdkCase) {
	const usage = `{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}`
	if !c.chat.Stream {
		c.say(`{"id":"mock","object":"chat.completion","created":1712678400,"model":"mock","choices":` + tc.answer + `,"usage":` + usage + `}`)
		return
	}
	for _, delta := range tc.deltas {
		c.say("data: " + chunkWith("["+choiceOf(delta)+"]", "") + "\n\n")
	}
	c.say("data: "+chunkWith("[]", `,"usage":`+usage)+"\n\n", "data: [DONE]\n\n")
}

func chunkWith(choices, more string) string {
	return `{"id":"mock","object":"chat.completion.chunk","created":1712678400,"model":"mock","choices":` + choices + more + `}`
}

// choiceOf makes a choice of the short form of the cases: a delta, or a finish reason
// in quotes; after the index if that is 1, before a log probability and a tilde.
func choiceOf(delta string) string {
	index, finish, logprobs := 0, "null", "null"
	if rest, ok := strings.CutPrefix(delta, "1"); ok {
		index, delta = 1, rest
	}
	if before, after, ok := strings.Cut(delta, "~"); ok {
		delta, logprobs = before, `{"content":[`+after+`],"refusal":null}`
	}
	if strings.HasPrefix(delta, `"`) {
		delta, finish = "{}", delta
	}
	return fmt.Sprintf(`{"index":%d,"delta":%s,"logprobs":%s,"finish_reason":%s}`, index, delta, logprobs, finish)
}
