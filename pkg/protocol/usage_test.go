package protocol

import (
	"errors"
	"testing"
)

func TestParseUsage(t *testing.T) {
	for raw, want := range map[string]Usage{
		`{"prompt_tokens":1,"completion_tokens":2,"total_tokens":9}`:                                 {PromptTokens: 1, CompletionTokens: 2, TotalTokens: 9},
		`{"prompt_tokens":1.0,"completion_tokens":null,"x":[{}]}`:                                    {PromptTokens: 1, TotalTokens: 1},
		`{"prompt_tokens":-4,"total_tokens":"7","prompt_tokens_details":null}`:                       {},
		`{"prompt_tokens_details":{"cached_tokens":3,"cache_write_tokens":4,"audio_tokens":0}}`:      {CachedTokens: 3, CacheWriteTokens: 4},
		`{"completion_tokens":1e2,"completion_tokens_details":{"reasoning_tokens":5}}`:               {CompletionTokens: 100, TotalTokens: 100, ReasoningTokens: 5},
		`{"prompt_tokens":9,"prompt_cache_hit_tokens":8,"total_tokens":1e300,"completion_tokens":0}`: {PromptTokens: 9, TotalTokens: 9, CachedTokens: 8},
		`{}`: {},
	} {
		if got, err := ParseUsage([]byte(raw)); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", raw, got, err, want)
		}
	}
	for _, raw := range []string{"", "[]", "null", `{"a":}`, `{"a":1}x`} {
		if _, err := ParseUsage([]byte(raw)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v, want ErrMalformed", raw, err)
		}
	}
}
