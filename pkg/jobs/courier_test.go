package jobs

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
	"github.com/osiris/osiris/pkg/protocol"
)

// mailbox is a receiver without HTTP: it notes what is posted and answers as the
// test says.
type mailbox struct {
	answer func(ctx context.Context, d *Delivery, attempt int) Receipt // nil: delivered

	mu    sync.Mutex
	posts []Delivery
	fates []Fate
}

func (b *mailbox) post(ctx context.Context, d *Delivery) Receipt {
	b.mu.Lock()
	b.posts = append(b.posts, *d)
	attempt := 0
	for _, p := range b.posts {
		if p.Event == d.Event && p.Webhook.ID == d.Webhook.ID {
			attempt++
		}
	}
	b.mu.Unlock()
	if b.answer == nil {
		return Receipt{Delivered: true, Status: http.StatusOK}
	}
	return b.answer(ctx, d, attempt)
}

func (b *mailbox) ended(_ *Delivery, _ Receipt, fate Fate, _ time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fates = append(b.fates, fate)
}

func (b *mailbox) got() ([]Delivery, []Fate) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.posts), slices.Clone(b.fates)
}

func failed(context.Context, *Delivery, int) Receipt {
	return Receipt{Status: http.StatusInternalServerError, Fault: "no"}
}

// courier starts one that ends with the test.
func (r *rig) courier(b *mailbox, pauses ...time.Duration) *Courier {
	r.t.Helper()
	return r.courierWith(b, CourierConfig{Pauses: pauses})
}

func (r *rig) courierWith(b *mailbox, cfg CourierConfig) *Courier {
	r.t.Helper()
	cfg.Ended = b.ended
	k, err := NewCourier(r.t.Context(), r.connect(), cfg, b.post)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { stopCourier(k, 0) })
	return k
}

func stopCourier(k *Courier, grace time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	k.Stop(ctx)
}

func (r *rig) webhook(tenant string, events ...string) Webhook {
	r.t.Helper()
	w, err := r.conn.CreateWebhook(r.t.Context(), WebhookSpec{URL: "https://example.com/" + tenant, Tenant: tenant, Events: events})
	if err != nil {
		r.t.Fatal(err)
	}
	return w
}

func (r *rig) notify(tenant, event, object string) {
	r.t.Helper()
	if err := r.conn.Notify(r.t.Context(), tenant, Notice{Type: event, ObjectID: object, Created: time.Unix(1700000000, 0)}); err != nil {
		r.t.Fatal(err)
	}
}

// handedOut waits until no event is left to hand out.
func (r *rig) handedOut() {
	r.t.Helper()
	within(r.t, patience, "events handed out", func() bool { return r.drained(r.conn.n.noticesStream()) })
}

// delivered waits until nothing is left to hand out or to deliver.
func (r *rig) delivered() {
	r.t.Helper()
	r.handedOut()
	within(r.t, patience, "deliveries gone", func() bool { return r.drained(r.conn.n.deliveriesStream()) })
}

func (r *rig) drained(stream string) bool {
	s, err := r.conn.js.Stream(r.t.Context(), stream)
	return err == nil && s.CachedInfo().State.Msgs == 0
}

func TestNoticeReachesWhoAskedForIt(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		all := r.webhook("acme")
		some := r.webhook("acme", NoticeBatchCompleted)
		other := r.webhook("acme", NoticeChatFailed)
		foreign := r.webhook("umbrella")
		var b mailbox
		r.courier(&b)
		r.notify("acme", NoticeBatchCompleted, "batch_1")
		r.notify("nobody", NoticeBatchCompleted, "batch_2")
		r.delivered()
		posts, _ := b.got()
		var got []string
		for _, p := range posts {
			got = append(got, p.Webhook.ID)
			want := `{"id":"` + p.Event + `","object":"event","created_at":1700000000,"type":"batch.completed","data":{"id":"batch_1"}}`
			if string(p.Body) != want {
				t.Errorf("body %s\nwant %s", p.Body, want)
			}
			if p.Webhook.Secret != all.Secret && p.Webhook.Secret != some.Secret || p.Test {
				t.Errorf("delivery %+v", p)
			}
		}
		slices.Sort(got)
		if want := slices.Sorted(slices.Values([]string{all.ID, some.ID})); !slices.Equal(got, want) {
			t.Errorf("delivered to %v, want %v (not %s, %s)", got, want, other.ID, foreign.ID)
		}
	})
}

