package echo

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/osiris/osiris/pkg/protocol"
)

// prompt is what the model understands of a request.
type prompt struct {
	text        string // what is to be repeated
	afterTool   bool   // the last message is a tool's result
	tokens      int    // of all messages
	stop        []string
	maxTokens   int // 0: no limit
	choices     int
	logprobs    bool
	topLogprobs int
	format      string         // response_format's type
	schema      jsontext.Value // its schema; nil if none
	call        *tool          // demanded by tool_choice or function_call; nil if none
	tools       []tool
}

// tool is one that the client offers.
type tool struct {
	name   string
	schema jsontext.Value
	custom bool
	legacy bool // offered as functions
}

type message struct {
	Role      string  `json:"role"`
	Content   content `json:"content"`
	ToolCalls []struct {
		Function struct {
			Name      string `json:"name"`
			Arguments string `json:"arguments"`
		} `json:"function"`
		Custom struct {
			Name  string `json:"name"`
			Input string `json:"input"`
		} `json:"custom"`
	} `json:"tool_calls"`
}

// content is a message's content as text.
type content string

// UnmarshalJSONFrom implements json.UnmarshalerFrom: no copy of the raw content, which
// may be most of a large request, is made.
func (c *content) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	raw, err := dec.ReadValue()
	if err != nil {
		return err
	}
	*c = content(contentText(raw))
	return nil
}

type part struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Refusal  string `json:"refusal"`
	ImageURL struct {
		URL string `json:"url"`
	} `json:"image_url"`
	InputAudio struct {
		Data   string `json:"data"`
		Format string `json:"format"`
	} `json:"input_audio"`
	File struct {
		ID   string `json:"file_id"`
		Name string `json:"filename"`
		Data string `json:"file_data"`
	} `json:"file"`
}

// readPrompt reads a validated request.
func readPrompt(chat *protocol.Request) (*prompt, error) {
	var body struct {
		Messages       []message      `json:"messages"`
		Stop           jsontext.Value `json:"stop"`
		Logprobs       bool           `json:"logprobs"`
		TopLogprobs    int            `json:"top_logprobs"`
		ResponseFormat struct {
			Type   string `json:"type"`
			Schema struct {
				Schema jsontext.Value `json:"schema"`
			} `json:"json_schema"`
		} `json:"response_format"`
		offers
	}
	if err := json.Unmarshal(chat.Body, &body, lenient()); err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	p := &prompt{
		maxTokens:   chat.MaxTokens,
		choices:     max(chat.N, 1),
		logprobs:    body.Logprobs,
		topLogprobs: body.TopLogprobs,
		format:      body.ResponseFormat.Type,
		schema:      body.ResponseFormat.Schema.Schema,
		stop:        stopSequences(body.Stop),
		tools:       body.tools(),
	}
	p.call = body.demanded(p.tools)
	p.readMessages(body.Messages)
	return p, nil
}

func (p *prompt) readMessages(messages []message) {
	user := -1
	var last string
	for i := range messages {
		m := &messages[i]
		text := string(m.Content)
		p.tokens += countTokens(text)
		for _, c := range m.ToolCalls {
			p.tokens += countTokens(c.Function.Name) + countTokens(c.Function.Arguments) + countTokens(c.Custom.Name) + countTokens(c.Custom.Input)
		}
		last = text
		if m.Role == "user" {
			user, p.text = i, text
		}
		p.afterTool = m.Role == "tool" || m.Role == "function"
	}
	if user < 0 || p.afterTool {
		p.text = last
	}
}

// contentText is a message's content as text; what is no text is described.
func contentText(content jsontext.Value) string {
	switch content.Kind() {
	case '"':
		var s string
		_ = json.Unmarshal(content, &s, lenient())
		return s
	case '[':
		var parts []part
		_ = json.Unmarshal(content, &parts, lenient())
		texts := make([]string, len(parts))
		for i := range parts {
			texts[i] = parts[i].describe()
		}
		return strings.Join(texts, "")
	default:
		return ""
	}
}

func (p *part) describe() string {
	switch p.Type {
	case "text":
		return p.Text
	case "refusal":
		return p.Refusal
	case "image_url":
		return "[image: " + describeURL(p.ImageURL.URL) + "]"
	case "input_audio":
		return fmt.Sprintf("[audio: %s, %d bytes]", p.InputAudio.Format, decodedLen(p.InputAudio.Data))
	case "file":
		if p.File.Data == "" {
			return "[file: " + p.File.Name + p.File.ID + "]"
		}
		return "[file: " + strings.TrimPrefix(p.File.Name+", ", ", ") + describeURL(p.File.Data) + "]"
	default:
		return "[" + p.Type + "]"
	}
}

// describeURL shows an address as it is, and of a data URL its type and size.
func describeURL(url string) string {
	rest, ok := strings.CutPrefix(url, "data:")
	if !ok {
		return url
	}
	head, data, _ := strings.Cut(rest, ",")
	return fmt.Sprintf("%s, %d bytes", strings.TrimSuffix(head, ";base64"), decodedLen(data))
}

func decodedLen(data string) int {
	return base64.RawStdEncoding.DecodedLen(len(strings.TrimRight(data, "=")))
}

func stopSequences(v jsontext.Value) []string {
	var one string
	if v.Kind() == '"' && json.Unmarshal(v, &one, lenient()) == nil && one != "" {
		return []string{one}
	}
	var many []string
	if v.Kind() == '[' {
		_ = json.Unmarshal(v, &many, lenient())
	}
	return many
}

func lenient() json.Options {
	return json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}
