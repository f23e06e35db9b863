package echo

import (
	"context"
	"fmt"
	"time"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/protocol"
)

// Name is what the model is called.
const Name = "echo"

// created is when the model was: a constant, so that lists compare equal.
const created = 1712678400

// Provider is the built-in model. The zero value is ready; it is safe for
// concurrent use and has no state.
type Provider struct{}

// New returns the model.
func New() *Provider { return &Provider{} }

// Models implements provider.Provider: the model itself.
func (*Provider) Models(context.Context) ([]provider.Model, error) {
	return []provider.Model{{ID: Name, Created: created, OwnedBy: "osiris"}}, nil
}

// Complete implements provider.Provider. Knobs that make no sense are a 400.
func (*Provider) Complete(ctx context.Context, req *provider.Request, out provider.Output) error {
	k, fault := parseKnobs(req.Model, req.Chat.Metadata)
	if fault != nil {
		return &provider.Error{Public: fault}
	}
	p, err := readPrompt(req.Chat)
	if err != nil {
		return &provider.Error{Public: protocol.ErrBadJSON(), Cause: fmt.Errorf("echo: %w", err)}
	}
	pl := player{
		clock:  newClock(req),
		prompt: p,
		knobs:  &k,
		script: write(p, &k, req.JobID),
		stream: req.Stream,
		out:    out,
	}
	if err := pl.play(ctx); err != nil || req.Stream {
		return err
	}
	body, err := pl.completion(req, time.Now())
	if err != nil {
		return &provider.Error{Public: protocol.ErrInternal(), Cause: fmt.Errorf("echo: %w", err)}
	}
	return out.Answer(body)
}
