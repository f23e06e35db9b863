package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/respjson"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/shared"
)

// official is OpenAI's own library.
type official struct{ openai.Client }

func newOfficial(c *client) official {
	return official{openai.NewClient(option.WithBaseURL(c.url), option.WithAPIKey(c.key), option.WithHTTPClient(c.http), option.WithMaxRetries(0))}
}

func (o official) params(r *sdkRequest) openai.ChatCompletionNewParams {
	p := openai.ChatCompletionNewParams{
		Model: r.model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(r.text)},
	}
	if r.n > 1 {
		p.N = openai.Int(int64(r.n))
	}
	if r.tools {
		for _, name := range []string{"get_weather", "get_time"} {
			p.Tools = append(p.Tools, openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
				Name: name, Parameters: shared.FunctionParameters{"type": "object", "properties": object{}},
			}))
		}
		p.ParallelToolCalls = openai.Bool(true)
	}
	if r.logprobs {
		p.Logprobs = openai.Bool(true)
	}
	if r.json {
		p.ResponseFormat.OfJSONObject = &shared.ResponseFormatJSONObjectParam{}
	}
	if r.temperature != 0 {
		p.Temperature = openai.Float(r.temperature)
	}
	return p
}

func (o official) plain(ctx context.Context, r sdkRequest) (said, error) {
	answer, err := o.Chat.Completions.New(ctx, o.params(&r))
	if err != nil {
		return said{}, err
	}
	s := o.said(answer)
	for i := range answer.Choices {
		s.Choices[i].Reasoning = extra(answer.Choices[i].Message.JSON.ExtraFields)
	}
	return s, nil
}

func (o official) said(answer *openai.ChatCompletion) said {
	s := said{Total: int(answer.Usage.TotalTokens)}
	for _, c := range answer.Choices {
		choice := saidChoice{Content: c.Message.Content, Refusal: c.Message.Refusal, Finish: c.FinishReason}
		for _, t := range c.Message.ToolCalls {
			choice.Tools = append(choice.Tools, saidTool{t.ID, t.Function.Name, t.Function.Arguments})
		}
		for _, p := range c.Logprobs.Content {
			choice.Tokens = append(choice.Tokens, p.Token)
		}
		s.Choices = append(s.Choices, choice)
	}
	return s
}

// extra is the reasoning, which the library does not know.
func extra(fields map[string]respjson.Field) string {
	var text string
	_ = json.Unmarshal([]byte(fields["reasoning_content"].Raw()), &text) // missing: none
	return text
}

func (o official) stream(ctx context.Context, r sdkRequest, first func()) (said, error) {
	p := o.params(&r)
	if r.usage {
		p.StreamOptions.IncludeUsage = openai.Bool(true)
	}
	stream := o.Chat.Completions.NewStreaming(ctx, p)
	defer stream.Close()
	var sum openai.ChatCompletionAccumulator
	var reasoning strings.Builder
	for stream.Next() {
		chunk := stream.Current()
		if !sum.AddChunk(chunk) {
			return said{}, errors.New("the accumulator refused a chunk")
		}
		for _, c := range chunk.Choices {
			reasoning.WriteString(extra(c.Delta.JSON.ExtraFields))
			if first != nil && c.Delta.Content != "" {
				first()
			}
		}
	}
	s := o.said(&sum.ChatCompletion)
	if len(s.Choices) > 0 {
		s.Choices[0].Reasoning = reasoning.String()
	}
	return s, stream.Err()
}

func (o official) models(ctx context.Context) ([]string, error) {
	list, err := o.Models.List(ctx)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, m := range list.Data {
		ids = append(ids, m.ID)
	}
	return ids, nil
}

func (o official) model(ctx context.Context, id string) (string, error) {
	m, err := o.Models.Get(ctx, id)
	if err != nil {
		return "", err
	}
	return m.ID, nil
}

func (o official) refused(err error) (refused, bool) {
	if e, ok := errors.AsType[*openai.Error](err); ok {
		return refused{e.StatusCode, e.Type, e.Code, e.Message}, true
	}
	e, ok := errors.AsType[*ssestream.StreamError](err)
	if !ok {
		return refused{}, false
	}
	var event refusal
	from := strings.IndexByte(e.Message, '{')
	if from < 0 || json.Unmarshal([]byte(e.Message[from:]), &event) != nil {
		return refused{}, false
	}
	r := refused{kind: event.Type, message: event.Message}
	if event.Code != nil {
		r.code = *event.Code
	}
	return r, true
}
