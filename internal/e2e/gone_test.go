package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/embedded"
	"github.com/osiris/osiris/internal/service"
	"github.com/osiris/osiris/internal/service/frontendpart"
	"github.com/osiris/osiris/internal/service/workerpart"
	"github.com/osiris/osiris/pkg/jobs"
)

// raw is a client that speaks HTTP by hand, so that it can leave at any byte.
type raw struct {
	*net.TCPConn
	in *bufio.Reader
}

// dial connects and sends a request.
func (c *client) dial(t *testing.T, body []byte) *raw {
	t.Helper()
	at, err := url.Parse(c.url)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", at.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	r := &raw{TCPConn: conn.(*net.TCPConn), in: bufio.NewReader(conn)}
	_, err = fmt.Fprintf(conn, "POST %s/chat/completions HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		at.Path, at.Host, c.key, len(body), body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// until reads until a line contains text.
func (r *raw) until(t *testing.T, text string) {
	t.Helper()
	for {
		line, err := r.in.ReadString('\n')
		if err != nil {
			t.Fatalf("%v before %q", err, text)
		}
		if strings.Contains(line, text) {
			return
		}
	}
}

// leave ends the connection: with a reset, or by closing it.
func (r *raw) leave(t *testing.T, reset bool) {
	t.Helper()
	if reset {
		if err := r.SetLinger(0); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// leaving is one way to leave.
type leaving struct{ stream, reset bool }

func (l leaving) String() string {
	return map[bool]string{true: "stream", false: "json"}[l.stream] + "-" + map[bool]string{true: "reset", false: "closed"}[l.reset]
}

func leavings() []leaving {
	return []leaving{{true, false}, {true, true}, {false, false}, {false, true}}
}

// TestGoneWhileRunning: clients leave while a worker runs their job. The call at the
// model server ends, the job goes, and the usage is on record.
func TestGoneWhileRunning(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	t.Run("leave", func(t *testing.T) { // over when all below are
		for _, l := range leavings() {
			s.leaveWhileRunning(t, "before-headers", l, "", (*upstreamCall).gone)
			s.leaveWhileRunning(t, "before-first-token", l, "", func(c *upstreamCall) { c.say(""); c.gone() })
			s.leaveWhileRunning(t, "mid-stream", l, `"Hello "`, func(c *upstreamCall) { c.begin(); c.gone() })
			s.leaveWhileRunning(t, "after-last-token", l, `"there, world"`, func(c *upstreamCall) {
				if c.chat.Stream {
					c.say(unfinished)
				} else {
					c.say(jsonHello)
				}
				c.gone()
			})
		}
	})
	s.queue.await(t, 2*soon, 0)
}

// leaveWhileRunning leaves once the model is called; a stream's client once it has
// read something.
func (s *system) leaveWhileRunning(t *testing.T, place string, l leaving, read string, model script) {
	name := place + "-" + l.String()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		s.model.on(name, model)
		c := s.dial(t, chat("up/"+name, hello, l.stream))
		s.model.awaitOpen(t, name)
		if l.stream && read != "" {
			c.until(t, read)
		}
		c.leave(t, l.reset)
		s.model.awaitNone(t, name)
		if u := s.queue.awaitUsage(t, "up/"+name); u.Status != jobs.StatusCancelled {
			t.Errorf("usage: %+v", u)
		}
	})
}

// TestGoneAfterTheFinish: the model has said everything, its server keeps the
// connection open, and the client leaves. Whether that was still an answer is a
// matter of milliseconds; what is left of it is not.
func TestGoneAfterTheFinish(t *testing.T) {
	t.Parallel()
	s := start(t, options{})
	s.model.on("finish", func(c *upstreamCall) {
		c.say(strings.TrimSuffix(sseHello, "data: [DONE]\n\n"))
		c.gone()
	})
	c := s.dial(t, chat("up/finish", hello, true))
	c.until(t, `"there, world"`)
	c.leave(t, true)
	s.idle(t, "finish")
	if u := s.queue.awaitUsage(t, "up/finish"); u.Status != jobs.StatusCancelled && u.Status != jobs.StatusFinished {
		t.Errorf("usage: %+v", u)
	}
}

// TestGoneWhileQueued: the only slot is taken when the job comes, and its client
// leaves. No worker ever sees it, so there is no attempt and no usage.
func TestGoneWhileQueued(t *testing.T) {
	t.Parallel()
	s := start(t, options{env: []string{"OSIRIS_WORKER_SLOTS=1"}})
	s.model.on("busy", (*upstreamCall).gone)
	for _, l := range leavings() {
		name := "queued-" + l.String()
		first := s.dial(t, chat("up/busy", hello, false))
		s.model.awaitOpen(t, "busy")
		c := s.dial(t, chat("up/"+name, hello, l.stream))
		s.queue.await(t, patience, 2)
		c.leave(t, l.reset)
		s.queue.await(t, soon, 1)
		first.leave(t, false)
		s.idle(t, "busy", name)
		if n, _ := s.model.seen(name); n.begun != 0 {
			t.Errorf("%s: the model was called", name)
		}
	}
}

// TestGoneBeforeTheStart: the job was delivered and waits for its turn at the model
// server, which takes one call at a time.
func TestGoneBeforeTheStart(t *testing.T) {
	t.Parallel()
	s := start(t, options{provider: "concurrency: 1"})
	s.model.on("busy", (*upstreamCall).gone)
	first := s.dial(t, chat("up/busy", hello, false))
	s.model.awaitOpen(t, "busy")
	for _, l := range leavings() {
		name := "waits-" + l.String()
		c := s.dial(t, chat("up/"+name, hello, l.stream))
		s.queue.await(t, patience, 2)
		s.awaitTaken(t)
		c.leave(t, l.reset)
		s.queue.await(t, soon, 1)
		if u := s.queue.awaitUsage(t, "up/"+name); u.Status != jobs.StatusCancelled {
			t.Errorf("usage: %+v", u)
		}
		if n, _ := s.model.seen(name); n.begun != 0 {
			t.Errorf("%s: the model was called", name)
		}
	}
	first.leave(t, false)
	s.idle(t, "busy")
}

// awaitTaken waits until a worker has every job in the interactive queue.
func (s *system) awaitTaken(t *testing.T) {
	t.Helper()
	eventually(t, patience, "every job is delivered", func(ctx context.Context) error {
		consumer, err := s.queue.js.Consumer(ctx, "osiris-jobs-interactive", "default")
		if err != nil {
			return err
		}
		if n := consumer.CachedInfo().NumPending; n > 0 {
			return fmt.Errorf("%d wait", n)
		}
		return nil
	})
}

// TestGoneBeforeTheAck: the broker's word does not reach the frontend when the client
// leaves. The job may be stored, so it must be cancelled all the same.
func TestGoneBeforeTheAck(t *testing.T) {
	t.Parallel()
	m, dir := newModel(t), t.TempDir()
	server, err := embedded.Start(embedded.Config{Dir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	gate := newGate(t, strings.TrimPrefix(server.URL(), "nats://"))
	file := configFile(t, m, options{})
	token := "OSIRIS_NATS_TOKEN=" + server.Token()
	worker := run(t, service.Params{Name: "osiris-worker", Parts: []service.Starter{workerpart.Starter()}}, file, []string{"OSIRIS_NATS_URL=" + server.URL(), token})
	worker.ready(t)
	key := "OSIRIS_BOOTSTRAP_KEY=sk-osiris-before-the-ack"
	front := service.Params{
		Name: "osiris-frontend", Parts: []service.Starter{frontendpart.Starter(frontendpart.Options{})},
		Options: config.Options{Program: config.FrontendOnly},
	}
	info := run(t, front, "", []string{"OSIRIS_NATS_URL=nats://" + gate.address, token, key}).ready(t)
	s := &system{
		client: newClient(t, "http://"+service.Reachable(info.API)+"/v1", "sk-osiris-before-the-ack"),
		model:  m, queue: openQueue(t, dir),
	}
	for _, l := range leavings() {
		name := "unacked-" + l.String()
		m.on(name, (*upstreamCall).gone)
		gate.shut()
		c := s.dial(t, chat("up/"+name, hello, l.stream))
		m.awaitOpen(t, name) // the job is stored, and the frontend does not know
		c.leave(t, l.reset)
		m.awaitNone(t, name)
		gate.open()
		s.idle(t, name)
		if u := s.queue.awaitUsage(t, "up/"+name); u.Status != jobs.StatusCancelled {
			t.Errorf("usage: %+v", u)
		}
	}
}
