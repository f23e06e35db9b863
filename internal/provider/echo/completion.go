package echo

import (
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/osiris/osiris/internal/provider"
)

type completion struct {
	ID      string         `json:"id"`
	Object  string         `json:"object"`
	Created int64          `json:"created"`
	Model   string         `json:"model"`
	Choices []choice       `json:"choices"`
	Usage   jsontext.Value `json:"usage,omitempty"`
}

type choice struct {
	Index        int            `json:"index"`
	Message      said           `json:"message"`
	Logprobs     jsontext.Value `json:"logprobs"`
	FinishReason string         `json:"finish_reason"`
}

type said struct {
	Role         string        `json:"role"`
	Content      *string       `json:"content"`
	Refusal      *string       `json:"refusal"`
	Reasoning    string        `json:"reasoning_content,omitempty"`
	ToolCalls    []saidCall    `json:"tool_calls,omitempty"`
	FunctionCall *saidFunction `json:"function_call,omitempty"`
}

type saidCall struct {
	ID       string        `json:"id"`
	Type     string        `json:"type"`
	Function *saidFunction `json:"function,omitempty"`
	Custom   *saidCustom   `json:"custom,omitempty"`
}

type saidFunction struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

type saidCustom struct {
	Name  string `json:"name"`
	Input string `json:"input"`
}

// completion is the script as one answer.
func (p *player) completion(req *provider.Request, now time.Time) ([]byte, error) {
	c := completion{ID: "chatcmpl-" + req.JobID, Object: "chat.completion", Created: now.Unix(), Model: req.Model}
	one := choice{Message: p.script.message(), Logprobs: p.allLogprobs(), FinishReason: p.script.finish}
	for i := range p.prompt.choices {
		one.Index = i
		c.Choices = append(c.Choices, one)
	}
	if !p.knobs.noUsage {
		c.Usage = p.usage()
	}
	return json.Marshal(&c, jsontext.AllowInvalidUTF8(true))
}

// message is what the segments say as a whole.
func (s *script) message() said {
	m := said{Role: "assistant"}
	for i := range s.segments {
		one := &s.segments[i]
		switch text := one.whole(); one.kind {
		case pieceCall:
			m.open(one.call)
		case pieceReasoning:
			m.Reasoning = text
		case pieceContent:
			m.Content = &text
		case pieceRefusal:
			m.Refusal = &text
		case pieceArguments:
			m.give(one.index, text)
		}
	}
	if len(s.segments) == 0 {
		m.Content = new(string)
	}
	return m
}

func (m *said) open(c *call) {
	switch {
	case c.tool.legacy:
		m.FunctionCall = &saidFunction{Name: c.tool.name}
	case c.tool.custom:
		m.ToolCalls = append(m.ToolCalls, saidCall{ID: c.id, Type: "custom", Custom: &saidCustom{Name: c.tool.name}})
	default:
		m.ToolCalls = append(m.ToolCalls, saidCall{ID: c.id, Type: "function", Function: &saidFunction{Name: c.tool.name}})
	}
}

// give fills in the arguments of the call at index.
func (m *said) give(index int, arguments string) {
	switch {
	case m.FunctionCall != nil:
		m.FunctionCall.Arguments = arguments
	case m.ToolCalls[index].Custom != nil:
		m.ToolCalls[index].Custom.Input = arguments
	default:
		m.ToolCalls[index].Function.Arguments = arguments
	}
}
