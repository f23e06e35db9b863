package providertest

import (
	"errors"
	"net/http"
	"testing"

	"github.com/osiris/osiris/internal/provider/upstream"
)

// flush tests that nothing that arrived waits for what has not: a server goes on only
// once what it said before was flushed.
func (s *Suite) flush(t *testing.T) {
	flushed := make(chan struct{}, 64)
	srv := newServer(t, func(_ *server, w http.ResponseWriter, r *http.Request) {
		for _, part := range []string{s.Begin + s.Text("one"), s.Text("two") + s.Text("three"), s.Text("four")} {
			say(w, part)
			select {
			case <-flushed:
			case <-r.Context().Done():
				return
			}
		}
		say(w, s.End)
	})
	taken, handed := 0, 0
	r := &Recorder{OnEvent: func() error { taken++; return nil }}
	r.OnFlush = func() error {
		if taken > handed {
			handed = taken
			flushed <- struct{}{}
		}
		return nil
	}
	req := streamRequest(t)
	req.Limits.Idle = patience
	if err := s.adapter(t, srv.URL, upstream.Config{}).Complete(t.Context(), req, r); err != nil {
		t.Fatalf("what arrived was not flushed: %v", err)
	}
	full := errors.New("the output is full")
	if err := s.adapter(t, srv.URL, upstream.Config{}).Complete(t.Context(), req, &Recorder{OnFlush: func() error { return full }}); err != full {
		t.Errorf("got %v, want the error of Flush as it is", err)
	}
}
