package worker

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
)

// TestBreakerLog holds that the operator hears once that a target is left alone, and
// once that it is back, without a word of the prompt.
func TestBreakerLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := overloaded()
		broken.Retry = false
		p := &scripted{script: []act{failing(broken), failing(broken), failing(broken), answering(wholeAnswer)}}
		w := newTestWorker(t, Config{
			Providers: []ProviderSpec{{Name: "p", Provider: p, Breaker: Breaker{Failures: 2, Cooldown: 10 * time.Second}}},
			Models:    []Model{{Name: "m", Targets: []Target{{Provider: "p", Model: "up"}}}},
		})
		var log strings.Builder
		w.log = logTo(&log)
		job := jobs.Job{Body: []byte(`{"model":"m","messages":[{"role":"user","content":"a secret prompt"}]}`)}
		for range 2 { // opens
			_, _, _ = ask(t.Context(), w, job)
		}
		for range 3 { // a probe that fails, one that answers, a plain call
			pass(10 * time.Second)
			_, _, _ = ask(t.Context(), w, job)
		}
		got := log.String()
		if strings.Count(got, "leaving it alone") != 1 || strings.Count(got, "target answers again") != 1 || strings.Contains(got, "secret") {
			t.Errorf("the log is\n%s", got)
		}
		for line := range strings.Lines(got) {
			if !strings.Contains(line, "leaving it alone") {
				continue
			}
			for _, want := range []string{"level=WARN", "provider=p", "target=up", "failures=2", "cooldown=10s", "status=502"} {
				if !strings.Contains(line, want) {
					t.Errorf("%s lacks %s", line, want)
				}
			}
		}
	})
}
