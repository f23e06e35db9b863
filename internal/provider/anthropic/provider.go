package anthropic

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/osiris/osiris/internal/provider"
)

// DefaultBaseURL is Anthropic's own server.
const DefaultBaseURL = "https://api.anthropic.com"

// version is the API version that the adapter speaks. Later ones refuse sampling
// parameters altogether.
const version = "2023-06-01"

// Config says where a Messages API is and how to call it.
type Config struct {
	BaseURL      string      // with or without a trailing /v1; DefaultBaseURL if empty
	Key          string      // sent as x-api-key; none if empty
	Header       http.Header // added to every call; must not carry the key
	Beta         []string    // values of anthropic-beta
	OmitThinking bool        // keep the model's thinking out of the answer
}

// Provider calls one Messages API. It is safe for concurrent use.
type Provider struct {
	base   string // ends with /v1
	header http.Header
	omit   bool
}

// New returns a provider for the server of cfg. It calls nothing.
func New(cfg Config) (*Provider, error) {
	base, err := versioned(cfg.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("anthropic base url: %w", err)
	}
	h := cfg.Header.Clone()
	if h == nil {
		h = make(http.Header)
	}
	h.Set("anthropic-version", version)
	if cfg.Key != "" {
		h.Set("x-api-key", cfg.Key)
	}
	if len(cfg.Beta) > 0 {
		h.Set("anthropic-beta", strings.Join(cfg.Beta, ","))
	}
	return &Provider{base: base, header: h, omit: cfg.OmitThinking}, nil
}

// Complete implements provider.Provider. It always calls out.Chunk, whether or not
// the client streams.
func (p *Provider) Complete(context.Context, *provider.Request, provider.Output) error {
	return errors.New("anthropic: not wired yet")
}

// Models implements provider.Provider.
func (p *Provider) Models(context.Context) ([]provider.Model, error) {
	return nil, errors.New("anthropic: not wired yet")
}

// versioned returns base with exactly one trailing /v1: users paste both forms.
func versioned(base string) (string, error) {
	if base == "" {
		base = DefaultBaseURL
	}
	u, err := url.Parse(base)
	if err != nil {
		return "", errors.New("not a URL") // the parser's text repeats what may hold a password
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", errors.New("must be http:// or https:// and a host")
	}
	return strings.TrimSuffix(strings.TrimRight(base, "/"), "/v1") + "/v1", nil
}
