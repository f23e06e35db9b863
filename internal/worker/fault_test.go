package worker

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/protocol"
)

func TestPublicNamesTheClientsModel(t *testing.T) {
	up := &target{model: "gpt-x-2030", provider: "p"}
	for name, test := range map[string]struct {
		fault provider.Error
		want  string
	}{
		"not found": {
			provider.Error{Public: &protocol.Error{Status: http.StatusNotFound, Message: "no such deployment gpt-x-2030 at eu"}},
			"The model `fast` does not exist or you do not have access to it.",
		},
		"named": {
			provider.Error{Public: protocol.ErrUpstream("'gpt-x-2030' is too hot. Ask gpt-x-2030.")},
			"'fast' is too hot. Ask fast.",
		},
		"part of another word": {
			provider.Error{Public: protocol.ErrUpstream("try gpt-x-2030-mini or my-gpt-x-2030")},
			"try gpt-x-2030-mini or my-gpt-x-2030",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := public(&test.fault, up, "fast")
			if got.Message != test.want {
				t.Errorf("message is %q, not %q", got.Message, test.want)
			}
			if fault, ok := errors.AsType[*provider.Error](error(got)); !ok || fault != &test.fault {
				t.Error("the cause is lost")
			}
		})
	}
}

func TestPublicTellsWhenToComeBack(t *testing.T) {
	fault := provider.Error{Public: protocol.ErrRateLimit("slow", 0), RetryAfter: 4 * time.Second}
	if got := public(&fault, &target{}, "m"); got.RetryAfter != 4*time.Second || fault.Public.RetryAfter != 0 {
		t.Errorf("Retry-After is %v, the provider's became %v", got.RetryAfter, fault.Public.RetryAfter)
	}
}

func TestBlame(t *testing.T) {
	left, full := errors.New("client left"), errors.New("queue is gone")
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(left)
	own := &provider.Error{Public: protocol.ErrUpstream("bad")}
	for name, test := range map[string]struct {
		ctx       context.Context
		err, sent error
		fault     bool
		want      error
		result    result
	}{
		"fine":               {t.Context(), nil, nil, false, nil, succeeded},
		"target's":           {t.Context(), own, nil, true, nil, failed},
		"context's":          {ended, own, full, false, left, abandoned},
		"queue's":            {t.Context(), full, full, false, full, abandoned},
		"an adapter's slip":  {t.Context(), errors.New("odd"), nil, true, nil, failed},
		"no word for client": {t.Context(), &provider.Error{}, nil, true, nil, failed},
	} {
		t.Run(name, func(t *testing.T) {
			fault, err := blame(test.ctx, test.err, test.sent)
			if (fault != nil) != test.fault || !errors.Is(err, test.want) {
				t.Fatalf("got %v and %v", fault, err)
			}
			if got := health(fault, err); got != test.result {
				t.Errorf("health is %d, not %d", got, test.result)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	for status, want := range map[int]result{400: refused, 404: refused, 429: refused, 500: failed, 502: failed, 503: failed, 504: failed} {
		if got := health(&provider.Error{Public: &protocol.Error{Status: status}}, nil); got != want {
			t.Errorf("status %d means %d, not %d", status, got, want)
		}
	}
}

// TestReasonIsFitForALog: rule 10, no prompt and no key in a log line.
func TestReasonIsFitForALog(t *testing.T) {
	said := &provider.Error{Public: protocol.ErrUpstream("cannot parse: my secret diary"), Cause: errors.New("server said: my secret diary")}
	if got := reason(said); strings.Contains(got, "diary") {
		t.Errorf("reason is %q", got)
	}
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	if got := reason(&provider.Error{Public: protocol.ErrUpstream("x"), Cause: refused}); !strings.Contains(got, "refused") {
		t.Errorf("reason is %q", got)
	}
}

func TestPanicFailsOneCall(t *testing.T) {
	p := &scripted{script: []act{func(context.Context, provider.Output) error { panic("odd answer") }}}
	err := complete(t.Context(), p, &provider.Request{}, &output{})
	fault, ok := errors.AsType[*provider.Error](err)
	if !ok || fault.Public.Status != 500 || !fault.Fallback || !strings.Contains(fault.Operator, "odd answer") {
		t.Errorf("error is %#v", err)
	}
}