// An event that is told again, at once or after it was delivered, is delivered once.
func TestNoticeIsToldOnce(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		r.webhook("acme")
		for range 3 {
			r.notify("acme", NoticeBatchFailed, "batch_1")
		}
		var b mailbox
		r.courier(&b)
		r.courier(&b)
		r.delivered()
		for range 3 {
			r.notify("acme", NoticeBatchFailed, "batch_1")
			r.delivered()
		}
		r.notify("acme", NoticeBatchExpired, "batch_1")
		r.notify("acme", NoticeBatchFailed, "batch_2")
		r.delivered()
		posts, _ := b.got()
		ids := map[string]int{}
		for _, p := range posts {
			ids[p.Event]++
		}
		if len(posts) != 3 || len(ids) != 3 {
			t.Errorf("posts by event: %v, want three events once each", ids)
		}
	})
}

// The end of a background job is told by who ended it: the worker, or who cancelled.
func TestBackgroundJobIsTold(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		r.webhook("acme")
		var b mailbox
		r.courier(&b)
		cl := r.client()
		submit := func() string {
			t.Helper()
			j := newJob("hello")
			j.Stream, j.Class, j.Keep = false, Background, &Keep{Background: true}
			if err := cl.SubmitBackground(t.Context(), j); err != nil {
				t.Fatal(err)
			}
			return "chatcmpl-" + j.ID.String()
		}
		cancelled := submit()
		id, err := ParseID(strings.TrimPrefix(cancelled, "chatcmpl-"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cl.CancelKept(t.Context(), "acme", id); err != nil {
			t.Fatal(err)
		}
		good, bad := submit(), submit()
		r.worker(2, func(_ context.Context, a *Attempt) (Outcome, error) {
			if "chatcmpl-"+a.Job().ID.String() == bad {
				return Outcome{}, protocol.ErrInvalid("", "", "no")
			}
			return Outcome{FinishReason: "stop"}, a.Answer([]byte(`{}`))
		})
		want := map[string]string{cancelled: NoticeChatCancelled, good: NoticeChatCompleted, bad: NoticeChatFailed}
		within(t, patience, "three events", func() bool { _, fates := b.got(); return len(fates) == 3 })
		r.empty()
		r.delivered()
		posts, _ := b.got()
		for _, p := range posts {
			var e payload
			if err := json.Unmarshal(p.Body, &e); err != nil || want[e.Data.ID] != e.Type {
				t.Errorf("told of %s: %s, want %s; %v", e.Data.ID, e.Type, want[e.Data.ID], err)
			}
			delete(want, e.Data.ID)
		}
		if len(want) > 0 || len(posts) != 3 {
			t.Errorf("%d posts; not told of %v", len(posts), want)
		}
	})
}

// What is no event of ours does not stop those that are.
func TestRubbishIsDropped(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		w := r.webhook("acme")
		n := r.conn.n
		for subject, data := range map[string]string{
			n.notice("acme", "evt_1"):             "",
			n.notice("acme", "evt_2"):             "{",
			n.notice("acme", "evt_3"):             `[]`,
			n.notice("acme", "evt_4"):             `{"type":7}`,
			n.notice("acme", "evt_5"):             `{}`,
			n.notice("acme.b", "evt_6"):           `{"type":"batch.completed"}`,
			n.notice("nobody", "evt_7"):           `{"type":"batch.completed"}`,
			n.delivery("acme", w.ID, "evt_8"):     "rubbish",
			n.delivery("acme", w.ID, "evt_9"):     `{"type":"batch.done"}`,
			n.delivery("acme", w.ID, "evt_10.x"):  `{"type":"batch.completed"}`,
			n.delivery("acme", "wh_no", "evt_11"): `{"type":"batch.completed"}`,
			n.delivery("x", w.ID, "evt_12"):       `{"type":"batch.completed"}`,
		} {
			if _, err := r.conn.js.Publish(t.Context(), subject, []byte(data)); err != nil {
				t.Fatal(err)
			}
		}
		var b mailbox
		r.courier(&b)
		r.notify("acme", NoticeBatchCompleted, "batch_1")
		r.delivered()
		if posts, _ := b.got(); len(posts) != 1 || !strings.Contains(string(posts[0].Body), "batch_1") {
			t.Errorf("delivered: %v", posts)
		}
	})
}

