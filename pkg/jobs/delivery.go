package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"
)

// maxRetryAfter bounds the pause that a receiver can ask for.
const maxRetryAfter = time.Hour

// handOut makes a delivery of an event for every webhook that takes it. It can be
// broken off anywhere and begun again: deliveries that wait are not doubled, and
// once all are stored the event is remembered.
func (k *Courier) handOut(m jetstream.Msg) {
	ctx, cancel := context.WithTimeout(k.root, courierStep)
	defer cancel()
	err := k.handOutEvent(ctx, m)
	switch {
	case errors.Is(err, errUnreadable):
		k.log.Error("event for webhooks cannot be read and is dropped", "subject", m.Subject(), "error", err)
		k.remove(m)
	case err != nil:
		k.log.Warn("event for webhooks is handed out later", "subject", m.Subject(), "error", err)
		_ = m.NakWithDelay(courierAgain)
	default:
		k.remove(m)
	}
}

// errUnreadable says that a message in a queue of webhooks is none that Osiris makes.
var errUnreadable = errors.New("not what is stored here")

func (k *Courier) handOutEvent(ctx context.Context, m jetstream.Msg) error {
	at := strings.Split(strings.TrimPrefix(m.Subject(), strings.TrimSuffix(k.c.n.noticesFilter(), ">")), ".")
	var e payload
	if err := json.Unmarshal(m.Data(), &e); err != nil || len(at) != 2 {
		return errUnreadable
	}
	tenant, event := at[0], at[1]
	hooks, err := k.c.webhooksOf(ctx, tenant)
	if err != nil {
		return err
	}
	told := false // looked up once somebody wants to know
	for i := range hooks {
		if !hooks[i].takes(e.Type) {
			continue
		}
		if !told {
			told = true
			_, err := k.c.leaderGet(ctx, k.c.n.noticedStream(), question{LastFor: k.c.n.noticed(tenant, event)})
			if !errors.Is(err, errNotStored) {
				return err // told before, or not to be known
			}
		}
		if err := k.c.putOnce(ctx, "store delivery", k.c.n.deliveriesStream(), k.c.n.delivery(tenant, hooks[i].ID, event), m.Data()); err != nil {
			return err
		}
	}
	if !told {
		return nil
	}
	return k.c.putOnce(ctx, "remember event", k.c.n.noticedStream(), k.c.n.noticed(tenant, event), nil)
}

// putOnce publishes a message unless its subject has one, or had one within the last
// minutes: an event that is handed out again after a courier's death may find its first
// delivery done already.
func (c *Conn) putOnce(ctx context.Context, what, stream, subject string, data []byte) error {
	err := c.persist(ctx, what, func(ctx context.Context) error {
		_, err := c.js.Publish(ctx, subject, data, jetstream.WithExpectStream(stream),
			jetstream.WithExpectLastSequencePerSubject(0), jetstream.WithMsgID(subject))
		if refusedAsTaken(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// deliver makes one attempt at a delivery, if its endpoint has a place for it.
func (k *Courier) deliver(m jetstream.Msg) {
	at := strings.Split(strings.TrimPrefix(m.Subject(), strings.TrimSuffix(k.c.n.deliveriesFilter(), ">")), ".")
	age, err := k.age(m)
	var e payload
	if err != nil || len(at) != 3 || json.Unmarshal(m.Data(), &e) != nil {
		k.log.Error("delivery to a webhook cannot be read and is dropped", "subject", m.Subject())
		k.remove(m)
		return
	}
	tenant, hook := at[0], at[1]
	d := &Delivery{Event: at[2], Body: m.Data(), Age: age, Test: e.Type == noticeTest}
	if !d.Test { // someone waits for a test
		if putOff := k.enter(hook, tenant); putOff > 0 {
			k.putOff(m, d, &Webhook{ID: hook, Tenant: tenant}, putOff)
			return
		}
		defer k.leave(hook, tenant)
	}
	read, cancel := context.WithTimeout(k.root, courierStep)
	w, _, err := k.c.webhook(read, tenant, hook)
	cancel()
	switch {
	case errors.Is(err, ErrNoWebhook) || err == nil && !w.takes(e.Type):
		k.remove(m) // deleted or switched off meanwhile
		return
	case err != nil:
		k.log.Warn("delivery to a webhook is tried later", "webhook", hook, "event", d.Event, "error", err)
		_ = m.NakWithDelay(courierAgain)
		return
	}
	d.Webhook = &w
	r := k.attempt(m, d)
	if k.root.Err() != nil && !r.Delivered {
		_ = m.NakWithDelay(pullBackoff) // broken off by Stop, which is no failure of the receiver
		return
	}
	if !d.Test {
		k.learn(hook, r)
	}
	k.conclude(m, d, r)
}

// putOff hands back a delivery that found no place. One that the stream would drop
// before it comes again is given up aloud.
func (k *Courier) putOff(m jetstream.Msg, d *Delivery, w *Webhook, pause time.Duration) {
	if d.Age+pause < deliveryAge-time.Hour {
		_ = m.NakWithDelay(pause)
		return
	}
	d.Webhook = w
	k.cfg.Ended(d, Receipt{Fault: "its endpoint had no place for it for days"}, FateFailed, 0)
	k.remove(m)
}

// attempt posts d while it holds the lease.
func (k *Courier) attempt(m jetstream.Msg, d *Delivery) Receipt {
	ctx, cancel := context.WithCancel(k.root)
	defer cancel()
	held := make(chan struct{})
	k.wg.Go(func() {
		defer close(held)
		tick := time.NewTicker(k.cfg.lease / 3)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_ = m.InProgress() // what is missed brings the delivery twice, no more
			}
		}
	})
	defer func() { cancel(); <-held }()
	return k.post(ctx, d)
}

// conclude decides what becomes of a delivery after an attempt.
func (k *Courier) conclude(m jetstream.Msg, d *Delivery, r Receipt) {
	pause, again := pauseAfter(k.cfg.Pauses, d.Age)
	switch {
	case d.Test:
		k.report(d, r)
		again = false
	case r.Delivered, r.Gone:
		again = false
	}
	if again {
		pause = jitter(max(pause, min(r.RetryAfter, maxRetryAfter)))
		k.cfg.Ended(d, r, FateRetried, pause)
		_ = m.NakWithDelay(pause)
		return
	}
	fate := FateFailed
	if r.Delivered {
		fate = FateDelivered
	}
	k.cfg.Ended(d, r, fate, 0)
	if r.Gone && !d.Test {
		k.disable(d.Webhook)
	}
	k.remove(m)
}

// disable switches off a webhook whose receiver is gone. If that fails, the next
// event tries again.
func (k *Courier) disable(w *Webhook) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(k.root), courierStep)
	defer cancel()
	if err := k.c.disableWebhook(ctx, w.Tenant, w.ID); err != nil {
		k.log.Warn("webhook that is gone stays switched on", "webhook", w.ID, "error", err)
	}
}

// remove takes m out of its queue. That it is confirmed spares a repetition if the
// connection breaks; nothing depends on it.
func (k *Courier) remove(m jetstream.Msg) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(k.root), attemptTimeout)
	defer cancel()
	_ = m.DoubleAck(ctx)
}

func (k *Courier) enter(hook, tenant string) (putOff time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lanes.enter(hook, tenant, time.Now())
}

func (k *Courier) leave(hook, tenant string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lanes.leave(hook, tenant)
}

func (k *Courier) learn(hook string, r Receipt) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lanes.learn(hook, time.Now(), r.Took, r.Delivered)
}
