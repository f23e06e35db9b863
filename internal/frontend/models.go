package frontend

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// listModels answers GET /v1/models: what the key may use of the catalogue.
func (s *Server) listModels(fc *fiber.Ctx, c *call) error {
	if err := s.identify(fc, c); err != nil {
		return err
	}
	models := s.catalogue.Models()
	list := make([]protocol.Model, 0, len(models))
	for _, m := range models {
		if c.key.Allows(m.ID) {
			list = append(list, wireModel(m))
		}
	}
	slices.SortFunc(list, func(a, b protocol.Model) int { return strings.Compare(a.ID, b.ID) })
	if len(fc.Request().Header.Peek("Anthropic-Version")) > 0 {
		return sendAnthropicModels(fc, list)
	}
	return sendJSON(fc, protocol.AppendModelList(nil, list))
}

// getModel answers GET /v1/models/{id}: any name that the key's requests may use, also
// one that is served and not listed. Ids contain slashes, plain or encoded.
func (s *Server) getModel(fc *fiber.Ctx, c *call) error {
	if err := s.identify(fc, c); err != nil {
		return err
	}
	id := c.param
	if len(id) > longestModel || !c.key.Allows(id) {
		return protocol.ErrModelNotFound(id)
	}
	models := s.catalogue.Models()
	if i := slices.IndexFunc(models, func(m jobs.Model) bool { return m.ID == id }); i >= 0 {
		return sendJSON(fc, protocol.AppendModel(nil, wireModel(models[i])))
	}
	if _, ok := s.catalogue.Pool(id); !ok {
		return protocol.ErrModelNotFound(id)
	}
	return sendJSON(fc, protocol.AppendModel(nil, wireModel(jobs.Model{ID: id})))
}

// wireModel keeps the member that clients need from being empty.
func wireModel(m jobs.Model) protocol.Model {
	if m.OwnedBy == "" {
		m.OwnedBy = "osiris"
	}
	return protocol.Model{ID: m.ID, Created: m.Created, OwnedBy: m.OwnedBy}
}

type anthropicModel struct {
	Type        string `json:"type"`
	ID          string `json:"id"`
	DisplayName string `json:"display_name"`
	CreatedAt   string `json:"created_at"`
}

type anthropicList struct {
	Data    []anthropicModel `json:"data"`
	HasMore bool             `json:"has_more"`
	FirstID *string          `json:"first_id"`
	LastID  *string          `json:"last_id"`
}

// sendAnthropicModels answers in the shape that Anthropic's SDKs read.
func sendAnthropicModels(fc *fiber.Ctx, models []protocol.Model) error {
	list := anthropicList{Data: make([]anthropicModel, 0, len(models))}
	for _, m := range models {
		list.Data = append(list.Data, anthropicModel{
			Type: "model", ID: m.ID, DisplayName: m.ID,
			CreatedAt: time.Unix(m.Created, 0).UTC().Format(time.RFC3339),
		})
	}
	if n := len(list.Data); n > 0 {
		list.FirstID, list.LastID = &list.Data[0].ID, &list.Data[n-1].ID
	}
	body, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return sendJSON(fc, body)
}
