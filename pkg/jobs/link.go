package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	questionEvery = 2 * time.Second // a frontend whose jobs run here is asked so often whether it lives
	questionWait  = time.Second
	goneAfter     = 5 * time.Second // a frontend that nobody answers for so long is gone; a reconnect is faster
	linkIdle      = time.Minute
)

// link is a worker's side of one frontend: where its events go, and whether it
// still lives. One question per frontend, not per job, finds that out.
type link struct {
	frontend string
	out      *outbox
	local    *localWay

	// Guarded by Consumer.mu.
	attempts int
	used     time.Time
	asked    time.Time
	asking   bool
	gone     time.Time // since when nobody answers; zero while somebody does
}

// linkTo returns the link to a frontend and counts an attempt in.
func (k *Consumer) linkTo(frontend string) *link {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.links[frontend]
	if l == nil {
		l = k.newLink(frontend)
		k.links[frontend] = l
	}
	if l.attempts == 0 { // nobody asked meanwhile: what was found before is void
		l.asked, l.gone = time.Now(), time.Time{}
	}
	l.attempts++
	l.out.join()
	return l
}

func (k *Consumer) newLink(frontend string) *link {
	local := &localWay{conn: k.conn, frontend: frontend, control: k.control}
	local.open()
	send := func(subject string, data []byte) error {
		if local.send(data) {
			return nil
		}
		return k.conn.nc.PublishRequest(subject, k.control, data) // the reply subject names this worker
	}
	return &link{frontend: frontend, local: local, out: newOutbox(send, k.conn.n.eventsMany(frontend), maxWindow)}
}

func (k *Consumer) unlink(l *link) {
	k.mu.Lock()
	l.attempts--
	l.used = time.Now()
	k.mu.Unlock()
	l.out.leave()
}

// question asks the frontends of running jobs whether they live, and cancels the
// jobs of those that do not.
func (k *Consumer) question(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, l := range k.links {
		switch {
		case l.attempts == 0:
			if now.Sub(l.used) > linkIdle {
				l.local.close()
				delete(k.links, name)
			}
		case !l.gone.IsZero() && now.Sub(l.gone) > goneAfter:
			k.cancelAll(l, ErrFrontendGone)
		}
		if l.attempts > 0 && !l.asking && now.Sub(l.asked) >= questionEvery {
			l.asking, l.asked = true, now
			k.aux.Go(func() { k.askFrontend(l) })
		}
	}
}

func (k *Consumer) askFrontend(l *link) {
	l.local.open() // it may have begun anew
	ctx, cancel := context.WithTimeout(k.stop, questionWait)
	defer cancel()
	_, err := k.conn.nc.RequestWithContext(ctx, k.conn.n.wanted(l.frontend), nil)
	k.mu.Lock()
	defer k.mu.Unlock()
	l.asking = false
	switch {
	case !errors.Is(err, nats.ErrNoResponders): // it answered, or nothing was learned: an outage here is no proof
		l.gone = time.Time{}
	case l.gone.IsZero():
		l.gone = time.Now()
	}
}

// cancelAll ends every attempt for a frontend, or its telling of a kept job. The
// caller holds k.mu.
func (k *Consumer) cancelAll(l *link, cause error) {
	for _, a := range k.attempts {
		if a.link == l {
			a.leave(cause)
		}
	}
}

// wanted asks the frontend whether a job delivered before is still wanted. Silence
// counts as yes; that nobody is there, as no.
func (k *Consumer) wanted(frontend string, id ID) bool {
	ctx, cancel := context.WithTimeout(k.stop, questionWait)
	defer cancel()
	m, err := k.conn.nc.RequestWithContext(ctx, k.conn.n.wanted(frontend), id[:])
	if err != nil {
		return !errors.Is(err, nats.ErrNoResponders)
	}
	return len(m.Data) == 0 || m.Data[0] == 1
}
