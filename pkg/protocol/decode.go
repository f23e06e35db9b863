package protocol

import "github.com/go-json-experiment/json"

// DecodeRequest reads a request that ParseRequest accepted before, without
// validating it again. body is retained.
func DecodeRequest(body []byte) (*Request, error) {
	var v struct {
		Model         string `json:"model"`
		Stream        bool   `json:"stream"`
		StreamOptions struct {
			IncludeUsage bool `json:"include_usage"`
		} `json:"stream_options"`
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return nil, ErrBadJSON().Wrap(err)
	}
	return &Request{Model: v.Model, Stream: v.Stream, IncludeUsage: v.StreamOptions.IncludeUsage, N: 1, Body: body}, nil
}
