package providertest

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/internal/provider/upstream"
	"github.com/osiris/osiris/pkg/protocol"
)

// fixtures plays every fixture in every way the network might.
func (s *Suite) fixtures(t *testing.T) {
	for _, f := range readFixtures(t, s.Fixtures) {
		for i := range f.Calls {
			call := &f.Calls[i]
			t.Run(f.Name+"/"+call.Name, func(t *testing.T) {
				if !s.Update {
					t.Parallel()
				}
				p := s.newPlayer(t, f, call)
				p.wholeAndByByte(t, s.Update)
				p.cutEverywhere(t)
				p.brokenEverywhere(t)
			})
		}
	}
}

// player plays one response of a fixture to the adapter.
type player struct {
	suite    *Suite
	fixture  *Fixture
	call     *FixtureCall
	wire     *wire
	provider provider.Provider
	request  *provider.Request
	events   []string // of the whole response
	outcome  string
	finished int
}

func (s *Suite) newPlayer(t *testing.T, f *Fixture, call *FixtureCall) *player {
	t.Helper()
	chat, err := protocol.ParseRequest(f.Request)
	if err != nil {
		t.Fatalf("fixture's request: %v", err)
	}
	model := f.Options["model"]
	if model == "" {
		model = chat.Model
	}
	w := &wire{call: call, piece: whole, end: io.EOF, until: len(call.Body)}
	client := upstream.New(upstream.Config{Transport: w})
	t.Cleanup(client.Close)
	return &player{
		suite: s, fixture: f, call: call, wire: w,
		provider: s.New(t, "http://model.test/v1", client, f.Options),
		request:  &provider.Request{Model: model, Chat: chat, Stream: call.Name == "streaming", JobID: "0123456789abcdef"},
	}
}

// play lets the first until bytes of the body arrive, then end.
func (p *player) play(t *testing.T, piece func([]byte, int) int, until int, end error) (*Recorder, error) {
	t.Helper()
	p.wire.piece, p.wire.until, p.wire.end = piece, until, end
	r := &Recorder{}
	err := p.provider.Complete(t.Context(), p.request, r)
	if _, ok := errors.AsType[*provider.Error](err); err != nil && !ok {
		t.Fatalf("error is no *provider.Error: %v", err)
	}
	return r, err
}

func (p *player) wholeAndByByte(t *testing.T, update bool) {
	t.Helper()
	r, err := p.play(t, whole, len(p.call.Body), io.EOF)
	p.events, p.outcome, p.finished = r.Events, FormatOutcome(err), len(r.Finished)
	p.fixture.expect(t, update, p.call.Name+".sent", p.wire.sent)
	p.fixture.expect(t, update, p.call.Name+".events", strings.Join(append(slices.Clone(r.Events), p.outcome), "\n"))
	r, err = p.play(t, byByte, len(p.call.Body), io.EOF)
	p.same(t, "byte by byte", r, err)
}

// cutEverywhere lets the body arrive in two pieces, divided at every offset.
func (p *player) cutEverywhere(t *testing.T) {
	t.Helper()
	for offset := 1; offset < len(p.call.Body); offset++ {
		r, err := p.play(t, cutAt(offset), len(p.call.Body), io.EOF)
		if p.same(t, "cut", r, err); t.Failed() {
			t.Fatalf("in two pieces, cut at byte %d, before %.40q", offset, p.call.Body[offset:])
		}
	}
}

func (p *player) same(t *testing.T, how string, r *Recorder, err error) {
	t.Helper()
	if !slices.Equal(r.Events, p.events) || FormatOutcome(err) != p.outcome {
		t.Errorf("%s: other events than in one piece\n%s%s", how, r, FormatOutcome(err))
	}
}

// brokenEverywhere ends the body at every offset, by turns as a server that stops and
// as a connection that breaks: what came is a prefix of the events, and a success
// only if every finish reason was among it.
func (p *player) brokenEverywhere(t *testing.T) {
	t.Helper()
	if p.outcome != "end" || p.call.Header.Get("Content-Encoding") != "" {
		return
	}
	ends := []error{io.EOF, io.ErrUnexpectedEOF}
	for offset := range len(p.call.Body) {
		end := ends[offset%2]
		r, err := p.play(t, whole, offset, end)
		if len(r.Events) > len(p.events) || !slices.Equal(r.Events, p.events[:len(r.Events)]) {
			t.Fatalf("%v at byte %d: events are no prefix\n%s", end, offset, r)
		}
		if err == nil && (len(r.Finished) < p.finished || len(r.Events) == 0) {
			t.Fatalf("%v at byte %d: a truncated answer looks complete\n%s", end, offset, r)
		}
	}
}
