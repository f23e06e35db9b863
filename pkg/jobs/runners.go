package jobs

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// spareRunners bounds the goroutines that wait for a job. Each keeps a stack of some
// 16 KB.
const spareRunners = 64

// runners are the goroutines that run jobs, one for each running job. One whose job is
// over waits for the next: a new goroutine begins with a small stack, which is copied
// several times before it is large enough to call a model, and that costs more than
// calling it.
type runners struct {
	run   func(m *nats.Msg, arrived time.Time)
	spare chan struct{} // a place for each that may wait
	next  chan arrival  // unbuffered: sent to one that waits
	over  chan struct{} // closed when none is to wait any more
	wg    sync.WaitGroup
}

// arrival is a delivered job.
type arrival struct {
	m  *nats.Msg
	at time.Time
}

func newRunners(run func(*nats.Msg, time.Time)) *runners {
	return &runners{run: run, spare: make(chan struct{}, spareRunners), next: make(chan arrival), over: make(chan struct{})}
}

// start runs a job. It does not block.
func (r *runners) start(a arrival) {
	select {
	case r.next <- a:
	default:
		r.wg.Go(func() { r.work(a) })
	}
}

func (r *runners) work(a arrival) {
	for {
		r.run(a.m, a.at)
		select {
		case r.spare <- struct{}{}:
		default:
			return
		}
		select {
		case a = <-r.next:
			<-r.spare
		case <-r.over:
			return
		}
	}
}

// wait blocks until no job runs; none may be started any more.
func (r *runners) wait() {
	closeOnce(r.over)
	r.wg.Wait()
}
