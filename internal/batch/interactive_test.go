package batch

import (
	"slices"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
)

// firstEvents submits n interactive jobs and measures the time to the first event of
// each.
func (r *rig) firstEvents(client *jobs.Client, n int) (percentile func(p int) time.Duration) {
	r.t.Helper()
	took := make([]time.Duration, n)
	for i := range took {
		began := time.Now()
		s, err := client.Submit(r.t.Context(), &jobs.Job{
			ID: jobs.NewID(), Tenant: "acme", Key: r.key.ID, Model: "m", Pool: "default",
			Created: began.Unix(), Timeout: time.Minute, Body: []byte(`{"model":"m","messages":[]}`),
		})
		if err != nil {
			r.t.Fatal(err)
		}
		if _, err := s.Next(30 * time.Second); err != nil {
			r.t.Fatalf("job %d: %v", i, err)
		}
		took[i] = time.Since(began)
		for e, err := s.Next(30 * time.Second); e.Kind != jobs.Done; e, err = s.Next(30 * time.Second) {
			if err != nil || e.Kind == jobs.Failed {
				r.t.Fatalf("job %d: %v", i, err)
			}
		}
		s.Close()
	}
	slices.Sort(took)
	return func(p int) time.Duration { return took[min(n*p/100, n-1)] }
}

// While a batch fills all slots that it may have, interactive jobs begin at once:
// none waits for a line to end.
func TestBatchDelaysNobody(t *testing.T) {
	r := newRig(t, jobstest.One(t))
	p := r.interactive(true, 100)
	if p(50) > 100*time.Millisecond {
		t.Errorf("half of the interactive jobs waited for %s or more beside a batch", p(50))
	}
	t.Logf("first event after %s (p50), %s (p99)", p(50), p(99))
}
