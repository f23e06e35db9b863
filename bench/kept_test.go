package bench

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// keptSlices is in how many parts the requests of each kind are asked for.
const keptSlices = 12

// BenchmarkKept asks for whole answers, b.N plain ones and as many stored ones, in
// alternating slices of one run: what the machine does beside, and how full the store
// is, is the same for both. The metrics are medians over the slices; x-plain and
// x-time say how much more CPU and time a stored answer takes than a plain one of the
// slice beside it, everything included: client, model server, queue.
func BenchmarkKept(b *testing.B) {
	model := httptest.NewServer(http.HandlerFunc(answer))
	b.Cleanup(model.Close)
	base := osiris(b, model.URL)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true}}
	defer client.CloseIdleConnections()
	text := `"messages":[{"role":"user","content":"` + strings.Repeat("word ", 50) + `"}]}`
	bodies := [2]string{`{"model":"m",` + text, `{"model":"m","store":true,` + text}
	n := max(b.N/keptSlices, 1)
	for _, body := range bodies {
		askAll(b, client, base, body, min(n, 500)) // whatever happens only once
	}
	var took, used [2][]float64
	var xTime, xUsed []float64
	b.ResetTimer()
	for i := range keptSlices {
		for turn := range 2 {
			kind := (i + turn) % 2 // who is first takes turns: one slice's last work falls into the next
			t, u := askAll(b, client, base, bodies[kind], n)
			took[kind], used[kind] = append(took[kind], t), append(used[kind], u)
		}
		xTime = append(xTime, took[1][i]/took[0][i])
		xUsed = append(xUsed, used[1][i]/used[0][i])
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(took[0]), "plain-us")
	b.ReportMetric(median(took[1]), "kept-us")
	b.ReportMetric(median(used[0]), "plain-cpu-us")
	b.ReportMetric(median(used[1]), "kept-cpu-us")
	b.ReportMetric(median(xTime), "x-time")
	b.ReportMetric(median(xUsed), "x-plain")
}

// askAll has n requests answered, 64 at a time, and returns time and CPU time of each
// in microseconds.
func askAll(b *testing.B, client *http.Client, base, body string, n int) (took, used float64) {
	const at = 64
	began, before := time.Now(), cpu(b)
	var clients sync.WaitGroup
	for first := range min(at, n) {
		clients.Go(func() {
			for i := first; i < n; i += at {
				ask(b, client, base, body)
			}
		})
	}
	clients.Wait()
	if b.Failed() {
		b.FailNow()
	}
	return float64(time.Since(began).Microseconds()) / float64(n), float64((cpu(b) - before).Microseconds()) / float64(n)
}

func median(of []float64) float64 {
	of = slices.Sorted(slices.Values(of))
	return (of[(len(of)-1)/2] + of[len(of)/2]) / 2
}
