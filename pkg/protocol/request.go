package protocol

// Request is a chat completion request that passed validation.
type Request struct {
	Model        string
	Stream       bool
	IncludeUsage bool              // stream_options.include_usage
	ServiceTier  string            // "" if absent
	N            int               // 1 if absent
	MaxTokens    int               // max_completion_tokens, else max_tokens; 0 if absent
	Background   bool              // answer at once, run later; implies Store
	Store        bool              // keep the completion
	Metadata     map[string]string // nil if absent
	Body         []byte            // the JSON object as it came; never modified
}

// ParseRequest validates the body of a chat completion request: strict JSON,
// then a model, then the messages, then everything else that requestSchema knows;
// the error, always an *Error for the caller's eyes, is the first fault in that
// order. Its memory is bounded by the size of body, which is retained and must
// not change afterwards.
func ParseRequest(body []byte) (*Request, error) {
	if err := validate(body); err != nil {
		return nil, err
	}
	r, err := DecodeRequest(body)
	if err != nil {
		return nil, err
	}
	if r.Background && !r.Store {
		return nil, errNotStored()
	}
	return r, nil
}
