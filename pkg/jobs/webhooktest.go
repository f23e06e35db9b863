package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
)

// ErrNoCourier says that no frontend delivered a test in time.
var ErrNoCourier = errors.New("no frontend delivered it in time: is one running?")

// TestWebhook sends a webhook an event of type webhook.test by the way of every
// event, and returns how it went. It is tried once, whatever events the webhook
// takes. The error is ErrNoWebhook where there is none, ErrNoCourier when ctx ended
// first: then nothing is sent later.
func (c *Conn) TestWebhook(ctx context.Context, id string) (Receipt, error) {
	r, err := c.testWebhook(ctx, id)
	if err != nil {
		return Receipt{}, fmt.Errorf("test webhook %q: %w", id, err)
	}
	return r, nil
}

func (c *Conn) testWebhook(ctx context.Context, id string) (Receipt, error) {
	w, err := c.findWebhook(ctx, id)
	if err != nil {
		return Receipt{}, err
	}
	if !w.Disabled.IsZero() {
		return Receipt{}, fmt.Errorf("its receiver said on %s that it is gone; create it anew", w.Disabled.Format(time.DateOnly))
	}
	e := Notice{ID: "evt_" + NewID().String(), Type: noticeTest, ObjectID: w.ID}
	body, err := e.complete(w.Tenant)
	if err != nil {
		return Receipt{}, err
	}
	sub, err := c.nc.SubscribeSync(c.n.tested(e.ID))
	if err != nil {
		return Receipt{}, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := c.flush(ctx); err != nil {
		return Receipt{}, err
	}
	subject := c.n.delivery(w.Tenant, w.ID, e.ID)
	var m *nats.Msg
	if err = c.putOnce(ctx, "store delivery", c.n.deliveriesStream(), subject, body); err == nil {
		m, err = sub.NextMsgWithContext(ctx)
	}
	if err != nil { // also of what was not acknowledged in time: it may be stored
		if ctx.Err() != nil {
			err = ErrNoCourier
		}
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptTimeout)
		defer cancel()
		return Receipt{}, errors.Join(err, c.purge(late, c.n.deliveriesStream(), subject))
	}
	var o outcome
	if err := json.Unmarshal(m.Data, &o); err != nil {
		return Receipt{}, fmt.Errorf("read receipt: %w", err)
	}
	return Receipt{Delivered: o.Delivered, Gone: o.Gone, Status: o.Status, Took: time.Duration(o.Took), Fault: o.Fault}, nil
}

// outcome is a receipt on its way to whoever tests.
type outcome struct {
	Delivered bool   `json:"delivered"`
	Gone      bool   `json:"gone,omitzero"`
	Status    int    `json:"status,omitzero"`
	Took      int64  `json:"took"` // nanoseconds
	Fault     string `json:"fault,omitzero"`
}

// report tells whoever waits for a test how it went.
func (k *Courier) report(d *Delivery, r Receipt) {
	data, err := json.Marshal(outcome{r.Delivered, r.Gone, r.Status, r.Took.Nanoseconds(), strings.ToValidUTF8(r.Fault, "?")})
	if err == nil {
		err = k.c.nc.PublishMsg(&nats.Msg{Subject: k.c.n.tested(d.Event), Data: data})
	}
	if err != nil {
		k.log.Warn("outcome of a webhook's test is not told", "webhook", d.Webhook.ID, "error", err)
	}
}
