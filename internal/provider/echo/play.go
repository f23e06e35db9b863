package echo

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/upstream"
	"github.com/osiris/osiris/pkg/protocol"
)

// player says a script, or for a plain answer lets the time pass that it takes.
type player struct {
	clock  clock
	prompt *prompt
	knobs  *knobs
	script *script
	stream bool
	out    provider.Output

	chunk    protocol.Chunk // made anew for each piece, its memory kept
	text     []byte         // JSON text of a piece
	logprobs []byte
}

// wait passes time, after what was said is on its way.
func (p *player) wait(ctx context.Context, d time.Duration) error {
	if d > 0 {
		if err := p.out.Flush(); err != nil {
			return err
		}
	}
	return p.clock.pass(ctx, d)
}

// play says the script from its beginning to its end.
func (p *player) play(ctx context.Context) error {
	if err := p.wait(ctx, p.knobs.first); err != nil {
		return err
	}
	said, opened := 0, false
	for piece := range p.script.pieces() {
		if piece.kind != pieceCall {
			if p.knobs.fail.wanted() && said == p.knobs.fail.after {
				return p.fail(ctx)
			}
			if said > 0 {
				if err := p.wait(ctx, p.knobs.delay); err != nil {
					return err
				}
			}
			said++
		}
		if !opened {
			opened = true
			if err := p.open(); err != nil {
				return err
			}
		}
		if err := p.each(func(c *protocol.Choice) { p.fill(c, &piece, said) }); err != nil {
			return err
		}
	}
	if p.knobs.fail.wanted() {
		return p.fail(ctx)
	}
	return p.close()
}

// open says nothing, once for each choice, in order.
func (p *player) open() error {
	p.clock.started = true
	return p.each(func(*protocol.Choice) {})
}

// close says why each choice ends, and the usage.
func (p *player) close() error {
	if len(p.script.segments) == 0 {
		if err := p.open(); err != nil {
			return err
		}
		if err := p.each(func(c *protocol.Choice) { c.Content = []byte(`""`) }); err != nil {
			return err
		}
	}
	if err := p.each(func(c *protocol.Choice) { c.FinishReason = p.script.finish }); err != nil || p.knobs.noUsage || !p.stream {
		return err
	}
	p.chunk = protocol.Chunk{Choices: p.chunk.Choices[:0], Usage: p.usage()}
	return p.out.Chunk(&p.chunk)
}

// each sends one chunk for each choice, filled in by set.
func (p *player) each(set func(*protocol.Choice)) error {
	if !p.stream {
		return nil
	}
	for i := range p.prompt.choices {
		p.chunk.Choices = append(p.chunk.Choices[:0], protocol.Choice{Index: i})
		set(&p.chunk.Choices[0])
		if err := p.out.Chunk(&p.chunk); err != nil {
			return err
		}
	}
	return nil
}

// fill puts a piece, the nth token, into a choice.
func (p *player) fill(c *protocol.Choice, piece *piece, n int) {
	p.text = p.text[:0]
	switch piece.kind {
	case pieceReasoning:
		p.text = append(p.text, `"reasoning_content":`...)
		c.DeltaExtra = p.quote(piece.text)
	case pieceContent:
		c.Content = p.quote(piece.text)
		c.Logprobs = p.logprob(piece, n)
	case pieceRefusal:
		c.Refusal = p.quote(piece.text)
		c.Logprobs = p.logprob(piece, n)
	case pieceCall:
		name := jsonString(piece.call.tool.name)
		if piece.call.tool.legacy {
			c.FunctionName, c.FunctionArguments = name, []byte(`""`)
			return
		}
		c.ToolCalls = []protocol.ToolCall{{
			Index: piece.index, ID: jsonString(piece.call.id), Custom: piece.call.tool.custom, Name: name, Arguments: []byte(`""`),
		}}
	case pieceArguments:
		arguments := p.quote(piece.text)
		if piece.call.tool.legacy {
			c.FunctionArguments = arguments
			return
		}
		c.ToolCalls = []protocol.ToolCall{{Index: piece.index, Custom: piece.call.tool.custom, Arguments: arguments}}
	}
}

// quote appends s as a JSON string to the text of the piece.
func (p *player) quote(s string) []byte {
	p.text, _ = jsontext.AppendQuote(p.text, s) // invalid UTF-8 is replaced
	return p.text
}

func jsonString(s string) []byte {
	quoted, _ := jsontext.AppendQuote(nil, s)
	return quoted
}

func (p *player) usage() []byte {
	completion := p.script.tokens * p.prompt.choices
	u := fmt.Appendf(nil, `{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d`, p.prompt.tokens, completion, p.prompt.tokens+completion)
	if p.script.reasoning > 0 {
		u = append(u, `,"completion_tokens_details":{"reasoning_tokens":`...)
		u = strconv.AppendInt(u, int64(p.script.reasoning*p.prompt.choices), 10)
		u = append(u, '}')
	}
	return append(u, '}')
}

// fail ends the answer as the knobs ask.
func (p *player) fail(ctx context.Context) error {
	f := &p.knobs.fail
	switch {
	case f.hang:
		return p.wait(ctx, forever)
	case f.cut:
		return &provider.Error{
			Public:   protocol.ErrUpstream("The model's server ended its answer early."),
			Retry:    !p.clock.started,
			Fallback: true,
			Cause:    errors.New("echo: asked to cut the answer"),
		}
	default:
		return p.statusError()
	}
}

func (p *player) statusError() error {
	f := &p.knobs.fail
	message := f.text
	if message == "" {
		message = fmt.Sprintf("The model echo was asked to fail with status %d.", f.status)
	}
	e := upstream.StatusError(f.status, nil, upstream.Details{Message: message}, Name)
	if f.wait > 0 {
		e.RetryAfter = f.wait
		public := *e.Public
		public.RetryAfter = f.wait
		e.Public = &public
	}
	return e
}
