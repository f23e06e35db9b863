package anthropic

import "github.com/go-json-experiment/json/jsontext"

// body is a request of the Messages API. Members that are zero are left out.
type body struct {
	Model         string         `json:"model"`
	MaxTokens     int            `json:"max_tokens"`
	System        any            `json:"system,omitzero"` // a string, or text blocks where one is a cache breakpoint
	Messages      []turn         `json:"messages"`
	Tools         []tool         `json:"tools,omitempty"`
	ToolChoice    *toolChoice    `json:"tool_choice,omitzero"`
	Temperature   *float64       `json:"temperature,omitzero"`
	TopP          *float64       `json:"top_p,omitzero"`
	TopK          *int64         `json:"top_k,omitzero"`
	StopSequences []string       `json:"stop_sequences,omitempty"`
	Metadata      *metadata      `json:"metadata,omitzero"`
	Thinking      jsontext.Value `json:"thinking,omitzero"`
	OutputConfig  *outputConfig  `json:"output_config,omitzero"`
	Stream        bool           `json:"stream"`
}

type turn struct {
	Role    string  `json:"role"`
	Content []block `json:"content"`
}

// block is a content block of any type; the members of other types stay zero.
type block struct {
	Type         string         `json:"type"`
	Text         string         `json:"text,omitzero"`
	Source       *source        `json:"source,omitzero"` // image, document
	Title        string         `json:"title,omitzero"`  // document
	ID           string         `json:"id,omitzero"`     // tool_use
	Name         string         `json:"name,omitzero"`
	Input        jsontext.Value `json:"input,omitzero"`
	ToolUseID    string         `json:"tool_use_id,omitzero"` // tool_result
	Content      []block        `json:"content,omitempty"`
	CacheControl jsontext.Value `json:"cache_control,omitzero"`
}

type source struct {
	Type      string `json:"type"` // base64, url, text
	MediaType string `json:"media_type,omitzero"`
	Data      string `json:"data,omitzero"`
	URL       string `json:"url,omitzero"`
}

type tool struct {
	Name         string         `json:"name"`
	Description  string         `json:"description,omitzero"`
	InputSchema  jsontext.Value `json:"input_schema"`
	Strict       bool           `json:"strict,omitzero"`
	CacheControl jsontext.Value `json:"cache_control,omitzero"`
}

type toolChoice struct {
	Type            string `json:"type"` // auto, any, tool, none
	Name            string `json:"name,omitzero"`
	DisableParallel bool   `json:"disable_parallel_tool_use,omitzero"`
}

type metadata struct {
	UserID string `json:"user_id"`
}

type outputConfig struct {
	Effort string        `json:"effort,omitzero"`
	Format *outputFormat `json:"format,omitzero"`
}

type outputFormat struct {
	Type   string         `json:"type"` // json_schema
	Schema jsontext.Value `json:"schema"`
}

// hasCacheControl reports whether a cache breakpoint is set on any of blocks.
func hasCacheControl(blocks []block) bool {
	for i := range blocks {
		if blocks[i].CacheControl != nil {
			return true
		}
	}
	return false
}
