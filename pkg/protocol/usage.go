package protocol

import (
	"fmt"
	"math"
	"strconv"
)

// Usage counts tokens. The zero value means that the provider said nothing.
type Usage struct {
	PromptTokens     int64 `json:"prompt_tokens"`
	CompletionTokens int64 `json:"completion_tokens"`
	TotalTokens      int64 `json:"total_tokens"` // as reported, never recomputed: some providers count reasoning only here

	CachedTokens     int64 `json:"cached_tokens,omitempty"`      // part of PromptTokens
	CacheWriteTokens int64 `json:"cache_write_tokens,omitempty"` // part of PromptTokens
	ReasoningTokens  int64 `json:"reasoning_tokens,omitempty"`
}

// appendJSON appends u as the usage object of an answer.
func (u Usage) appendJSON(dst []byte) []byte {
	return fmt.Appendf(dst, `{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,`+
		`"prompt_tokens_details":{"cached_tokens":%d},"completion_tokens_details":{"reasoning_tokens":%d}}`,
		u.PromptTokens, u.CompletionTokens, u.TotalTokens, u.CachedTokens, u.ReasoningTokens)
}

// usageMembers says which of the members that the schema requires are there, as
// whole numbers.
type usageMembers struct{ prompt, completion, total bool }

// Plus returns the sum of both.
func (u Usage) Plus(o Usage) Usage {
	return Usage{
		PromptTokens: u.PromptTokens + o.PromptTokens, CompletionTokens: u.CompletionTokens + o.CompletionTokens,
		TotalTokens: u.TotalTokens + o.TotalTokens, CachedTokens: u.CachedTokens + o.CachedTokens,
		CacheWriteTokens: u.CacheWriteTokens + o.CacheWriteTokens, ReasoningTokens: u.ReasoningTokens + o.ReasoningTokens,
	}
}

// ParseUsage reads a provider's usage object. It takes null and missing counts
// for 0, fractions for their whole part, and DeepSeek's prompt_cache_hit_tokens
// for cached tokens. Only a total that is missing is the sum of the others. The
// error has ErrMalformed in its chain.
func ParseUsage(raw []byte) (Usage, error) {
	u, _, err := parseUsage(raw)
	return u, err
}

func parseUsage(raw []byte) (u Usage, has usageMembers, err error) {
	s := spanScanner{data: raw}
	for name := range s.members {
		switch string(name) {
		case "prompt_tokens":
			u.PromptTokens, has.prompt = s.count()
		case "completion_tokens":
			u.CompletionTokens, has.completion = s.count()
		case "total_tokens":
			u.TotalTokens, has.total = s.count()
		case "prompt_tokens_details", "completion_tokens_details":
			s.usageDetails(&u)
		case "prompt_cache_hit_tokens", "cached_tokens":
			if n, _ := s.count(); u.CachedTokens == 0 {
				u.CachedTokens = n
			}
		default:
			s.value()
		}
	}
	if !s.end() {
		return Usage{}, usageMembers{}, fmt.Errorf("parse usage: %w", ErrMalformed)
	}
	if !has.total && u.TotalTokens == 0 {
		u.TotalTokens = min(u.PromptTokens, math.MaxInt64/2) + min(u.CompletionTokens, math.MaxInt64/2)
	}
	return u, has, nil
}

func (s *spanScanner) usageDetails(u *Usage) {
	if s.peek() != '{' {
		s.value()
		return
	}
	s.enter('{')
	for first := true; ; first = false {
		name, ok := s.member(first)
		if !ok {
			return
		}
		switch string(name) {
		case "cached_tokens":
			u.CachedTokens, _ = s.count()
		case "cache_write_tokens":
			u.CacheWriteTokens, _ = s.count()
		case "reasoning_tokens":
			u.ReasoningTokens, _ = s.count()
		default:
			s.value()
		}
	}
}

// count reads a number of tokens and reports whether it was said as one.
func (s *spanScanner) count() (n int64, whole bool) {
	raw := s.value()
	if n, ok := spanInt(raw); ok && n >= 0 {
		return int64(n), true
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || !(f > 0) || f >= math.MaxInt64 {
		return 0, false
	}
	return int64(f), false
}

// appendUsage appends the usage object raw with u's counts for those that the
// schema requires and raw does not have as whole numbers.
func appendUsage(dst, raw []byte) []byte {
	u, has, err := parseUsage(raw)
	if err != nil {
		return append(dst, "null"...)
	}
	if has.prompt && has.completion && has.total {
		return append(dst, raw...)
	}
	dst = append(dst, `{"prompt_tokens":`...)
	dst = strconv.AppendInt(dst, u.PromptTokens, 10)
	dst = append(dst, `,"completion_tokens":`...)
	dst = strconv.AppendInt(dst, u.CompletionTokens, 10)
	dst = append(dst, `,"total_tokens":`...)
	dst = strconv.AppendInt(dst, u.TotalTokens, 10)
	s := spanScanner{data: raw}
	s.enter('{')
	for first := true; ; first = false {
		name, ok := s.member(first)
		if !ok {
			return append(dst, '}')
		}
		at := s.nameAt
		s.value()
		switch string(name) {
		case "prompt_tokens", "completion_tokens", "total_tokens":
		default:
			dst = append(append(dst, ','), raw[at:s.pos]...)
		}
	}
}
