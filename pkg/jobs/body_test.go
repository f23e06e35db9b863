package jobs

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
	"github.com/osiris/osiris/pkg/protocol"
)

func randomBody(size int) []byte {
	body := make([]byte, size)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(body)
	return body
}

func TestBodyIsReadBackAtOnce(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		writer, reader := testConn(t, testConfig(n)), testConn(t, testConfig(n))
		for _, size := range []int{0, 1, maxPart - 1, maxPart, maxPart + 1, 5 << 20, 20 << 20} {
			body := randomBody(size)
			id := NewID()
			began := time.Now()
			ref, err := writer.storeBody(t.Context(), &Job{ID: id, Body: body})
			if err != nil {
				t.Fatalf("store %d bytes: %v", size, err)
			}
			got, err := reader.loadBody(t.Context(), ref)
			if err != nil {
				t.Fatalf("load %d bytes: %v", size, err)
			}
			if !bytes.Equal(got, body) {
				t.Fatalf("%d bytes came back different", size)
			}
			if size == 20<<20 {
				t.Logf("20 MB stored and loaded in %s", time.Since(began))
			}
			if err := writer.deleteBody(t.Context(), id); err != nil {
				t.Fatalf("delete: %v", err)
			}
			if size == 0 {
				continue
			}
			if _, err := reader.loadBody(t.Context(), ref); !errors.Is(err, errBodyGone) {
				t.Fatalf("load of a deleted body: %v", err)
			}
		}
	})
}

// Hundreds of bodies are read on another node at once after they were stored:
// with direct reads alone, some of them would be "gone".
func TestBodyIsNeverGoneBecauseAReplicaLags(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		writer := testConn(t, testConfig(n))
		var readers []*Conn
		for i := range n.Nodes() {
			cfg := testConfig(n)
			cfg.URL = n.URL(i)
			readers = append(readers, testConn(t, cfg))
		}
		body := randomBody(1000)
		for i := range 300 {
			ref, err := writer.storeBody(t.Context(), &Job{ID: NewID(), Body: body})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := readers[i%len(readers)].loadBody(t.Context(), ref); err != nil {
				t.Fatalf("body %d: %v", i, err)
			}
		}
	})
}

func TestBodySurvivesRestart(t *testing.T) {
	t.Parallel()
	natstest.EachOwn(t, func(t *testing.T, n *natstest.NATS) {
		c := testConn(t, testConfig(n))
		body := randomBody(3 << 20)
		ref, err := c.storeBody(t.Context(), &Job{ID: NewID(), Body: body})
		if err != nil {
			t.Fatal(err)
		}
		n.RestartAll(t)
		ctx, cancel := context.WithTimeout(t.Context(), election)
		defer cancel()
		got, err := c.loadBody(ctx, ref)
		if err != nil || !bytes.Equal(got, body) {
			t.Fatalf("after a restart: %d bytes, %v", len(got), err)
		}
	})
}

func TestBodyLimits(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		cfg := testConfig(n)
		cfg.MaxBody, cfg.MaxBodiesBytes = 4<<20, 3<<20
		c := testConn(t, cfg)
		_, err := c.storeBody(t.Context(), &Job{ID: NewID(), Body: make([]byte, 4<<20+1)})
		wantStatus(t, err, http.StatusRequestEntityTooLarge)
		_, err = c.storeBody(t.Context(), &Job{ID: NewID(), Body: make([]byte, 4<<20)})
		wantStatus(t, err, http.StatusServiceUnavailable)
		// The refused one left nothing, so a smaller one has room.
		ref, err := c.storeBody(t.Context(), &Job{ID: NewID(), Body: make([]byte, 2<<20)})
		if err != nil {
			t.Fatalf("after a refusal: %v", err)
		}
		if _, err := c.loadBody(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
	})
}

// A server with a small limit for one message gets smaller parts.
func TestBodyOnAServerWithSmallMessages(t *testing.T) {
	srv := startServer(t, &server.Options{MaxPayload: 100 << 10})
	c := testConn(t, Config{URL: srv.ClientURL()})
	body := randomBody(1 << 20)
	ref, err := c.storeBody(t.Context(), &Job{ID: NewID(), Body: body})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.loadBody(t.Context(), ref); err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
	if len(ref.Seqs) < 10 {
		t.Errorf("stored in %d parts", len(ref.Seqs))
	}
}

func TestBodyThatIsNotWhatWasStored(t *testing.T) {
	c := testConn(t, testConfig(natstest.Shared(t, 1)))
	ref, err := c.storeBody(t.Context(), &Job{ID: NewID(), Body: randomBody(2 * maxPart)})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*bodyRef){
		"sum":     func(r *bodyRef) { r.Sum++ },
		"size":    func(r *bodyRef) { r.Size-- },
		"order":   func(r *bodyRef) { r.Seqs = []uint64{r.Seqs[1], r.Seqs[0]} },
		"missing": func(r *bodyRef) { r.Seqs = r.Seqs[:1] },
		"absurd":  func(r *bodyRef) { r.Size = 1 << 50 },
		"parts":   func(r *bodyRef) { r.Size, r.Seqs = 1, []uint64{1, 2, 3} },
	} {
		changed := ref
		change(&changed)
		if _, err := c.loadBody(t.Context(), changed); !errors.Is(err, errBodyGone) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBodyUnavailableIsNotGone(t *testing.T) {
	n := natstest.Own(t, 1)
	c := testConn(t, testConfig(n))
	ref, err := c.storeBody(t.Context(), &Job{ID: NewID(), Body: randomBody(10)})
	if err != nil {
		t.Fatal(err)
	}
	n.Kill(0)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := c.loadBody(ctx, ref); err == nil || errors.Is(err, errBodyGone) {
		t.Errorf("load while nats is away: %v", err)
	}
	_, err = c.storeBody(ctx, &Job{ID: NewID(), Body: randomBody(10)})
	wantStatus(t, err, http.StatusServiceUnavailable)
}

func wantStatus(t *testing.T, err error, status int) {
	t.Helper()
	perr, ok := errors.AsType[*protocol.Error](err)
	if !ok || perr.Status != status {
		t.Errorf("err = %v, want status %d", err, status)
	}
}

func BenchmarkBody20MB(b *testing.B) {
	for name, nodes := range map[string]int{"one": 1, "three": 3} {
		b.Run(name, func(b *testing.B) {
			c := testConn(b, testConfig(natstest.Shared(b, nodes)))
			body := randomBody(20 << 20)
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				id := NewID()
				ref, err := c.storeBody(b.Context(), &Job{ID: id, Body: body})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := c.loadBody(b.Context(), ref); err != nil {
					b.Fatal(err)
				}
				if err := c.deleteBody(b.Context(), id); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
