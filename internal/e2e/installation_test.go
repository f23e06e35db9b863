package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const installationKey = "sk-osiris-installation-0123456789"

// installation is Osiris as processes: NATS, frontends, workers.
type installation struct {
	dir, listen string // of NATS
	nats        *process
	frontends   []*process
	workers     []*process
	clients     []*client // one for each frontend
	model       *model
	queue       *queue
	env         []string
	file        string
}

// install starts processes, workers and frontends in no particular order.
func install(t *testing.T, frontends, workers int, workerArgs ...string) *installation {
	t.Helper()
	heavy(t, "it builds the programs and starts processes")
	i := &installation{dir: t.TempDir(), listen: freeAddress(t), model: newModel(t)}
	i.startNATS(t)
	i.queue = openQueue(t, i.dir)
	i.file = configFile(t, i.model, options{})
	i.env = []string{
		"OSIRIS_NATS_URL=nats://" + i.listen, "OSIRIS_NATS_TOKEN=" + i.queue.at.Token, "OSIRIS_ADMIN_LISTEN=off",
		"OSIRIS_LISTEN=127.0.0.1:0", "OSIRIS_BOOTSTRAP_KEY=" + installationKey, "OSIRIS_WORKER_BREAKER_FAILURES=0",
		"OSIRIS_QUEUE_LEASE=5s",
	}
	for range workers {
		i.startWorker(t, workerArgs...)
	}
	for range frontends {
		i.startFrontend(t)
	}
	for _, w := range i.workers {
		w.await(t, "msg=ready")
	}
	for _, f := range i.frontends {
		i.clients = append(i.clients, newClient(t, "http://"+f.await(t, `msg=ready.* api=(\S+)`)+"/v1", installationKey))
	}
	if workers > 0 {
		i.awaitModels(t)
	}
	return i
}

// startNATS starts the server on its old data, if it had any.
func (i *installation) startNATS(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	i.nats = spawn(t, "nats", self, nil, []string{natsVariable + "=" + i.dir, natsListenVariable + "=" + i.listen})
	i.nats.await(t, "msg=ready")
}

func (i *installation) startWorker(t *testing.T, args ...string) {
	t.Helper()
	i.workers = append(i.workers, i.program(t, "worker", append([]string{"--config", i.file}, args...)))
}

func (i *installation) startFrontend(t *testing.T) {
	t.Helper()
	i.frontends = append(i.frontends, i.program(t, "frontend", nil))
}

func (i *installation) program(t *testing.T, name string, args []string) *process {
	t.Helper()
	dir, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	return spawn(t, name, filepath.Join(dir, name), args, i.env)
}

// awaitModels waits until each frontend knows what the workers serve.
func (i *installation) awaitModels(t *testing.T) {
	t.Helper()
	for _, c := range i.clients {
		eventually(t, patience, "the catalogue", func(ctx context.Context) error {
			return c.send(ctx, chat("echo", "ready?", false), false, "ready?")
		})
	}
	i.queue.await(t, patience, 0)
}

// idle waits until nothing is left of any request.
func (i *installation) idle(t *testing.T, limit time.Duration) {
	t.Helper()
	i.model.await(t, limit, words, "no call is open", func(n callCount) bool { return n.open == 0 })
	i.queue.await(t, limit, 0)
}

// words is the name of a model that says the last message again.
const words = "words"

// request is one of a mix, and what must be said to it.
type request struct {
	n      int
	stream bool
	text   string
	body   []byte
}

// newRequest makes the n-th request of a mix: streams and JSON by turns, a few words,
// a page, sometimes one beyond what a message of NATS can hold. delay is the model's
// pause before each word of the short ones.
func newRequest(n int, delay time.Duration) request {
	random := rand.New(rand.NewPCG(uint64(n), 7))
	count := []int{3, 20, 60, 120}[n/2%4]
	var text strings.Builder
	fmt.Fprintf(&text, "request %d:", n)
	for range count {
		fmt.Fprintf(&text, " %x", random.Uint32())
	}
	if n%100 == 7 || n%100 == 8 { // JSON and streamed, one word of many bytes
		delay = 0
		text.WriteString(strings.Repeat("żółw🐢", 90_000))
	}
	more := object{}
	if delay > 0 {
		more["mock_delay_ms"] = delay.Milliseconds()
	}
	r := request{n: n, stream: n%2 == 0, text: text.String()}
	r.body = chat("up/"+words, r.text, r.stream, more)
	return r
}

// load is many requests under way.
type load struct {
	requests []request
	errs     []error // of each; read after wait
	running  sync.WaitGroup
}

// begin sends n requests at once, to all of the clients by turns.
func (i *installation) begin(t *testing.T, n int, delay time.Duration, clients ...*client) *load {
	t.Helper()
	l := &load{errs: make([]error, n)}
	for k := range n {
		l.requests = append(l.requests, newRequest(k, delay))
	}
	for k := range l.requests {
		r := &l.requests[k]
		l.running.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			l.errs[k] = clients[k/2%len(clients)].send(ctx, r.body, r.stream, r.text)
		})
	}
	return l
}

// wait waits for all answers, and gives each bad one to check, which says whether it
// is to be borne. It returns how many were not perfect.
func (l *load) wait(t *testing.T, bear func(r *request, err error) bool) int {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.running.Wait()
	}()
	within(t, 2*patience+patience, "all answers", done)
	imperfect, shown := 0, 0
	for k, err := range l.errs {
		if err == nil {
			continue
		}
		imperfect++
		if bear != nil && bear(&l.requests[k], err) {
			continue
		}
		if t.Fail(); shown < 10 {
			shown++
			t.Logf("request %d (stream: %t): %v", k, l.requests[k].stream, err)
		}
	}
	return imperfect
}
