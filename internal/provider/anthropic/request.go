package anthropic

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/osiris/osiris/internal/provider"
)

// call is a mapped request: what is sent, and what is needed to read the answer.
type call struct {
	body      []byte
	jsonTool  string // the tool whose input is the answer's content; "" if none
	functions bool   // the client speaks the deprecated functions, not tools
}

// mapRequest writes the Messages API request that corresponds to req. It is pure;
// its error is always a *provider.Error.
func mapRequest(req *provider.Request) (*call, error) {
	if req.Chat.N > 1 {
		return nil, refuse("n", "unsupported_value",
			"Unsupported value: 'n' does not support %d with this model. Send one request for each choice.", req.Chat.N)
	}
	c, err := decodeChat(req.Chat.Body)
	if err != nil {
		return nil, err
	}
	b, m, err := translate(c, req)
	if err != nil {
		return nil, err
	}
	m.body, err = json.Marshal(b, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return nil, refuse("", "", "The request could not be written for this model.")
	}
	return m, nil
}

// translate fills in a body. The order matters: whether a tool is forced decides
// about thinking, and thinking decides about sampling.
func translate(c *chat, req *provider.Request) (*body, *call, error) {
	can := capabilityOf(req.Model, req.Profile)
	talk, err := converse(c.Messages)
	if err != nil {
		return nil, nil, err
	}
	talk.close(can.prefill)
	b := &body{
		Model:         req.Model,
		MaxTokens:     can.tokens(req.Chat.MaxTokens),
		Messages:      talk.turns,
		StopSequences: stopSequences(c.Stop),
		Metadata:      userOf(c),
		Stream:        true,
	}
	m := new(call)
	if err := b.setTools(c, m, talk, can); err != nil {
		return nil, nil, err
	}
	if err := b.setFormat(c, m, talk, can); err != nil {
		return nil, nil, err
	}
	b.System = talk.systemPrompt()
	b.setThinking(c, talk, can)
	b.setSampling(c, can)
	return b, m, nil
}

// tokens returns max_tokens for a request that asks for wanted; 0 is no wish.
func (c capability) tokens(wanted int) int {
	if wanted <= 0 {
		return c.output
	}
	if c.maxOutput > 0 {
		return min(wanted, c.maxOutput)
	}
	return wanted
}

// setSampling sets what the model takes of temperature and its kin and leaves out
// the rest. A thinking model takes none of it.
func (b *body) setSampling(c *chat, can capability) {
	if can.sampling == samplingNone || b.thinks() {
		return
	}
	b.Temperature, b.TopP, b.TopK = c.Temperature, c.TopP, c.TopK
	if b.Temperature != nil {
		capped := min(*b.Temperature, 1)
		b.Temperature = &capped
	}
	if can.sampling != samplingOne || b.Temperature == nil || b.TopP == nil {
		return
	}
	if *c.Temperature == 1 && *b.TopP < 1 { // the default, as some SDKs send it
		b.Temperature = nil
	} else {
		b.TopP = nil
	}
}

// stopSequences leaves out the blank ones, which the API refuses.
func stopSequences(stop []string) []string {
	var out []string
	for _, s := range stop {
		if strings.TrimSpace(s) != "" {
			out = append(out, s)
		}
	}
	return out
}

// userOf names the client's user to the API, unless that would give it personal
// data: e-mail addresses and phone numbers are refused.
func userOf(c *chat) *metadata {
	for _, id := range []string{c.SafetyIdentifier, c.User} {
		if id != "" && len(id) <= 256 && !personal(id) {
			return &metadata{UserID: id}
		}
	}
	return nil
}

// personal reports whether id looks like an e-mail address or a phone number.
func personal(id string) bool {
	if strings.Contains(id, "@") {
		return true
	}
	rest := strings.Map(func(r rune) rune {
		if strings.ContainsRune("+-(). ", r) {
			return -1
		}
		return r
	}, id)
	return len(rest) >= 7 && strings.Trim(rest, "0123456789") == ""
}

// setThinking maps reasoning_effort, or takes the API's own thinking object over.
func (b *body) setThinking(c *chat, talk *conversation, can capability) {
	allowed := can.thinking != thinkingNone && !b.ToolChoice.forces()
	if can.thinking == thinkingBudget && (talk.endsWithAssistant() || talk.inToolLoop()) {
		// The turn to continue would have to begin with its thinking and signature,
		// which chat completions do not carry.
		allowed = false
	}
	if c.Thinking.Kind() == '{' {
		if allowed {
			b.Thinking = c.Thinking
		}
		return
	}
	switch effort := c.ReasoningEffort; {
	case effort == "" || can.thinking == thinkingNone:
	case effort == "none":
		b.Thinking = jsontext.Value(`{"type":"disabled"}`)
	case can.thinking == thinkingAdaptive:
		if b.OutputConfig == nil {
			b.OutputConfig = new(outputConfig)
		}
		b.OutputConfig.Effort = can.effort(effort)
		if allowed {
			b.Thinking = jsontext.Value(`{"type":"adaptive"}`)
		}
	case allowed:
		if n := min(budget(effort), b.MaxTokens/2); n >= minBudget {
			b.Thinking = jsontext.Value(fmt.Sprintf(`{"type":"enabled","budget_tokens":%d}`, n))
		}
	}
}

// thinks reports whether thinking was switched on.
func (b *body) thinks() bool {
	var v struct {
		Type string `json:"type"`
	}
	if b.Thinking == nil {
		return false
	}
	err := json.Unmarshal(b.Thinking, &v, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	return err != nil || v.Type != "disabled"
}

// effort returns the nearest effort that the model takes, never more than wanted.
func (c capability) effort(wanted string) string {
	switch {
	case wanted == "low" || wanted == "minimal":
		return "low"
	case wanted == "medium":
		return "medium"
	case wanted == "max" && c.max:
		return "max"
	case (wanted == "xhigh" || wanted == "max") && c.xhigh:
		return "xhigh"
	}
	return "high"
}

// minBudget is the smallest thinking budget that the API takes.
const minBudget = 1024

// budget is the thinking budget in tokens that stands for an effort. No more than
// half of max_tokens is spent on it.
func budget(effort string) int {
	switch effort {
	case "minimal", "low":
		return minBudget
	case "medium":
		return 2048
	case "xhigh":
		return 8192
	case "max":
		return 16384
	}
	return 4096
}
