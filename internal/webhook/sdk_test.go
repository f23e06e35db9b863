package webhook

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
)

func TestMain(m *testing.M) { jobstest.Main(m) }

// receiver is an endpoint of a tenant, which keeps what it gets.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status []int // of the answers, the last one for ever
	got    []http.Header
	bodies []string
}

func newReceiver(t *testing.T, status ...int) *receiver {
	r := &receiver{status: status}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Errorf("read delivery: %v", err)
		}
		r.mu.Lock()
		status := r.status[min(len(r.got), len(r.status)-1)]
		r.got, r.bodies = append(r.got, req.Header), append(r.bodies, string(body))
		r.mu.Unlock()
		w.WriteHeader(status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) deliveries() ([]http.Header, []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got), slices.Clone(r.bodies)
}

// await waits for n deliveries.
func (r *receiver) await(t *testing.T, n int) ([]http.Header, []string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); ; <-tick.C {
		if headers, bodies := r.deliveries(); len(headers) >= n {
			return headers, bodies
		}
		if time.Now().After(end) {
			t.Fatalf("not %d deliveries within a minute", n)
		}
	}
}

func start(t *testing.T, conn *jobs.Conn, cfg Config, log io.Writer, reg prometheus.Registerer) *Deliverer {
	t.Helper()
	if log == nil {
		log = io.Discard
	}
	d, err := Start(t.Context(), cfg, conn, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), reg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		d.Stop(ctx)
	})
	return d
}

func create(t *testing.T, conn *jobs.Conn, url string) jobs.Webhook {
	t.Helper()
	w, err := conn.CreateWebhook(t.Context(), jobs.WebhookSpec{URL: url, Tenant: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func notify(t *testing.T, conn *jobs.Conn, event, object string) {
	t.Helper()
	if err := conn.Notify(t.Context(), "acme", jobs.Notice{Type: event, ObjectID: object}); err != nil {
		t.Fatal(err)
	}
}

// The official SDK verifies a delivery and each of its retries, which have one id, a
// time of their own and a signature of their own.
func TestSDKUnwraps(t *testing.T) {
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		conn := n.Connect(t)
		recv := newReceiver(t, http.StatusInternalServerError, http.StatusBadGateway, http.StatusNoContent)
		reg := prometheus.NewRegistry()
		start(t, conn, Config{AllowPrivate: true, Pauses: slices.Repeat([]time.Duration{1100 * time.Millisecond}, 10)}, nil, reg)
		w := create(t, conn, recv.URL)
		notify(t, conn, jobs.NoticeBatchCompleted, "batch_1")
		headers, bodies := recv.await(t, 3)
		client := openai.NewClient(option.WithAPIKey("unused"), option.WithWebhookSecret(w.Secret))
		for i, h := range headers {
			event, err := client.Webhooks.Unwrap([]byte(bodies[i]), h)
			if err != nil {
				t.Fatalf("attempt %d: %v", i+1, err)
			}
			if got := event.AsBatchCompleted(); got.Data.ID != "batch_1" || got.Type != "batch.completed" || got.ID != h.Get("Webhook-Id") ||
				time.Since(time.Unix(got.CreatedAt, 0)) > time.Minute {
				t.Errorf("event %+v", got)
			}
			if _, err := client.Webhooks.Unwrap([]byte(bodies[i]+" "), h); err == nil {
				t.Error("a changed body is accepted")
			}
			if h.Get("Webhook-Id") != headers[0].Get("Webhook-Id") || h.Get("Content-Type") != "application/json" {
				t.Errorf("headers %v", h)
			}
		}
		if headers[0].Get("Webhook-Timestamp") == headers[2].Get("Webhook-Timestamp") {
			t.Error("a retry after a second has the old timestamp")
		}
		other := openai.NewClient(option.WithAPIKey("unused"), option.WithWebhookSecret(create(t, conn, recv.URL).Secret))
		if _, err := other.Webhooks.Unwrap([]byte(bodies[0]), headers[0]); err == nil {
			t.Error("another webhook's secret verifies it")
		}
		want := map[string]float64{"delivered": 1, "failed": 0, "retried": 2}
		for end := time.Now().Add(time.Minute); ; <-time.After(5 * time.Millisecond) {
			got := attempts(t, reg)
			if maps.Equal(got, want) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("attempts counted: %v, want %v", got, want)
			}
		}
	})
}

// attempts returns the counter of attempts by outcome.
func attempts(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		if f.GetName() == "osiris_webhook_attempts_total" {
			for _, m := range f.GetMetric() {
				all[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	return all
}

// A deliverer that stops while a receiver thinks hands the delivery to another.
func TestStopHandsOver(t *testing.T) {
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		conn := n.Connect(t)
		arrived, end := make(chan struct{}, 1), make(chan struct{})
		stuck := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			select {
			case arrived <- struct{}{}:
			default:
			}
			select {
			case <-r.Context().Done():
			case <-end:
			}
		}))
		defer stuck.Close()
		defer close(end)
		create(t, conn, stuck.URL)
		first := start(t, conn, Config{AllowPrivate: true}, nil, nil)
		notify(t, conn, jobs.NoticeChatCompleted, "chatcmpl-1")
		<-arrived
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		first.Stop(ctx)
		start(t, n.Connect(t), Config{AllowPrivate: true}, nil, nil)
		select {
		case <-arrived:
		case <-time.After(time.Minute):
			t.Fatal("nobody else delivered it")
		}
	})
}

// syncLog is a log that a test may read while it is written.
type syncLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *syncLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *syncLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestNothingSecretIsLogged(t *testing.T) {
	n := jobstest.One(t)
	conn := n.Connect(t)
	var log syncLog
	recv := newReceiver(t, http.StatusInternalServerError, http.StatusGone)
	gone := httptest.NewServer(nil)
	gone.Close()
	start(t, conn, Config{AllowPrivate: true, Pauses: slices.Repeat([]time.Duration{100 * time.Millisecond}, 30)}, &log, nil)
	hooks := []jobs.Webhook{create(t, conn, recv.URL+"/path-secret?query=secret"), create(t, conn, gone.URL+"/path-secret?query=secret")}
	notify(t, conn, jobs.NoticeBatchCompleted, "batch_1")
	for end := time.Now().Add(time.Minute); ; {
		text := log.String()
		if strings.Contains(text, "switched off") && strings.Contains(text, "given up") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("log: %s", text)
		}
		<-time.After(5 * time.Millisecond)
	}
	text := log.String()
	for _, secret := range []string{"path-secret", "query=", hooks[0].Secret, hooks[1].Secret, "batch_1"} {
		if strings.Contains(text, secret) {
			t.Errorf("the log holds %q: %s", secret, text)
		}
	}
	for _, w := range hooks {
		if !strings.Contains(text, "webhook="+w.ID) {
			t.Errorf("the log lacks %s: %s", w.ID, text)
		}
	}
}
