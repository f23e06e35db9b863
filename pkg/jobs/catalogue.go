package jobs

import "context"

// Model is one entry of the catalogue as GET /v1/models lists it.
type Model struct {
	ID      string `json:"id"`
	OwnedBy string `json:"owned_by"`
	Created int64  `json:"created"` // Unix seconds
}

// PoolModels is what the workers of one pool serve.
type PoolModels struct {
	Pool     string   `json:"pool"`
	Models   []Model  `json:"models"`
	Prefixes []string `json:"prefixes,omitempty"` // "openai/" routes every name that begins so
}

// Catalogue is a live view of which pool serves which model.
type Catalogue struct{}

func (c *Conn) PublishModels(ctx context.Context, m PoolModels) error  { return nil }
func (c *Conn) WatchCatalogue(ctx context.Context) (*Catalogue, error) { return &Catalogue{}, nil }
func (cat *Catalogue) Pool(model string) (pool string, ok bool)        { return "", false }
func (cat *Catalogue) Models() []Model                                 { return nil }
func (cat *Catalogue) Empty() bool                                     { return true }
func (cat *Catalogue) Changed() <-chan struct{}                        { return nil }
func (cat *Catalogue) Close()                                          {}
