package openai

import (
	"bytes"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/protocol"
)

const (
	fieldMaxTokens           = "max_tokens"
	fieldMaxCompletionTokens = "max_completion_tokens"
)

// body is what goes upstream for req: the client's, with as few edits as possible.
func (c *Config) body(req *provider.Request) ([]byte, error) {
	chat := req.Chat
	model, err := jsontext.AppendQuote(nil, req.Model)
	if err != nil {
		return nil, err
	}
	edits := make([]protocol.Member, 0, 8)
	edits = append(edits, protocol.Member{Name: "model", Value: model}, protocol.Member{Name: "background"})
	if !c.KeepStore {
		edits = append(edits, protocol.Member{Name: "store"}, protocol.Member{Name: "metadata"})
	}
	if edits, err = c.streaming(edits, req); err != nil {
		return nil, err
	}
	edits = c.tokens(edits, chat)
	if c.NoDeveloper {
		if edits, err = withoutDeveloper(edits, chat.Body); err != nil {
			return nil, err
		}
	}
	return protocol.EditObject(make([]byte, 0, len(chat.Body)+len(model)+128), chat.Body, edits...)
}

// streaming edits stream and stream_options. A client that asked for no stream, and
// gets none, has both as it sent them.
func (c *Config) streaming(edits []protocol.Member, req *provider.Request) ([]protocol.Member, error) {
	switch {
	case req.Stream && c.NoStreamOptions:
		return append(edits, protocol.Member{Name: "stream", Value: []byte("true")}, protocol.Member{Name: "stream_options"}), nil
	case req.Stream:
		edits = append(edits, protocol.Member{Name: "stream", Value: []byte("true")})
		if req.Chat.Stream && req.Chat.IncludeUsage {
			return edits, nil
		}
		options, err := withUsage(req.Chat.Body)
		return append(edits, protocol.Member{Name: "stream_options", Value: options}), err
	case req.Chat.Stream:
		return append(edits, protocol.Member{Name: "stream", Value: []byte("false")}, protocol.Member{Name: "stream_options"}), nil
	default:
		return edits, nil
	}
}

// withUsage returns the body's stream_options with include_usage set.
func withUsage(body []byte) ([]byte, error) {
	only := []byte(`{"include_usage":true}`)
	if !bytes.Contains(body, []byte(`"stream_options"`)) {
		return only, nil
	}
	var v struct {
		Options jsontext.Value `json:"stream_options"`
	}
	if err := json.Unmarshal(body, &v, lenient()); err != nil {
		return nil, err
	}
	if v.Options.Kind() != '{' {
		return only, nil
	}
	return protocol.EditObject(nil, v.Options, protocol.Member{Name: "include_usage", Value: []byte("true")})
}

// tokens renames the limit that the server does not know.
func (c *Config) tokens(edits []protocol.Member, chat *protocol.Request) []protocol.Member {
	var unknown string
	switch c.TokensField {
	case fieldMaxTokens:
		unknown = fieldMaxCompletionTokens
	case fieldMaxCompletionTokens:
		unknown = fieldMaxTokens
	default:
		return edits
	}
	if !bytes.Contains(chat.Body, []byte(`"`+unknown+`"`)) {
		return edits
	}
	edits = append(edits, protocol.Member{Name: unknown})
	if chat.MaxTokens > 0 {
		edits = append(edits, protocol.Member{Name: c.TokensField, Value: strconv.AppendInt(nil, int64(chat.MaxTokens), 10)})
	}
	return edits
}

// withoutDeveloper gives messages of the role developer the role system.
func withoutDeveloper(edits []protocol.Member, body []byte) ([]protocol.Member, error) {
	if !bytes.Contains(body, []byte("developer")) {
		return edits, nil
	}
	var v struct {
		Messages []jsontext.Value `json:"messages"`
	}
	if err := json.Unmarshal(body, &v, lenient()); err != nil {
		return nil, err
	}
	messages := []byte{'['}
	for i, m := range v.Messages {
		if i > 0 {
			messages = append(messages, ',')
		}
		var head struct {
			Role string `json:"role"`
		}
		var err error
		if json.Unmarshal(m, &head, lenient()) == nil && head.Role == "developer" {
			messages, err = protocol.EditObject(messages, m, protocol.Member{Name: "role", Value: []byte(`"system"`)})
		} else {
			messages = append(messages, m...)
		}
		if err != nil {
			return nil, err
		}
	}
	return append(edits, protocol.Member{Name: "messages", Value: append(messages, ']')}), nil
}

// lenient reads what servers and old clients write: of a repeated name the last wins.
func lenient() json.Options {
	return json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}
