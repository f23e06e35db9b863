package integration

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
)

const modelName = "mock"

// chat is one request and what its answer must be: the same words.
type chat struct {
	frontend string
	stream   bool
	delayMS  int
	words    string
}

// newChat makes the i-th request of a mix: every other one streamed, on both frontends.
func (s *system) newChat(i, words, delayMS int) chat {
	random := rand.New(rand.NewPCG(uint64(i), 7))
	var text strings.Builder
	fmt.Fprintf(&text, "request %d:", i)
	for range words {
		fmt.Fprintf(&text, " %x", random.Uint32())
	}
	return chat{frontend: s.frontends[i/2%len(s.frontends)], stream: i%2 == 0, delayMS: delayMS, words: text.String()}
}

// completion is the part of an answer or a chunk that the tests look at.
type completion struct {
	Choices []struct {
		Message      struct{ Content string } `json:"message"`
		Delta        struct{ Content string } `json:"delta"`
		FinishReason *string                  `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		TotalTokens int `json:"total_tokens"`
	} `json:"usage"`
	Error *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// errBroken is a stream that ended correctly with an error event.
var errBroken = errors.New("the stream ended with an error event")

// send runs the request and checks the whole answer. Its error is errBroken for a
// stream that ended as a broken one must.
func (s *system) send(ctx context.Context, c *chat) error {
	resp, err := s.post(ctx, c)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // the status is the fault
		return fmt.Errorf("status %d: %s", resp.StatusCode, text)
	}
	if c.stream {
		return c.checkStream(resp.Body)
	}
	return c.checkAnswer(resp.Body)
}

func (s *system) post(ctx context.Context, c *chat) (*http.Response, error) {
	body, err := json.Marshal(map[string]any{
		"model": modelName, "stream": c.stream, "mock_delay_ms": c.delayMS,
		"messages": []any{map[string]string{"role": "user", "content": c.words}},
	})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.frontend+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+apiKey)
	req.Header.Set("Content-Type", "application/json")
	return s.client.Do(req)
}

func (c *chat) checkAnswer(body io.Reader) error {
	var answer completion
	if err := json.NewDecoder(body).Decode(&answer); err != nil {
		return err
	}
	switch {
	case len(answer.Choices) != 1:
		return fmt.Errorf("%d choices", len(answer.Choices))
	case answer.Choices[0].Message.Content != c.words:
		return fmt.Errorf("said %q, want %q", answer.Choices[0].Message.Content, c.words)
	case answer.Choices[0].FinishReason == nil || *answer.Choices[0].FinishReason != "stop":
		return errors.New("no finish reason")
	case answer.Usage == nil || answer.Usage.TotalTokens == 0:
		return errors.New("no usage")
	}
	return nil
}

// checkStream holds that the stream ends in one of the two ways there are: with a
// finish reason and [DONE] after the whole text, or with one error event, no finish
// reason, and a text that is right as far as it goes.
func (c *chat) checkStream(body io.Reader) error {
	var text strings.Builder
	var finished, broken, done bool
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if done {
			return fmt.Errorf("%q after [DONE]", data)
		}
		if data == "[DONE]" {
			done = true
			continue
		}
		var chunk completion
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			return fmt.Errorf("chunk %q: %w", data, err)
		}
		if broken || finished && len(chunk.Choices) > 0 {
			return fmt.Errorf("%q after the end", data)
		}
		broken = chunk.Error != nil
		for _, choice := range chunk.Choices {
			text.WriteString(choice.Delta.Content)
			finished = finished || choice.FinishReason != nil
		}
	}
	if err := lines.Err(); err != nil && !broken { // a broken stream is cut, so that it never looks whole
		return fmt.Errorf("stream cut without an error event: %w", err)
	}
	switch {
	case broken && !finished && strings.HasPrefix(c.words, text.String()):
		return errBroken
	case broken:
		return fmt.Errorf("an error event after %q, finished %v", text.String(), finished)
	case !finished || !done:
		return fmt.Errorf("stream ended without a closing frame after %q", text.String())
	case text.String() != c.words:
		return fmt.Errorf("said %q, want %q", text.String(), c.words)
	}
	return nil
}
