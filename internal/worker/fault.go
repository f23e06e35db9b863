package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/protocol"
)

// complete calls p. A panic of an adapter, which some server's answer may one day
// find, ends this call and not the worker with all its other jobs.
func complete(ctx context.Context, p provider.Provider, req *provider.Request, out provider.Output) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &provider.Error{
				Public: protocol.ErrInternal(), Fallback: true,
				Operator: fmt.Sprintf("panic in the adapter: %v\n%s", v, debug.Stack()),
			}
		}
	}()
	return p.Complete(ctx, req, out)
}

// blame tells whose fault a call's error is: the target's, or that of the context
// or the queue. sent is what the queue refused, if it did.
func blame(ctx context.Context, err, sent error) (*provider.Error, error) {
	switch {
	case err == nil:
		return nil, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case sent != nil:
		return nil, sent
	}
	if fault, ok := errors.AsType[*provider.Error](err); ok && fault.Public != nil {
		return fault, nil
	}
	return &provider.Error{
		Public:   protocol.ErrUpstream("The model's server could not answer."),
		Fallback: true, Cause: err,
	}, nil
}

// health is what a call's outcome says about its target.
func health(fault *provider.Error, err error) result {
	switch {
	case err != nil:
		return abandoned
	case fault == nil:
		return succeeded
	case fault.Public.Status >= 500:
		return failed
	}
	return refused
}

// public is what the client sees of a fault: it names the model as the client
// did, and carries the whole fault as its cause.
func public(fault *provider.Error, t *target, model string) *protocol.Error {
	if fault.Public.Status == http.StatusNotFound {
		return protocol.ErrModelNotFound(model).Wrap(fault)
	}
	e := fault.Public.Wrap(fault)
	if t.model != model {
		e.Message = rename(e.Message, t.model, model)
	}
	if e.RetryAfter == 0 && (e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable) {
		e.RetryAfter = fault.RetryAfter
	}
	return e
}

// rename replaces a model's name in a server's message where it stands as a word
// of its own.
func rename(message, from, to string) string {
	var b strings.Builder
	for from != "" {
		i := strings.Index(message, from)
		if i < 0 {
			break
		}
		end := i + len(from)
		b.WriteString(message[:i])
		if (i == 0 || !nameByte(message[i-1])) && (end == len(message) || !nameByte(message[end]) || message[end] == '.') {
			b.WriteString(to)
		} else {
			b.WriteString(from)
		}
		message = message[end:]
	}
	b.WriteString(message)
	return b.String()
}

// nameByte reports whether c may be inside a model's name.
func nameByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80 || strings.IndexByte("-_./:", c) >= 0
}

// reason is the part of a fault that is fit for a log at the default level: never
// the words of a server, which may repeat the prompt.
func reason(fault *provider.Error) string {
	if e, ok := errors.AsType[net.Error](fault.Cause); ok {
		return e.Error()
	}
	return fault.Public.Type
}
