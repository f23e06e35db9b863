package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/osiris/osiris/pkg/protocol"
)

// client is a plain HTTP client of one API. Safe for concurrent use.
type client struct {
	url, key string // url ends in /v1
	http     *http.Client
}

func newClient(t *testing.T, url, key string) *client {
	t.Helper()
	return &client{url: url, key: key, http: newHTTP(t)}
}

// object is JSON made by hand.
type object = map[string]any

// chat is a request whose answer is the text itself, unless the model does otherwise.
func chat(model, text string, stream bool, more ...object) []byte {
	request := object{"model": model, "stream": stream, "messages": []object{{"role": "user", "content": text}}}
	for _, m := range more {
		maps.Copy(request, m)
	}
	b, err := json.Marshal(request)
	if err != nil {
		panic(err) // maps of strings and numbers always encode
	}
	return b
}

// post sends a request. Headers come as name and value by turns.
func (c *client) post(ctx context.Context, body []byte, headers ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/chat/completions", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return c.http.Do(req)
}

// answered is a whole HTTP answer.
type answered struct {
	status int
	header http.Header
	body   string
}

func (c *client) ask(t *testing.T, body []byte, headers ...string) answered {
	t.Helper()
	resp, err := c.post(t.Context(), body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read answer: %v after %d bytes", err, len(text))
	}
	return answered{resp.StatusCode, resp.Header, string(text)}
}

// refusal is the four-key envelope of an error.
type refusal struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

// readRefusal reads {"error":{…}} and nothing else, with all four keys.
func readRefusal(data string) (*refusal, error) {
	var envelope map[string]map[string]json.RawMessage
	if err := json.Unmarshal([]byte(data), &envelope); err != nil {
		return nil, err
	}
	if keys := envelope["error"]; len(envelope) != 1 || len(keys) != 4 {
		return nil, fmt.Errorf("not the four keys of an error: %s", data)
	}
	var whole struct {
		Error refusal `json:"error"`
	}
	if err := json.Unmarshal([]byte(data), &whole); err != nil {
		return nil, err
	}
	if whole.Error.Message == "" || whole.Error.Type == "" {
		return nil, fmt.Errorf("an error without message or type: %s", data)
	}
	return &whole.Error, nil
}

// completion is the part of a JSON answer that the tests look at.
type completion struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Choices []struct {
		Message struct {
			Role    string `json:"role"`
			Content string `json:"content"`
		} `json:"message"`
		FinishReason string `json:"finish_reason"`
	} `json:"choices"`
	Usage *protocol.Usage `json:"usage"`
}

// checkAnswer holds that body is a complete JSON answer that says text.
func checkAnswer(body, text string) error {
	var c completion
	if err := json.Unmarshal([]byte(body), &c); err != nil {
		return err
	}
	switch {
	case c.Object != "chat.completion" || !strings.HasPrefix(c.ID, "chatcmpl-"):
		return fmt.Errorf("object %q, id %q", c.Object, c.ID)
	case len(c.Choices) != 1 || c.Choices[0].Message.Role != "assistant" || c.Choices[0].FinishReason == "":
		return fmt.Errorf("not one finished choice: %s", short(body))
	case c.Choices[0].Message.Content != text:
		return fmt.Errorf("said %q, want %q", short(c.Choices[0].Message.Content), short(text))
	case c.Usage == nil:
		return errors.New("no usage")
	}
	return nil
}

// errBroken is a stream that ended correctly with an error event.
var errBroken = errors.New("ended with an error event")

// send makes one request whose answer must be text, and checks all of it. Its error
// is errBroken for a stream that broke as it must, a *statusError for a refusal.
func (c *client) send(ctx context.Context, body []byte, stream bool, text string) error {
	resp, err := c.post(ctx, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK && stream {
		s, err := readStream(resp.Body)
		if err != nil {
			return err
		}
		return s.check(text)
	}
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		r, err := readRefusal(string(answer))
		return errors.Join(&statusError{resp.StatusCode, r}, err)
	}
	return checkAnswer(string(answer), text)
}

// statusError is a refusal.
type statusError struct {
	status  int
	refusal *refusal
}

func (e *statusError) Error() string {
	if e.refusal == nil {
		return fmt.Sprintf("status %d", e.status)
	}
	return fmt.Sprintf("status %d: %s", e.status, e.refusal.Message)
}

// short keeps megabytes out of the log.
func short(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	for cut := most; ; cut-- {
		if utf8.RuneStart(s[cut]) {
			return fmt.Sprintf("%s… (%d bytes)", s[:cut], len(s))
		}
	}
}
