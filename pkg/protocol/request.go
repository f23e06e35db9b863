package protocol

// Request is a chat completion request that passed validation.
type Request struct {
	Model        string
	Stream       bool
	IncludeUsage bool              // stream_options.include_usage
	ServiceTier  string            // "" if absent
	N            int               // 1 if absent
	MaxTokens    int               // max_completion_tokens, else max_tokens; 0 if absent
	Store        bool              //
	Metadata     map[string]string // nil if absent
	Body         []byte            // the JSON object as it came; never modified
}

// ParseRequest validates a chat completion request. body is retained and must not
// change afterwards. The error is always an *Error for the caller's eyes.
func ParseRequest(body []byte) (*Request, error) { return DecodeRequest(body) }
