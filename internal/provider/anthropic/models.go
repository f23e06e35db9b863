package anthropic

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/upstream"
	"github.com/osiris/osiris/pkg/protocol"
)

// maxPages bounds a model list: a server that always has more is broken.
const maxPages = 50

// modelPage is a page of the model list.
type modelPage struct {
	Data []struct {
		ID        string `json:"id"`
		CreatedAt string `json:"created_at"` // RFC 3339
		Created   int64  `json:"created"`    // of servers that answer in OpenAI's shape
		OwnedBy   string `json:"owned_by"`
	} `json:"data"`
	HasMore bool   `json:"has_more"`
	LastID  string `json:"last_id"`
}

// Models implements provider.Provider: it walks the pages of /v1/models.
func (p *Provider) Models(ctx context.Context) ([]provider.Model, error) {
	var models []provider.Model
	after := ""
	for range maxPages {
		page, err := p.modelPage(ctx, after)
		if err != nil {
			return nil, err
		}
		for _, m := range page.Data {
			if m.ID == "" {
				continue
			}
			entry := provider.Model{ID: m.ID, Created: m.Created, OwnedBy: m.OwnedBy}
			if at, err := time.Parse(time.RFC3339, m.CreatedAt); err == nil {
				entry.Created = max(at.Unix(), 0)
			}
			if entry.OwnedBy == "" {
				entry.OwnedBy = "anthropic"
			}
			models = append(models, entry)
		}
		if !page.HasMore || page.LastID == "" || page.LastID == after {
			break
		}
		after = page.LastID
	}
	return models, nil
}

func (p *Provider) modelPage(ctx context.Context, after string) (*modelPage, error) {
	query := url.Values{"limit": {"1000"}}
	if after != "" {
		query.Set("after_id", after)
	}
	call, err := p.client.Do(ctx, &upstream.Request{
		Method: http.MethodGet,
		URL:    p.base + "/models?" + query.Encode(),
		Header: p.header,
	})
	if err != nil {
		return nil, err
	}
	defer call.Close()
	data, err := call.ReadAll(nil)
	if err != nil {
		return nil, err
	}
	page := new(modelPage)
	if err := json.Unmarshal(data, page); err != nil || page.Data == nil {
		return nil, &provider.Error{
			Public: protocol.ErrUpstream("The model's server sent a model list that could not be read."),
			Retry:  true, Fallback: true,
			Cause: fmt.Errorf("read model list: %w", err),
		}
	}
	return page, nil
}