func TestDeliveryIsRetried(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		r.webhook("acme")
		b := mailbox{answer: func(_ context.Context, _ *Delivery, attempt int) Receipt {
			return Receipt{Delivered: attempt == 3, Status: 500}
		}}
		r.courier(&b, slices.Repeat([]time.Duration{50 * time.Millisecond}, 200)...) // the age decides, so many
		r.notify("acme", NoticeChatCompleted, "chatcmpl-1")
		r.delivered()
		posts, fates := b.got()
		if want := []Fate{FateRetried, FateRetried, FateDelivered}; !slices.Equal(fates, want) {
			t.Fatalf("fates %v, want %v", fates, want)
		}
		for _, p := range posts {
			if p.Event != posts[0].Event || string(p.Body) != string(posts[0].Body) {
				t.Errorf("attempts differ: %+v, %+v", p, posts[0])
			}
		}
		if posts[2].Age <= posts[0].Age {
			t.Errorf("ages %s, %s", posts[0].Age, posts[2].Age)
		}
	})
}

func TestDeliveryIsGivenUp(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		r.webhook("acme")
		b := mailbox{answer: failed}
		r.courier(&b, 10*time.Millisecond)
		r.notify("acme", NoticeChatFailed, "chatcmpl-1")
		r.delivered()
		_, fates := b.got()
		if n := len(fates); n == 0 || fates[n-1] != FateFailed || slices.Contains(fates, FateDelivered) {
			t.Errorf("fates %v, want failed at the end", fates)
		}
	})
}

// A delivery that found no place until the stream would drop it is given up aloud.
func TestDeliveryIsGivenUpUntried(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		r.webhook("acme")
		busy := make(chan struct{})
		b := mailbox{answer: func(ctx context.Context, _ *Delivery, _ int) Receipt {
			close(busy)
			<-ctx.Done()
			return Receipt{}
		}}
		k := r.courierWith(&b, CourierConfig{Concurrency: 3})
		r.notify("acme", NoticeBatchCompleted, "batch_1")
		<-busy
		k.skew.Store(int64(deliveryAge)) // whatever comes now is four days old
		r.notify("acme", NoticeBatchCompleted, "batch_2")
		within(t, patience, "given up", func() bool {
			_, fates := b.got()
			return slices.Equal(fates, []Fate{FateFailed})
		})
		if posts, _ := b.got(); len(posts) != 1 {
			t.Errorf("%d posts", len(posts))
		}
	})
}

// A courier that stops, or dies, in the middle of a delivery leaves it to another.
func TestDeliverySurvivesItsCourier(t *testing.T) {
	for _, death := range []bool{false, true} {
		t.Run(fmt.Sprintf("death=%t", death), func(t *testing.T) {
			eachRig(t, func(t *testing.T, r *rig) {
				r.webhook("acme")
				began := make(chan struct{}, 10)
				first := mailbox{answer: func(ctx context.Context, _ *Delivery, _ int) Receipt {
					began <- struct{}{}
					<-ctx.Done()
					return Receipt{Fault: ctx.Err().Error()}
				}}
				conn := r.connect()
				k, err := NewCourier(t.Context(), conn, CourierConfig{Ended: first.ended, lease: 2 * time.Second}, first.post)
				if err != nil {
					t.Fatal(err)
				}
				defer stopCourier(k, 0)
				r.notify("acme", NoticeBatchCompleted, "batch_1")
				<-began
				r.handedOut()
				if death {
					conn.nc.Close()
				}
				stopCourier(k, 0)
				if _, fates := first.got(); len(fates) != 0 {
					t.Errorf("an attempt that was broken off counts: %v", fates)
				}
				var second mailbox
				r.courierWith(&second, CourierConfig{lease: 2 * time.Second})
				r.delivered()
				if _, fates := second.got(); !slices.Equal(fates, []Fate{FateDelivered}) {
					t.Errorf("fates %v", fates)
				}
			})
		})
	}
}

