package anthropic

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/providertest"
	"github.com/osiris/osiris/internal/provider/upstream"
)

func TestConformance(t *testing.T) {
	providertest.Run(t, providertest.Suite{
		New: func(t testing.TB, baseURL string, client *upstream.Client, options map[string]string) provider.Provider {
			p, err := New(Config{
				BaseURL:      baseURL,
				Key:          providertest.Key,
				Beta:         strings.Fields(options["beta"]),
				OmitThinking: options["omit_thinking"] == "true",
			}, client)
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
		Fixtures: "testdata/streams",
		Update:   *update,
		Begin: event(`{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","usage":{"input_tokens":3,"output_tokens":1}}}`) +
			event(`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`),
		Text: func(text string) string {
			quoted := `"` + text + `"` // the suite's texts may hold escapes
			if !jsontext.Value(quoted).IsValid() {
				t.Fatalf("text %q", text)
			}
			return event(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":` + quoted + `}}`)
		},
		End: event(`{"type":"content_block_stop","index":0}`) +
			event(`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}`) +
			event(`{"type":"message_stop"}`),
		Ping: event(`{"type":"ping"}`),
		Refusal: func(status int, message string) string {
			return fmt.Sprintf(`{"type":"error","error":{"type":%q,"message":%q},"request_id":"req_1"}`, errorType(status), message)
		},
	})
}

// event frames data the way the API does, its type as the event's name.
func event(data string) string {
	kind, ok := member(jsontext.Value(data), "type")
	if !ok {
		return ""
	}
	return "event: " + text(kind) + "\ndata: " + data + "\n\n"
}

func errorType(status int) string {
	switch status {
	case 401:
		return "authentication_error"
	case 402:
		return "billing_error"
	case 403:
		return "permission_error"
	case 404:
		return "not_found_error"
	case 413:
		return "request_too_large"
	case 429:
		return "rate_limit_error"
	case 504:
		return "timeout_error"
	case 529:
		return "overloaded_error"
	}
	if status < 500 {
		return "invalid_request_error"
	}
	return "api_error"
}
