package providertest

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/osiris/osiris/internal/provider/upstream"
)

// cancel tests that a call which nobody wants any more ends on both sides.
func (s *Suite) cancel(t *testing.T) {
	t.Run("before the headers", func(t *testing.T) {
		arrived := make(chan struct{})
		srv := newServer(t, func(srv *server, _ http.ResponseWriter, r *http.Request) {
			close(arrived)
			srv.hold(r)
		})
		s.leave(t, srv, func(cancel func()) *Recorder {
			go func() { <-arrived; cancel() }()
			return &Recorder{}
		})
	})
	t.Run("before the first token", func(t *testing.T) {
		said := make(chan struct{})
		srv := newServer(t, func(srv *server, w http.ResponseWriter, r *http.Request) {
			say(w, s.Ping)
			close(said)
			srv.hold(r)
		})
		s.leave(t, srv, func(cancel func()) *Recorder {
			go func() { <-said; cancel() }()
			return &Recorder{}
		})
	})
	t.Run("in the middle", func(t *testing.T) {
		srv := newServer(t, func(srv *server, w http.ResponseWriter, r *http.Request) {
			say(w, s.Begin, s.Text("Hello"))
			srv.hold(r)
		})
		s.leave(t, srv, func(cancel func()) *Recorder {
			return &Recorder{OnEvent: func() error { cancel(); return nil }}
		})
	})
	t.Run("output fails", s.outputFails)
}

// leave calls a server that holds the request, with a recorder that cancels.
func (s *Suite) leave(t *testing.T, srv *server, recorder func(cancel func()) *Recorder) {
	t.Helper()
	why := errors.New("the client left")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	r := recorder(func() { cancel(why) })
	p := s.adapter(t, srv.URL, upstream.Config{})
	req := streamRequest(t)
	done := make(chan struct{})
	var err error
	go func() {
		defer close(done)
		err = p.Complete(ctx, req, r)
	}()
	<-ctx.Done()
	within(t, soon, done, "Complete returns")
	within(t, soon, srv.gone, "the server sees that the caller left")
	if !errors.Is(err, why) {
		t.Errorf("Complete returned %v, want the cause of the cancellation", err)
	}
	if len(r.Finished) > 0 {
		t.Errorf("finish reasons %v out of nowhere", r.Finished)
	}
}

// outputFails: an error of the output ends the call and is returned as it is.
func (s *Suite) outputFails(t *testing.T) {
	srv := newServer(t, func(srv *server, w http.ResponseWriter, r *http.Request) {
		say(w, s.Begin, s.Text("Hello"))
		srv.hold(r)
	})
	full := errors.New("the output is full")
	r := &Recorder{OnEvent: func() error { return full }}
	err := s.adapter(t, srv.URL, upstream.Config{}).Complete(t.Context(), streamRequest(t), r)
	if err != full {
		t.Errorf("got %v, want the output's error as it is", err)
	}
	if len(r.Events) != 1 {
		t.Errorf("%d events, want none after the error", len(r.Events))
	}
	within(t, soon, srv.gone, "the server sees that the caller left")
}
