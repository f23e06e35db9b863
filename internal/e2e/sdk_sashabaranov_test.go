package e2e

import (
	"context"
	"errors"
	"io"

	"github.com/sashabaranov/go-openai"
)

// sashabaranov is the library that most Go programs used before there was an
// official one. It has no accumulator and never retries.
type sashabaranov struct{ *openai.Client }

func newSashabaranov(c *client) sashabaranov {
	cfg := openai.DefaultConfig(c.key)
	cfg.BaseURL, cfg.HTTPClient = c.url, c.http
	return sashabaranov{openai.NewClientWithConfig(cfg)}
}

func (o sashabaranov) request(r *sdkRequest) openai.ChatCompletionRequest {
	q := openai.ChatCompletionRequest{
		Model: r.model, Messages: []openai.ChatCompletionMessage{{Role: "user", Content: r.text}},
		N: r.n, LogProbs: r.logprobs, Temperature: float32(r.temperature),
	}
	if r.tools {
		for _, name := range []string{"get_weather", "get_time"} {
			q.Tools = append(q.Tools, openai.Tool{Type: openai.ToolTypeFunction, Function: &openai.FunctionDefinition{
				Name: name, Parameters: object{"type": "object", "properties": object{}},
			}})
		}
		q.ParallelToolCalls = true
	}
	if r.json {
		q.ResponseFormat = &openai.ChatCompletionResponseFormat{Type: openai.ChatCompletionResponseFormatTypeJSONObject}
	}
	return q
}

func (o sashabaranov) plain(ctx context.Context, r sdkRequest) (said, error) {
	answer, err := o.CreateChatCompletion(ctx, o.request(&r))
	if err != nil {
		return said{}, err
	}
	s := said{Total: answer.Usage.TotalTokens}
	for _, c := range answer.Choices {
		m := c.Message
		choice := saidChoice{Content: m.Content, Refusal: m.Refusal, Reasoning: m.ReasoningContent, Finish: string(c.FinishReason)}
		for _, t := range m.ToolCalls {
			choice.Tools = append(choice.Tools, saidTool{t.ID, t.Function.Name, t.Function.Arguments})
		}
		if c.LogProbs != nil {
			for _, p := range c.LogProbs.Content {
				choice.Tokens = append(choice.Tokens, p.Token)
			}
		}
		s.Choices = append(s.Choices, choice)
	}
	return s, nil
}

func (o sashabaranov) stream(ctx context.Context, r sdkRequest, first func()) (said, error) {
	q := o.request(&r)
	if r.usage {
		q.StreamOptions = &openai.StreamOptions{IncludeUsage: true}
	}
	stream, err := o.CreateChatCompletionStream(ctx, q)
	if err != nil {
		return said{}, err
	}
	defer stream.Close()
	s := said{}
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err != nil {
			return s, err
		}
		if chunk.Usage != nil {
			s.Total += chunk.Usage.TotalTokens
		}
		for i := range chunk.Choices {
			s.fold(&chunk.Choices[i])
			if first != nil && chunk.Choices[i].Delta.Content != "" {
				first()
			}
		}
	}
}

// fold adds one choice of a chunk, as programs that use this library do.
func (s *said) fold(c *openai.ChatCompletionStreamChoice) {
	for len(s.Choices) <= c.Index {
		s.Choices = append(s.Choices, saidChoice{})
	}
	sum := &s.Choices[c.Index]
	sum.Content += c.Delta.Content
	sum.Refusal += c.Delta.Refusal
	sum.Reasoning += c.Delta.ReasoningContent
	sum.Finish += string(c.FinishReason)
	for _, t := range c.Delta.ToolCalls {
		for len(sum.Tools) <= *t.Index {
			sum.Tools = append(sum.Tools, saidTool{})
		}
		call := &sum.Tools[*t.Index]
		call.ID += t.ID
		call.Name += t.Function.Name
		call.Arguments += t.Function.Arguments
	}
	if c.Logprobs != nil {
		for _, p := range c.Logprobs.Content {
			sum.Tokens = append(sum.Tokens, p.Token)
		}
	}
}

func (o sashabaranov) models(ctx context.Context) ([]string, error) {
	list, err := o.ListModels(ctx)
	if err != nil {
		return nil, err
	}
	var ids []string
	for i := range list.Models {
		ids = append(ids, list.Models[i].ID)
	}
	return ids, nil
}

func (o sashabaranov) model(ctx context.Context, id string) (string, error) {
	m, err := o.GetModel(ctx, id)
	return m.ID, err
}

func (o sashabaranov) refused(err error) (refused, bool) {
	e, ok := errors.AsType[*openai.APIError](err)
	if !ok {
		return refused{}, false
	}
	r := refused{status: e.HTTPStatusCode, kind: e.Type, message: e.Message}
	if code, ok := e.Code.(string); ok { // null is the number 0 to this library
		r.code = code
	}
	return r, true
}
