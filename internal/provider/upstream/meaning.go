package upstream

import (
	"net/http"
	"strings"
)

// or returns the server's message, or another where it had none.
func (d *Details) or(message string) string {
	if d.Message != "" {
		return d.Message
	}
	return message
}

// said is the details in one line for a log.
func (d *Details) said() string {
	parts := make([]string, 0, 3)
	for _, s := range []string{d.Type, d.Code, d.Message} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if len(parts) == 0 {
		return "nothing readable"
	}
	return strings.Join(parts, ": ")
}

// typeOr returns the server's error type if it is written as OpenAI writes types,
// else fallback: "Bad Request" or "BadRequestError" mean nothing to a client.
func (d *Details) typeOr(fallback string) string {
	known := d.Type == "requests" || d.Type == "tokens" || strings.HasSuffix(d.Type, "_error")
	if !known || strings.Trim(d.Type, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return fallback
	}
	return d.Type
}

// badKey recognises a refused key behind a status that does not say so.
func (d *Details) badKey() bool {
	return containsAny(d.Code+" "+d.Type, "invalid_api_key", "authentication_error") ||
		containsAny(d.Message, "api key not valid", "incorrect api key", "invalid api key")
}

// tooLong recognises a prompt that exceeds the model's context.
func (d *Details) tooLong() bool {
	return containsAny(d.Code+" "+d.Type, "context_length_exceeded", "exceed_context_size") ||
		containsAny(d.Message, "maximum context length", "context length exceeded", "exceeds the available context size",
			"prompt is too long", "context window", "longer than the model's context length",
			"inputs tokens + max_new_tokens", "exceeds the maximum number of tokens", "input token count exceeds")
}

// quota recognises an empty account, which OpenAI reports as 429.
func (d *Details) quota() bool {
	return containsAny(d.Code+" "+d.Type, "insufficient_quota", "credit_balance", "billing_error", "billing_hard_limit")
}

// status guesses the HTTP status that an error inside a 200 would have had.
func (d *Details) status() int {
	if d.Status != 0 {
		return d.Status
	}
	word := d.Type + " " + d.Code
	for _, guess := range statusWords() {
		if containsAny(word, guess.words...) {
			return guess.status
		}
	}
	if d.tooLong() {
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

type statusWord struct {
	status int
	words  []string
}

func statusWords() []statusWord {
	return []statusWord{
		{http.StatusUnauthorized, []string{"authentication", "invalid_api_key", "unauthorized"}},
		{http.StatusForbidden, []string{"permission", "forbidden"}},
		{http.StatusTooManyRequests, []string{"rate_limit", "too_many_requests", "resource_exhausted"}},
		{http.StatusNotFound, []string{"not_found", "notfound"}},
		{529, []string{"overloaded", "capacity"}},
		{http.StatusServiceUnavailable, []string{"unavailable"}},
		{http.StatusGatewayTimeout, []string{"timeout"}},
		{http.StatusRequestEntityTooLarge, []string{"request_too_large"}},
		{http.StatusBadRequest, []string{"invalid_request", "bad_request", "badrequest", "bad request", "invalid_argument",
			"context_length", "exceed_context_size", "content_filter", "validation"}},
	}
}

// containsAny reports whether s contains one of words, in any case.
func containsAny(s string, words ...string) bool {
	s = strings.ToLower(s)
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}
