package anthropic

import (
	"testing"

	"github.com/osiris/osiris/internal/provider"
)

func TestCapabilityOfKnownModels(t *testing.T) {
	rows := make(map[string]capability)
	for _, r := range table() {
		if _, twice := rows[r.prefix]; twice {
			t.Errorf("%s is there twice", r.prefix)
		}
		rows[r.prefix] = r.capability
	}
	for model, prefix := range map[string]string{
		"claude-3-haiku-20240307":                    "claude-3-haiku",
		"claude-3-5-sonnet-latest":                   "claude-3-5-sonnet",
		"claude-sonnet-4-20250514":                   "claude-sonnet-4",
		"us.anthropic.claude-sonnet-4-20250514-v1:0": "claude-sonnet-4",
		"claude-sonnet-4-5":                          "claude-sonnet-4-5",
		"claude-sonnet-4-5@20250929":                 "claude-sonnet-4-5",
		"anthropic/claude-opus-4.7:beta":             "claude-opus-4-7",
		"Claude-Opus-4-1-20250805":                   "claude-opus-4-1",
		"claude-sonnet-5":                            "claude-sonnet-5",
	} {
		if got := capabilityOf(model, provider.Profile{}); got != rows[prefix] {
			t.Errorf("%s is %+v, want the row of %s", model, got, prefix)
		}
	}
}

// TestCapabilityOfUnknownModels: a new version is not taken for the one before it.
func TestCapabilityOfUnknownModels(t *testing.T) {
	for model, want := range map[string]capability{
		"claude-sonnet-4-9":          {sampling: samplingNone, thinking: thinkingAdaptive, structured: true, output: 32000},
		"claude-opus-5-2-20270101":   {sampling: samplingNone, thinking: thinkingAdaptive, structured: true, output: 32000},
		"claude-haiku-6":             {sampling: samplingNone, thinking: thinkingNone, structured: true, output: 32000},
		"claude-":                    {sampling: samplingNone, thinking: thinkingNone, structured: true, output: 32000},
		"minimax-m4":                 {sampling: samplingFull, thinking: thinkingNone, output: 8192, prefill: true},
		"":                           {sampling: samplingFull, thinking: thinkingNone, output: 8192, prefill: true},
		"my-claude-sonnet-4-50-tune": {sampling: samplingNone, thinking: thinkingAdaptive, structured: true, output: 32000},
	} {
		if got := capabilityOf(model, provider.Profile{}); got != want {
			t.Errorf("%q is %+v, want %+v", model, got, want)
		}
	}
}

func TestProfileOverridesTheTable(t *testing.T) {
	no := false
	p := provider.Profile{Sampling: "full", Thinking: "none", StructuredOutput: &no, MaxOutput: 77}
	got := capabilityOf("claude-opus-4-7", p)
	want := capability{sampling: "full", thinking: "none", maxOutput: 77, output: 77, xhigh: true, max: true}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestFieldNamesAsOpenAIDoes(t *testing.T) {
	for pointer, want := range map[string]string{
		"/messages/1/content":               "messages[1].content",
		"/stop":                             "stop",
		"":                                  "",
		"/tools/0/function/parameters/x/12": "tools[0].function.parameters.x[12]",
	} {
		if got := field(pointer); got != want {
			t.Errorf("%q is %q, want %q", pointer, got, want)
		}
	}
}
