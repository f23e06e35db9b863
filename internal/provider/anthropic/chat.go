package anthropic

import (
	"errors"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/protocol"
)

// chat is what the mapping needs of a chat completion request. Everything else is
// skipped while decoding: the API has no counterpart for it.
type chat struct {
	Messages         []message      `json:"messages"`
	Temperature      *float64       `json:"temperature"`
	TopP             *float64       `json:"top_p"`
	TopK             *int64         `json:"top_k"` // the API's own, as clients send it in extra_body
	Stop             words          `json:"stop"`
	User             string         `json:"user"`
	SafetyIdentifier string         `json:"safety_identifier"`
	Tools            []toolSpec     `json:"tools"`
	ToolChoice       choice         `json:"tool_choice"`
	Parallel         *bool          `json:"parallel_tool_calls"`
	Functions        []functionSpec `json:"functions"`
	FunctionCall     choice         `json:"function_call"`
	ReasoningEffort  string         `json:"reasoning_effort"`
	Thinking         jsontext.Value `json:"thinking"` // the API's own
	ResponseFormat   responseFormat `json:"response_format"`
}

type message struct {
	Role         string       `json:"role"`
	Content      content      `json:"content"`
	Refusal      string       `json:"refusal"`
	ToolCalls    []toolCall   `json:"tool_calls"`
	FunctionCall functionCall `json:"function_call"`
	ToolCallID   string       `json:"tool_call_id"`
}

type part struct {
	Type            string         `json:"type"`
	Text            string         `json:"text"`
	Refusal         string         `json:"refusal"`
	ImageURL        imageURL       `json:"image_url"`
	File            file           `json:"file"`
	CacheBreakpoint jsontext.Value `json:"prompt_cache_breakpoint"`
	CacheControl    jsontext.Value `json:"cache_control"` // the API's own
}

type imageURL struct {
	URL string `json:"url"`
}

type file struct {
	Name string `json:"filename"`
	Data string `json:"file_data"`
	ID   string `json:"file_id"`
}

type toolCall struct {
	ID       string       `json:"id"`
	Type     string       `json:"type"`
	Function functionCall `json:"function"`
	Custom   struct {
		Name  string `json:"name"`
		Input string `json:"input"`
	} `json:"custom"`
}

type functionCall struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

type toolSpec struct {
	Type         string         `json:"type"`
	Function     functionSpec   `json:"function"`
	CacheControl jsontext.Value `json:"cache_control"`
}

type functionSpec struct {
	Name        string         `json:"name"`
	Description string         `json:"description"`
	Parameters  jsontext.Value `json:"parameters"`
	Strict      bool           `json:"strict"`
}

type responseFormat struct {
	Type       string `json:"type"`
	JSONSchema struct {
		Name        string         `json:"name"`
		Description string         `json:"description"`
		Schema      jsontext.Value `json:"schema"`
		Strict      bool           `json:"strict"`
	} `json:"json_schema"`
}

// content is a string or an array of parts; null and absent are neither.
type content struct {
	text  string
	parts []part
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (c *content) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	switch d.PeekKind() {
	case '"':
		return json.UnmarshalDecode(d, &c.text)
	case 'n':
		return d.SkipValue()
	default:
		return json.UnmarshalDecode(d, &c.parts)
	}
}

// words is a string or an array of strings.
type words []string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (w *words) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() == '"' {
		*w = make(words, 1)
		return json.UnmarshalDecode(d, &(*w)[0])
	}
	return json.UnmarshalDecode(d, (*[]string)(w))
}

// choice is tool_choice or function_call: a word, or an object that names tools.
type choice struct {
	mode    string   // "", "none", "auto", "required", "one" of names, or "allowed"
	names   []string // of "one" and "allowed"
	require bool     // of "allowed"
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (c *choice) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	switch d.PeekKind() {
	case '"':
		return json.UnmarshalDecode(d, &c.mode)
	case 'n':
		return d.SkipValue()
	}
	type named struct {
		Name string `json:"name"`
	}
	var v struct {
		Name     string `json:"name"` // function_call
		Function named  `json:"function"`
		Custom   named  `json:"custom"`
		Allowed  struct {
			Mode  string     `json:"mode"`
			Tools []toolSpec `json:"tools"`
		} `json:"allowed_tools"`
		Type string `json:"type"`
	}
	if err := json.UnmarshalDecode(d, &v); err != nil {
		return err
	}
	if v.Type == "allowed_tools" {
		c.mode, c.require = "allowed", v.Allowed.Mode == "required"
		for _, t := range v.Allowed.Tools {
			c.names = append(c.names, t.Function.Name)
		}
		return nil
	}
	c.mode, c.names = "one", []string{v.Function.Name + v.Custom.Name + v.Name}
	return nil
}

// decodeChat reads a validated request body.
func decodeChat(b []byte) (*chat, error) {
	c := new(chat)
	err := json.Unmarshal(b, c, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err == nil {
		return c, nil
	}
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		param := field(string(e.JSONPointer))
		return nil, refuse(param, "invalid_type", "Invalid type for '%s'.", param)
	}
	return nil, &provider.Error{Public: protocol.ErrBadJSON(), Cause: err}
}

// field writes a JSON pointer the way OpenAI names fields: messages[1].content.
func field(pointer string) string {
	var b strings.Builder
	for s := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		switch {
		case s != "" && strings.Trim(s, "0123456789") == "":
			b.WriteString("[" + s + "]")
		case b.Len() > 0:
			b.WriteString("." + s)
		default:
			b.WriteString(s)
		}
	}
	return b.String()
}

// refuse is the error for a request that the API cannot take: the client is told
// the field and a remedy, and another target may serve the request as it is.
func refuse(param, code, format string, args ...any) *provider.Error {
	return &provider.Error{Public: protocol.ErrInvalid(param, code, format, args...), Fallback: true}
}
