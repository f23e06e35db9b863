package bench

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

const (
	workerSlots = 64
	modelTime   = 200 * time.Millisecond
)

// BenchmarkWorkers measures what further workers add: of 64 slots each, with a model
// that takes 200 ms and twice as many clients as there are slots. An operation is one
// request for each slot. The metric x-linear is the throughput against that of one
// worker, for each worker: 1 is a straight line.
func BenchmarkWorkers(b *testing.B) {
	model := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, _ = io.Copy(io.Discard, r.Body)
			<-time.After(modelTime)
		}
		answer(w, r)
	}))
	b.Cleanup(model.Close)
	var one float64
	for _, workers := range []int{1, 4} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			dir := b.TempDir()
			base, stop := up(b, dir, false)
			defer stop()
			for range workers {
				defer worker(b, dir, model.URL, fmt.Sprintf("OSIRIS_WORKER_SLOTS=%d", workerSlots))()
			}
			rate := throughput(b, base, workers*workerSlots)
			b.ReportMetric(rate, "requests/s")
			if workers == 1 {
				one = rate
			} else if one > 0 {
				b.ReportMetric(rate/one/float64(workers), "x-linear")
			}
		})
	}
}

// throughput answers b.N requests for each slot and returns how many it was in a second.
func throughput(b *testing.B, base string, slots int) float64 {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * slots, DisableCompression: true}}
	defer client.CloseIdleConnections()
	const body = `{"model":"m","messages":[{"role":"user","content":"hi"}]}`
	ask(b, client, base, body) // whatever happens only once
	todo := make(chan struct{})
	var clients sync.WaitGroup
	for range 2 * slots {
		clients.Go(func() {
			for range todo {
				ask(b, client, base, body)
			}
		})
	}
	b.ResetTimer()
	for range b.N * slots {
		todo <- struct{}{}
	}
	close(todo)
	clients.Wait()
	b.StopTimer()
	return float64(b.N*slots) / b.Elapsed().Seconds()
}