// A courier may die between the deliveries of an event and its note that they are
// stored. The next one hands the event out again, to nobody.
func TestEventHandedOutAgain(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		r.webhook("acme")
		var b mailbox
		r.courier(&b)
		r.notify("acme", NoticeBatchCompleted, "batch_1")
		r.delivered()
		if err := r.conn.purge(t.Context(), r.conn.n.noticedStream(), r.conn.n.noticedFilter()); err != nil {
			t.Fatal(err)
		}
		r.notify("acme", NoticeBatchCompleted, "batch_1")
		r.delivered()
		if posts, fates := b.got(); len(posts) != 1 {
			t.Errorf("%d posts, fates %v", len(posts), fates)
		}
	})
}

func TestDeletedWebhookIsLeftAlone(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		w := r.webhook("acme")
		b := mailbox{answer: failed}
		r.courier(&b, 300*time.Millisecond, time.Hour)
		r.notify("acme", NoticeBatchCompleted, "batch_1")
		within(t, patience, "first attempt failed", func() bool { _, fates := b.got(); return len(fates) == 1 })
		if got, err := r.conn.DeleteWebhook(t.Context(), w.ID); err != nil || got.ID != w.ID {
			t.Fatalf("delete: %v", err)
		}
		r.delivered()
		r.notify("acme", NoticeBatchCompleted, "batch_2")
		r.delivered()
		if posts, _ := b.got(); len(posts) != 1 {
			t.Errorf("%d posts, want the one before", len(posts))
		}
		if all, err := r.conn.Webhooks(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("webhooks %v, %v", all, err)
		}
		if _, err := r.conn.DeleteWebhook(t.Context(), w.ID); err == nil || !strings.Contains(err.Error(), ErrNoWebhook.Error()) {
			t.Errorf("delete again: %v", err)
		}
	})
}

func TestGoneReceiverIsSwitchedOff(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		w := r.webhook("acme")
		b := mailbox{answer: func(context.Context, *Delivery, int) Receipt { return Receipt{Gone: true, Status: http.StatusGone} }}
		r.courier(&b)
		r.notify("acme", NoticeBatchCompleted, "batch_1")
		r.delivered()
		within(t, patience, "switched off", func() bool {
			all, err := r.conn.Webhooks(t.Context())
			return err == nil && len(all) == 1 && !all[0].Disabled.IsZero()
		})
		r.notify("acme", NoticeBatchCompleted, "batch_2")
		r.delivered()
		if posts, fates := b.got(); len(posts) != 1 || !slices.Equal(fates, []Fate{FateFailed}) {
			t.Errorf("%d posts, fates %v", len(posts), fates)
		}
		if _, err := r.conn.TestWebhook(t.Context(), w.ID); err == nil || !strings.Contains(err.Error(), "gone") {
			t.Errorf("test of a webhook that is gone: %v", err)
		}
	})
}

// An endpoint that hangs and one that is dead delay nobody else, even of the same
// tenant, and hold only their share.
func TestSlowEndpointDelaysNobody(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		slow, dead := r.webhook("acme", NoticeChatCompleted), r.webhook("acme", NoticeChatFailed)
		good := r.webhook("acme", NoticeBatchCompleted)
		foreign := r.webhook("umbrella")
		release := make(chan struct{})
		defer close(release)
		var mu sync.Mutex
		running, most := 0, 0
		b := mailbox{answer: func(ctx context.Context, d *Delivery, _ int) Receipt {
			switch d.Webhook.ID {
			case slow.ID:
				mu.Lock()
				running++
				most = max(most, running)
				mu.Unlock()
				select {
				case <-release:
				case <-ctx.Done():
				}
				mu.Lock()
				running--
				mu.Unlock()
			case dead.ID:
				return Receipt{Fault: "dead"}
			}
			return Receipt{Delivered: true}
		}}
		r.courierWith(&b, CourierConfig{Concurrency: 32, Pauses: []time.Duration{time.Millisecond, time.Hour}})
		for i := range 60 {
			r.notify("acme", NoticeChatCompleted, fmt.Sprint("chatcmpl-", i))
			r.notify("acme", NoticeChatFailed, fmt.Sprint("chatcmpl-", i))
		}
		r.notify("acme", NoticeBatchCompleted, "batch_1")
		r.notify("umbrella", NoticeBatchCompleted, "batch_1")
		within(t, patience, "others delivered", func() bool {
			posts, _ := b.got()
			return slices.ContainsFunc(posts, func(d Delivery) bool { return d.Webhook.ID == good.ID }) &&
				slices.ContainsFunc(posts, func(d Delivery) bool { return d.Webhook.ID == foreign.ID })
		})
		mu.Lock()
		defer mu.Unlock()
		if most > 2 {
			t.Errorf("%d deliveries to one endpoint at once, want 2 of 32 at most", most)
		}
	})
}

