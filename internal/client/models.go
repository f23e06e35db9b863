package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/osiris/osiris/pkg/protocol"
)

// Models lists the models that the key may use.
func (c *Client) Models(ctx context.Context) ([]string, error) {
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := c.call(ctx, request{method: http.MethodGet, path: "models"}, &list); err != nil {
		return nil, err
	}
	names := make([]string, 0, len(list.Data))
	for _, m := range list.Data {
		names = append(names, m.ID)
	}
	return names, nil
}

// Serves reports whether the key may use a model. It asks once; the error says that
// the server could not be asked, or does not know its models by name.
func (c *Client) Serves(ctx context.Context, model string) (bool, error) {
	var m struct {
		ID string `json:"id"`
	}
	err := c.once(ctx, request{method: http.MethodGet, path: "models/" + url.PathEscape(model), limit: lookLimit}, &m)
	if e, ok := errors.AsType[*protocol.Error](err); ok && e.Status == http.StatusNotFound && e.Code == "model_not_found" {
		return false, nil
	}
	return true, err
}
