package echo

import (
	"strings"
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

// message joins the pieces.
func (s *script) message() said {
	m := said{Role: "assistant"}
	texts := make(map[pieceKind]*strings.Builder)
	for i := range s.pieces {
		piece := &s.pieces[i]
		switch piece.kind {
		case pieceCall:
			m.open(piece.call)
		case pieceArguments:
			continue // joined by arguments
		default:
			if texts[piece.kind] == nil {
				texts[piece.kind] = new(strings.Builder)
			}
			texts[piece.kind].WriteString(piece.text)
		}
	}
	if b := texts[pieceReasoning]; b != nil {
		m.Reasoning = b.String()
	}
	m.Content, m.Refusal = textOf(texts[pieceContent]), textOf(texts[pieceRefusal])
	if len(s.pieces) == 0 {
		m.Content = new(string)
	}
	s.arguments(&m)
	return m
}

func textOf(b *strings.Builder) *string {
	if b == nil {
		return nil
	}
	text := b.String()
	return &text
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

// arguments fills in what the calls of m are given.
func (s *script) arguments(m *said) {
	joined := make(map[int]*strings.Builder)
	for i := range s.pieces {
		if piece := &s.pieces[i]; piece.kind == pieceArguments {
			if joined[piece.index] == nil {
				joined[piece.index] = new(strings.Builder)
			}
			joined[piece.index].WriteString(piece.text)
		}
	}
	for i, b := range joined {
		switch {
		case m.FunctionCall != nil:
			m.FunctionCall.Arguments = b.String()
		case m.ToolCalls[i].Custom != nil:
			m.ToolCalls[i].Custom.Input = b.String()
		default:
			m.ToolCalls[i].Function.Arguments = b.String()
		}
	}
}