func TestTestOfAWebhook(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		w := r.webhook("acme", NoticeBatchCompleted)
		short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, err := r.conn.TestWebhook(short, w.ID); err == nil || !strings.Contains(err.Error(), ErrNoCourier.Error()) {
			t.Errorf("without a frontend: %v", err)
		}
		b := mailbox{answer: func(_ context.Context, d *Delivery, _ int) Receipt {
			if !d.Test || !strings.Contains(string(d.Body), `"type":"webhook.test","data":{"id":"`+w.ID+`"}`) {
				t.Errorf("delivery %+v, body %s", d, d.Body)
			}
			return Receipt{Status: 503, Took: 12 * time.Millisecond, Fault: "answered with status 503"}
		}}
		r.courier(&b)
		long, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		got, err := r.conn.TestWebhook(long, w.ID)
		if want := (Receipt{Status: 503, Took: 12 * time.Millisecond, Fault: "answered with status 503"}); err != nil || got != want {
			t.Errorf("receipt %+v, %v", got, err)
		}
		r.delivered()
		if posts, fates := b.got(); len(posts) != 1 || !slices.Equal(fates, []Fate{FateFailed}) {
			t.Errorf("%d posts (the one that nobody took is not sent later), fates %v", len(posts), fates)
		}
		if _, err := r.conn.TestWebhook(t.Context(), "wh_nobody"); err == nil || !strings.Contains(err.Error(), ErrNoWebhook.Error()) {
			t.Errorf("unknown webhook: %v", err)
		}
	})
}

// Streams and consumers that are deleted in the broker come back.
func TestCourierMendsItsStreams(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		r.webhook("acme")
		var b mailbox
		r.courier(&b)
		for _, stream := range []string{r.conn.n.noticesStream(), r.conn.n.deliveriesStream()} {
			if err := r.conn.js.DeleteConsumer(t.Context(), stream, courierName); err != nil {
				t.Fatal(err)
			}
			if err := r.conn.js.DeleteStream(t.Context(), stream); err != nil {
				t.Fatal(err)
			}
		}
		r.notify("acme", NoticeBatchCompleted, "batch_1")
		within(t, patience, "delivered", func() bool { _, fates := b.got(); return len(fates) == 1 })
	})
}

// A broker that restarts keeps what waits for a later attempt.
func TestDeliverySurvivesTheBroker(t *testing.T) {
	t.Parallel()
	r := newRig(t, natstest.Own(t, 1), Config{})
	r.webhook("acme")
	b := mailbox{answer: func(_ context.Context, _ *Delivery, attempt int) Receipt { return Receipt{Delivered: attempt == 2} }}
	r.courier(&b, slices.Repeat([]time.Duration{2 * time.Second}, 10)...)
	r.notify("acme", NoticeBatchCompleted, "batch_1")
	within(t, patience, "first attempt failed", func() bool { _, fates := b.got(); return len(fates) == 1 })
	r.nats.Kill(0)
	r.nats.Restart(t, 0)
	within(t, patience, "delivered", func() bool {
		_, fates := b.got()
		return slices.Equal(fates, []Fate{FateRetried, FateDelivered})
	})
}
