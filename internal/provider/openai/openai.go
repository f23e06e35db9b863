package openai

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/upstream"
	"github.com/osiris/osiris/pkg/protocol"
)

// DefaultBaseURL is OpenAI's own server.
const DefaultBaseURL = "https://api.openai.com/v1"

// Config says where a server is and how to call it.
type Config struct {
	BaseURL   string            // what the paths are appended to, such as https://host/v1; DefaultBaseURL if empty
	Key       string            // none is sent if empty
	KeyHeader string            // where the key goes as it is, such as "api-key"; "": Authorization: Bearer
	Header    http.Header       // added to every call
	Query     map[string]string // added to every URL, such as api-version
	// Path of a completion; {model} stands for the server's name for the model, as in
	// Azure's /openai/deployments/{model}/chat/completions. "": /chat/completions.
	Path       string
	ModelsPath string // of the model list; "": /models

	// TokensField is the only one of max_tokens and max_completion_tokens that the
	// server knows; the other is renamed to it. "": both go as they came.
	TokensField string
	// NoDeveloper sends messages of the role developer as system.
	NoDeveloper bool
	// NoStreamOptions is for servers that refuse stream_options: no usage is asked for.
	NoStreamOptions bool
	// KeepStore sends store and metadata on instead of keeping them to Osiris.
	KeepStore bool
}

// Provider calls one server. It is safe for concurrent use.
type Provider struct {
	cfg    Config
	client *upstream.Client
	base   *url.URL
	same   string      // a completion's address; "" if that depends on the model
	header http.Header // of every call; never modified
}

// New returns a provider for the server of cfg, calling it through client. It calls
// nothing yet. The error reports every fault of cfg.
func New(cfg Config, client *upstream.Client) (*Provider, error) {
	if cfg.BaseURL == "" {
		cfg.BaseURL = DefaultBaseURL
	}
	if cfg.Path == "" {
		cfg.Path = "/chat/completions"
	}
	if cfg.ModelsPath == "" {
		cfg.ModelsPath = "/models"
	}
	base, err := parseBase(cfg.BaseURL)
	if err != nil {
		err = fmt.Errorf("base url: %w", err)
	}
	switch cfg.TokensField {
	case "", fieldMaxTokens, fieldMaxCompletionTokens:
	default:
		err = errors.Join(err, fmt.Errorf("tokens field: %q is neither %s nor %s", cfg.TokensField, fieldMaxTokens, fieldMaxCompletionTokens))
	}
	if strings.ContainsAny(cfg.Key, "\r\n\x00") {
		err = errors.Join(err, errors.New("key: contains a line break"))
	}
	if err != nil {
		return nil, fmt.Errorf("openai: %w", err)
	}
	p := &Provider{cfg: cfg, client: client, base: base, header: makeHeader(&cfg)}
	if !strings.Contains(cfg.Path, "{model}") {
		p.same = p.address(cfg.Path, "")
	}
	return p, nil
}

func makeHeader(cfg *Config) http.Header {
	h := http.Header{}
	for name, values := range cfg.Header {
		h[http.CanonicalHeaderKey(name)] = values
	}
	h.Set("Content-Type", "application/json")
	h.Set("Accept", "application/json, text/event-stream")
	h.Set("Accept-Encoding", "identity")
	if h.Get("User-Agent") == "" {
		h.Set("User-Agent", "osiris")
	}
	switch {
	case cfg.Key == "":
	case cfg.KeyHeader == "" || strings.EqualFold(cfg.KeyHeader, "Authorization"):
		h.Set("Authorization", "Bearer "+strings.TrimSpace(strings.TrimPrefix(cfg.Key, "Bearer ")))
	default:
		h.Set(cfg.KeyHeader, cfg.Key)
	}
	return h
}

// parseBase reads a base URL as users paste it: with a slash at the end, or with
// the whole path of a completion.
func parseBase(base string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(base))
	if err != nil {
		return nil, errors.New("not a URL") // the parser's text repeats what may hold a password
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("must be http:// or https:// and a host")
	}
	u.Path = strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/chat/completions")
	u.RawPath, u.Fragment = "", ""
	return u, nil
}

// address returns the URL of a path below the base.
func (p *Provider) address(path, model string) string {
	u := *p.base
	if strings.Contains(path, "{model}") {
		// Escaped once here and kept so: a deployment's name may have a slash.
		u.RawPath = u.EscapedPath() + strings.ReplaceAll(path, "{model}", url.PathEscape(model))
		path = strings.ReplaceAll(path, "{model}", model)
	}
	u.Path += path
	if len(p.cfg.Query) > 0 {
		query := u.Query()
		for name, value := range p.cfg.Query {
			query.Set(name, value)
		}
		u.RawQuery = query.Encode()
	}
	return u.String()
}

// Complete implements provider.Provider.
func (p *Provider) Complete(ctx context.Context, req *provider.Request, out provider.Output) error {
	body, err := p.cfg.body(req)
	if err != nil {
		return &provider.Error{Public: protocol.ErrBadJSON(), Cause: fmt.Errorf("edit request: %w", err)}
	}
	address := p.same
	if address == "" {
		address = p.address(p.cfg.Path, req.Model)
	}
	call, err := p.client.Do(ctx, &upstream.Request{
		URL:    address,
		Header: p.header,
		ID:     req.JobID,
		Body:   body,
		Limits: limits(req),
		Model:  req.Chat.Model,
		Waits:  out.Flush,
	})
	if err != nil {
		return err
	}
	defer call.Abort() // does nothing after Close
	a := answer{call: call, model: req.Chat.Model, choices: max(req.Chat.N, 1), out: out}
	if err := a.read(); err != nil {
		return err
	}
	call.Close()
	return nil
}

// limits returns the call's limits. A plain call has no tokens to wait for: nothing
// comes before the whole answer, so its total limit holds for the first byte too.
func limits(req *provider.Request) provider.Limits {
	l := req.Limits
	if !req.Stream && l.Total > 0 {
		l.FirstToken = l.Total
	}
	return l
}
