package jobs

import (
	"time"

	"github.com/nats-io/nats.go"
)

// onControl takes what frontends say about attempts: acknowledgements, requests
// to send again, cancellations. An empty message asks whether this worker lives.
func (k *Consumer) onControl(m *nats.Msg) {
	if len(m.Data) == 0 {
		if m.Reply != "" {
			_ = m.Respond(nil)
		}
		return
	}
	rest, err := openMessage(m.Data)
	var f frame
	for err == nil && len(rest) > 0 {
		if f, rest, err = nextFrame(rest); err == nil {
			k.command(&f)
		}
	}
	if err != nil {
		k.log.Error("control message cannot be read", "subject", m.Subject, "error", err)
	}
}

func (k *Consumer) command(f *frame) {
	k.mu.Lock()
	a := k.byJob[f.job]
	if a == nil && (f.kind == ctlCancel || f.kind == ctlRevoke) {
		k.remember(f.job, f.kind == ctlRevoke)
	}
	k.mu.Unlock()
	if a == nil || (f.kind != ctlCancel && f.kind != ctlRevoke && a.number != f.attempt) {
		return
	}
	switch f.kind {
	case ctlAck:
		a.acknowledge(f.number)
		k.finish(a)
	case ctlResend:
		a.resend(f.number)
	case ctlCancel:
		a.leave(ErrCancelled)
		k.finish(a)
	case ctlRevoke:
		a.drop(ErrCancelled)
		k.finish(a)
	case ctlStale:
		a.drop(ErrSuperseded)
		k.finish(a)
	}
}

// remember keeps a cancellation for a job that may be on its way here. The caller
// holds k.mu.
func (k *Consumer) remember(id ID, revoked bool) {
	k.cancelled[id] = cancellation{time.Now(), revoked || k.cancelled[id].revoked}
}

// cancellation is what was said about a job that does not run here.
type cancellation struct {
	at      time.Time
	revoked bool // also a kept job is not to run
}

// forgetCancelled drops cancellations whose jobs have come by now, or never will.
func (k *Consumer) forgetCancelled(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, c := range k.cancelled {
		if now.Sub(c.at) > cancelMemory {
			delete(k.cancelled, id)
		}
	}
}
