package frontend

import (
	"context"
	"fmt"
	"time"
)

// Shutdown stops accepting connections and lets running answers finish until ctx
// ends. Then streams end with an error event and other requests with 503; what is
// still there after Config.Grace is cut. Shutdown returns when nothing runs any
// more: nil if every answer could finish, else the cause of ctx's end. Later calls
// wait for the first one and return what it returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.once.Do(func() { s.stopErr = s.shutdown(ctx) })
	return s.stopErr
}

func (s *Server) shutdown(ctx context.Context) error {
	s.stopAccepting()
	s.conns.cut(func(c *conn) bool { return !c.used.Load() })
	err := s.app.ShutdownWithContext(ctx)
	if err == nil {
		select {
		case <-s.conns.gone(): // uploads too, which the server below does not know of
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		s.cancel()
		s.watch.stopAll()
		s.endConns(s.cfg.Load().Grace)
		err = fmt.Errorf("shut down frontend: %w", context.Cause(ctx))
	}
	close(s.done)
	s.wg.Wait()
	s.unsubscribe()
	return err
}

// stopAccepting returns when no connection can come any more.
func (s *Server) stopAccepting() {
	s.mu.Lock()
	s.draining.Store(true)
	for _, l := range s.listeners {
		if err := l.Close(); err != nil {
			s.log.Warn("cannot close the listener", "address", l.Addr().String(), "error", err)
		}
	}
	s.mu.Unlock()
	s.serving.Wait()
}

// endConns closes each connection when its answer is out, or after grace.
func (s *Server) endConns(grace time.Duration) {
	gone := s.conns.gone()
	late := time.After(grace)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		s.conns.cut(func(c *conn) bool { return !c.answering.Load() })
		select {
		case <-gone:
			return
		case <-late:
			s.conns.cut(func(*conn) bool { return true })
			<-gone
			return
		case <-tick.C:
		}
	}
}
