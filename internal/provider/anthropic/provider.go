package anthropic

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/upstream"
	"github.com/osiris/osiris/pkg/protocol"
)

// DefaultBaseURL is Anthropic's own server.
const DefaultBaseURL = "https://api.anthropic.com"

// version is the API version that the adapter speaks. Later ones refuse sampling
// parameters altogether.
const version = "2023-06-01"

// maxEvent bounds one event of a stream, in bytes.
const maxEvent = 32 << 20

// Config says where a Messages API is and how to call it.
type Config struct {
	BaseURL      string      // with or without a trailing /v1; DefaultBaseURL if empty
	Key          string      // none is sent if empty
	KeyHeader    string      // where the key goes, as it is; x-api-key if empty
	Header       http.Header // added to every call
	Beta         []string    // values of anthropic-beta
	OmitThinking bool        // keep the model's thinking out of the answer
}

// Provider calls one Messages API. It is safe for concurrent use.
type Provider struct {
	base   string // ends with /v1
	header http.Header
	omit   bool
	client *upstream.Client
}

// New returns a provider for the server of cfg, which it calls through client. It
// calls nothing yet.
func New(cfg Config, client *upstream.Client) (*Provider, error) {
	base, err := versioned(cfg.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("anthropic base url: %w", err)
	}
	h := make(http.Header)
	for name, values := range cfg.Header {
		for _, v := range values {
			h.Add(name, v)
		}
	}
	h.Set("content-type", "application/json")
	h.Set("anthropic-version", version)
	if cfg.Key != "" {
		h.Set(cmp.Or(cfg.KeyHeader, "x-api-key"), cfg.Key)
	}
	if len(cfg.Beta) > 0 {
		h.Set("anthropic-beta", strings.Join(cfg.Beta, ","))
	}
	return &Provider{base: base, header: h, omit: cfg.OmitThinking, client: client}, nil
}

// Complete implements provider.Provider. It always calls out.Chunk, whether or not
// the client streams. What the server counts is handed to out in chunks of usage
// alone, the first before the answer begins; each replaces the one before.
func (p *Provider) Complete(ctx context.Context, req *provider.Request, out provider.Output) error {
	c, err := mapRequest(req)
	if err != nil {
		return err
	}
	answer, err := p.client.Do(ctx, &upstream.Request{
		URL:    p.base + "/messages",
		Header: p.header,
		Body:   c.body,
		Limits: req.Limits,
		Model:  req.Chat.Model,
		Waits:  out.Flush,
	})
	if err != nil {
		return openAI(err)
	}
	s := newStream(out, c, req.Chat.Model, p.omit, answer.Payload)
	if err := s.read(answer); err != nil {
		answer.Abort()
		return err
	}
	answer.Close()
	return nil
}

// read takes the answer to its end: events, or one message from a server that does
// not stream, whatever either calls itself.
func (s *stream) read(answer *upstream.Call) error {
	body := bufio.NewReaderSize(answer, 512) // the decoder's reads are larger and pass it by
	switch first, err := firstByte(body); {
	case err != nil && err != io.EOF:
		return answer.Fail(err)
	case first == '{':
		return s.readMessage(answer, body)
	}
	d := protocol.NewDecoder(body, maxEvent)
	for {
		e, err := d.Next()
		if err != nil {
			if err == io.EOF {
				return answer.EndedEarly()
			}
			return answer.Fail(err)
		}
		name := e.Name
		if e.Error {
			name = "error"
		}
		if done, err := s.event(name, e.Data); done || err != nil {
			return err
		}
	}
}

func (s *stream) readMessage(answer *upstream.Call, body io.Reader) error {
	data, err := io.ReadAll(body)
	if err != nil {
		return answer.Fail(err)
	}
	return s.whole(data)
}

// firstByte skips blanks and returns what comes after them without consuming it.
func firstByte(r *bufio.Reader) (byte, error) {
	for {
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		if !strings.ContainsRune(" \t\r\n", rune(b)) {
			return b, r.UnreadByte()
		}
	}
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
