package bench

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/osiris/osiris/internal/embedded"
	"github.com/osiris/osiris/pkg/jobs"
)

var (
	manyKeys   = flag.Int("keys", 500, "API keys of the large installation")
	manyModels = flag.Int("models", 50, "models of the large installation")
	manyPools  = flag.Int("pools", 10, "pools that serve them")
)

// BenchmarkInstallation compares a fresh installation with one that has many keys,
// models and pools: how long a start takes that finds its data, and what a request
// costs. With -keys 10000 -models 500 -pools 200 it is a large one.
func BenchmarkInstallation(b *testing.B) {
	model := httptest.NewServer(http.HandlerFunc(answer))
	b.Cleanup(model.Close)
	body := `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("word ", 50) + `"}]}`
	var small [2]float64
	for _, large := range []bool{false, true} {
		dir := b.TempDir()
		name := "fresh"
		if large {
			name = "large"
			furnish(b, dir)
		}
		_, stop := up(b, dir, true, "OPENAI_BASE_URL="+model.URL+"/v1") // whatever a first start does
		stop()
		b.Run(name, func(b *testing.B) {
			began := time.Now()
			base, stop := up(b, dir, true, "OPENAI_BASE_URL="+model.URL+"/v1")
			defer stop()
			start := float64(time.Since(began).Microseconds()) / 1000
			each := load(b, base, 32, body)
			b.ReportMetric(start, "start-ms")
			if !large {
				small = [2]float64{start, each}
			} else if small[0] > 0 {
				b.ReportMetric(start/small[0], "x-start")
				b.ReportMetric(each/small[1], "x-cpu")
			}
		})
	}
}

// furnish puts keys, models and pools into a data folder.
func furnish(b *testing.B, dir string) {
	server, err := embedded.Start(embedded.Config{Dir: dir, MaxStore: 1 << 40})
	if err != nil {
		b.Fatal(err)
	}
	conn, err := jobs.Connect(b.Context(), jobs.Config{InProcess: server, Token: server.Token()})
	if err != nil {
		b.Fatal(err)
	}
	together(b, 16, *manyKeys, func(ctx context.Context, i int) error {
		_, _, err := conn.CreateKey(ctx, jobs.KeySpec{Name: fmt.Sprintf("key %d", i), Tenant: fmt.Sprintf("tenant%d", i%1000)})
		return err
	})
	together(b, 4, *manyPools, func(ctx context.Context, i int) error {
		pool := jobs.PoolModels{Pool: fmt.Sprintf("pool%d", i)}
		for m := i; m < *manyModels; m += *manyPools {
			pool.Models = append(pool.Models, jobs.Model{ID: fmt.Sprintf("vendor/model-%d", m), OwnedBy: "vendor", Created: 1})
		}
		if err := conn.EnsurePool(ctx, pool.Pool); err != nil {
			return err
		}
		return conn.PublishModels(ctx, pool)
	})
	conn.Close()
	if err := server.Stop(); err != nil {
		b.Fatal(err)
	}
}

// together calls f for 0 to n-1, so many at once.
func together(b *testing.B, at, n int, f func(ctx context.Context, i int) error) {
	var calls sync.WaitGroup
	for first := range at {
		calls.Go(func() {
			for i := first; i < n; i += at {
				if err := f(b.Context(), i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	calls.Wait()
	if b.Failed() {
		b.FailNow()
	}
}
