package openai

import (
	"flag"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/providertest"
	"github.com/osiris/osiris/internal/provider/upstream"
)

var update = flag.Bool("update", false, "rewrite what the fixtures expect")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newProvider makes an adapter as a fixture's options ask.
func newProvider(t testing.TB, baseURL string, client *upstream.Client, options map[string]string) provider.Provider {
	t.Helper()
	cfg := Config{
		BaseURL:         baseURL,
		Key:             providertest.Key,
		KeyHeader:       options["key-header"],
		Path:            options["path"],
		TokensField:     options["tokens-field"],
		NoDeveloper:     options["no-developer"] == "true",
		NoStreamOptions: options["no-stream-options"] == "true",
		KeepStore:       options["keep-store"] == "true",
	}
	if options["base-url"] != "" {
		cfg.BaseURL = options["base-url"]
	}
	if name, value, ok := strings.Cut(options["query"], "="); ok {
		cfg.Query = map[string]string{name: value}
	}
	if name, value, ok := strings.Cut(options["header"], "="); ok {
		cfg.Header = map[string][]string{name: {value}}
	}
	p, err := New(cfg, client)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func suite() providertest.Suite {
	return providertest.Suite{
		New:      newProvider,
		Fixtures: "testdata",
		Update:   *update,
		Begin:    event(`{"role":"assistant","content":"","refusal":null}`, "null"),
		Text:     func(text string) string { return event(`{"content":"`+text+`"}`, "null") },
		End:      event(`{}`, `"stop"`) + "data: [DONE]\n\n",
		Ping:     ": keep-alive\n\n",
		Refusal: func(_ int, message string) string {
			return `{"error":{"message":"` + message + `","type":"some_error","param":null,"code":null}}`
		},
	}
}

func event(delta, finish string) string {
	return `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1712678400,"model":"m","choices":[{"index":0,"delta":` +
		delta + `,"logprobs":null,"finish_reason":` + finish + `}]}` + "\n\n"
}

func TestConformance(t *testing.T) { providertest.Run(t, suite()) }
