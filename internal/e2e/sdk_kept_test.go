package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/shared"
)

// kept is what the library does not know of a kept completion.
type kept struct {
	Status string
	Queue  *struct {
		Position int64
		Wait     *int64 `json:"wait_seconds"`
	}
	Error *struct{ Message, Type string }
}

func keptOf(t *testing.T, c *openai.ChatCompletion) kept {
	t.Helper()
	var k kept
	if err := json.Unmarshal([]byte(c.RawJSON()), &k); err != nil {
		t.Fatal(err)
	}
	return k
}

// storing asks for text again, to be stored.
func storing(name, text string, metadata shared.Metadata) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model: name, Messages: []openai.ChatCompletionMessageParamUnion{openai.SystemMessage("say it again"), openai.UserMessage(text)},
		Store: openai.Bool(true), Metadata: metadata,
	}
}

// TestSDKStoredCompletions: OpenAI's library stores, retrieves, lists, changes and
// deletes completions, unchanged.
func TestSDKStoredCompletions(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	completions := newOfficial(s.client).Chat.Completions
	var ids []string
	for i := range 5 {
		params := storing("up/"+words, fmt.Sprintf("number %d", i), shared.Metadata{"odd": strconv.Itoa(i % 2)})
		if i < 3 {
			c, err := completions.New(t.Context(), params)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, c.ID)
			continue
		}
		stream := completions.NewStreaming(t.Context(), params)
		var sum openai.ChatCompletionAccumulator
		for stream.Next() {
			sum.AddChunk(stream.Current())
		}
		if err := stream.Err(); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, sum.ID)
	}
	for i, id := range ids {
		eventually(t, patience, "the completion is there", func(ctx context.Context) error {
			c, err := completions.Get(ctx, id)
			if err == nil && (c.ID != id || len(c.Choices) != 1 || c.Choices[0].Message.Content != fmt.Sprintf("number %d", i) ||
				c.Choices[0].FinishReason != "stop" || c.Usage.TotalTokens == 0 || keptOf(t, c).Status != "completed") {
				err = errors.New(c.RawJSON())
			}
			return err
		})
	}
	for _, c := range []struct {
		params openai.ChatCompletionListParams
		want   []string
	}{
		{openai.ChatCompletionListParams{Limit: openai.Int(2)}, ids},
		{openai.ChatCompletionListParams{Limit: openai.Int(1), Order: openai.ChatCompletionListParamsOrderDesc}, []string{ids[4], ids[3], ids[2], ids[1], ids[0]}},
		{openai.ChatCompletionListParams{Metadata: shared.Metadata{"odd": "1"}}, []string{ids[1], ids[3]}},
		{openai.ChatCompletionListParams{Model: openai.String("none")}, nil},
	} {
		var got []string
		pages := completions.ListAutoPaging(t.Context(), c.params)
		for pages.Next() {
			got = append(got, pages.Current().ID)
		}
		if err := pages.Err(); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("list %+v: %v, %v, want %v", c.params, got, err, c.want)
		}
	}
	one := ids[0]
	if _, err := completions.Update(t.Context(), one, openai.ChatCompletionUpdateParams{Metadata: shared.Metadata{"team": "blue"}}); err != nil {
		t.Error(err)
	}
	if c, err := completions.Get(t.Context(), one); err != nil || !strings.Contains(c.RawJSON(), `"metadata":{"team":"blue"}`) {
		t.Errorf("after the update: %v, %s", err, c.RawJSON())
	}
	var roles, texts []string
	messages := completions.Messages.ListAutoPaging(t.Context(), one, openai.ChatCompletionMessageListParams{Limit: openai.Int(1)})
	for messages.Next() {
		m := messages.Current()
		roles, texts = append(roles, string(m.Role)), append(texts, m.Content)
		if m.ID != fmt.Sprintf("%s-%d", one, len(texts)-1) {
			t.Errorf("message id %s", m.ID)
		}
	}
	if err := messages.Err(); err != nil || !slices.Equal(texts, []string{"say it again", "number 0"}) {
		t.Errorf("messages: %v %v, %v", roles, texts, err)
	}
	if d, err := completions.Delete(t.Context(), one); err != nil || !d.Deleted || d.ID != one {
		t.Errorf("delete: %+v, %v", d, err)
	}
	_, err := completions.Get(t.Context(), one)
	if e, ok := errors.AsType[*openai.Error](err); !ok || e.StatusCode != 404 {
		t.Errorf("deleted: %v", err)
	}
}

// TestSDKBackground: a background request is polled until it is there, and cancelled
// while it runs.
func TestSDKBackground(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	completions := newOfficial(s.client).Chat.Completions
	released := make(chan struct{})
	s.model.on(words, func(c *upstreamCall) {
		select {
		case <-released:
			repeatWords(c)
		case <-c.Context().Done():
		}
	})
	background := option.WithJSONSet("background", true)
	var ids []string
	for i := range 2 {
		c, err := completions.New(t.Context(), storing("up/"+words, fmt.Sprintf("number %d", i), nil), background)
		if err != nil {
			t.Fatal(err)
		}
		if k := keptOf(t, c); k.Status != "queued" || len(c.Choices) != 0 || k.Queue == nil || k.Queue.Position < 1 || k.Queue.Wait == nil {
			t.Errorf("accepted: %s", c.RawJSON())
		}
		ids = append(ids, c.ID)
	}
	poll := func(id, status string) (c *openai.ChatCompletion) {
		t.Helper()
		eventually(t, patience, id+" is "+status, func(ctx context.Context) (err error) {
			if c, err = completions.Get(ctx, id); err == nil && keptOf(t, c).Status != status {
				err = errors.New(c.RawJSON())
			}
			return err
		})
		return c
	}
	for _, id := range ids {
		poll(id, "in_progress")
	}
	official := newOfficial(s.client)
	var cancelled openai.ChatCompletion
	if err := official.Post(t.Context(), "chat/completions/"+ids[1]+"/cancel", nil, &cancelled); err != nil || keptOf(t, &cancelled).Status != "cancelled" {
		t.Errorf("cancel: %v %s", err, cancelled.RawJSON())
	}
	s.model.await(t, patience, words, "one call is left", func(n callCount) bool { return n.open == 1 })
	close(released)
	if c := poll(ids[0], "completed"); c.Choices[0].Message.Content != "number 0" {
		t.Errorf("completed: %s", c.RawJSON())
	}
	poll(ids[1], "cancelled")
}
