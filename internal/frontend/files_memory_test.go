package frontend

import (
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs/jobstest"
)

// Many uploads at once share what is on its way to the store: each has little more
// than one part in memory, and none is slower for it when it is alone.
func TestManyUploadsTakeLittleMemory(t *testing.T) {
	const uploads, size, most = 50, 6 << 20, 120 << 20
	r := startOn(t, jobstest.One(t), anyone(), nil)
	body, kind := form(t, batchFields(strings.Repeat(inputLine, size/len(inputLine)))...)
	defer debug.SetGCPercent(debug.SetGCPercent(10)) // so that what is used is what is held
	runtime.GC()
	var before, m runtime.MemStats
	runtime.ReadMemStats(&before)
	var group sync.WaitGroup
	for range uploads {
		group.Go(func() {
			resp, err := r.http.Post(r.url+"/v1/files", kind, strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Error(resp.Status)
			}
		})
	}
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	peak := before.HeapAlloc
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-tick.C:
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
	}
	if grown := peak - min(peak, before.HeapAlloc); grown > most {
		t.Errorf("%d uploads took %d MB", uploads, grown>>20)
	} else {
		t.Logf("%d uploads took %d MB", uploads, grown>>20)
	}
}
