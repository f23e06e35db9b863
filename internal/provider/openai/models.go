package openai

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/upstream"
	"github.com/osiris/osiris/pkg/protocol"
)

// Models implements provider.Provider: what GET /models lists, in the server's
// order, each name once. It takes at most half a minute.
func (p *Provider) Models(ctx context.Context) ([]provider.Model, error) {
	call, err := p.client.Do(ctx, &upstream.Request{
		URL:    p.address(p.cfg.ModelsPath, ""),
		Header: p.header,
		Limits: provider.Limits{Connect: 10 * time.Second, Total: 30 * time.Second},
	})
	if err != nil {
		return nil, err
	}
	defer call.Abort()
	body, err := call.ReadAll(nil)
	if err != nil {
		return nil, call.Fail(err)
	}
	call.Close()
	models, err := parseModels(body)
	if err == nil {
		return models, nil
	}
	if details := upstream.ParseError(body); details.Message != "" {
		return nil, upstream.EventError(details, "")
	}
	return nil, &provider.Error{
		Public:   protocol.ErrUpstream("The model's server sent a model list that could not be read."),
		Retry:    true,
		Fallback: true,
		Cause:    fmt.Errorf("read model list: %w", err),
	}
}

// listed is a model in all shapes seen: OpenAI's, Ollama's own, Gemini's own. The
// members are read one by one, since any may have an odd type.
type listed struct {
	ID      jsontext.Value `json:"id"`
	Name    jsontext.Value `json:"name"`
	Model   jsontext.Value `json:"model"`
	Created jsontext.Value `json:"created"`
	OwnedBy jsontext.Value `json:"owned_by"`
}

// parseModels reads {"data":[…]}, {"models":[…]} or a bare list, of objects or names.
func parseModels(body []byte) ([]provider.Model, error) {
	var list struct {
		Data   []jsontext.Value `json:"data"`
		Models []jsontext.Value `json:"models"`
	}
	var entries []jsontext.Value
	if err := json.Unmarshal(body, &entries, lenient()); err != nil {
		if err := json.Unmarshal(body, &list, lenient()); err != nil {
			return nil, err
		}
		if entries = list.Data; entries == nil {
			entries = list.Models
		}
		if entries == nil {
			return nil, errors.New("it has no data")
		}
	}
	models := make([]provider.Model, 0, len(entries))
	seen := make(map[string]bool, len(entries))
	for _, entry := range entries {
		m := parseModel(entry)
		if m.ID != "" && !seen[m.ID] {
			seen[m.ID] = true
			models = append(models, m)
		}
	}
	return models, nil
}

// parseModel returns a model without ID for an entry that makes no sense.
func parseModel(entry jsontext.Value) provider.Model {
	if id := text(entry); id != "" {
		return provider.Model{ID: id}
	}
	var v listed
	if json.Unmarshal(entry, &v, lenient()) != nil {
		return provider.Model{}
	}
	return provider.Model{
		ID:      strings.TrimPrefix(cmp.Or(text(v.ID), text(v.Name), text(v.Model)), "models/"),
		Created: unixTime(v.Created),
		OwnedBy: text(v.OwnedBy),
	}
}

// text is a JSON string's text, "" for any other value.
func text(v jsontext.Value) string {
	var s string
	if v.Kind() != '"' || json.Unmarshal(v, &s, lenient()) != nil {
		return ""
	}
	return s
}

// unixTime reads a number, whole or not, also in quotes.
func unixTime(v jsontext.Value) int64 {
	seconds, err := strconv.ParseFloat(strings.Trim(string(v), `"`), 64)
	if err != nil || !(seconds > 0 && seconds < 1<<53) {
		return 0
	}
	return int64(seconds)
}
