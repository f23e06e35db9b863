package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	courierName  = "couriers"       // of the durable consumers, one in each stream
	courierLease = 30 * time.Second // on an event or a delivery
	courierFetch = 5 * time.Second  // how long a pull waits
	courierPause = time.Second      // after a pull that failed
	courierStep  = 15 * time.Second // bounds what the broker is asked for one message
	courierTend  = time.Minute      // between two looks at the broker's clock
	courierAgain = 5 * time.Second  // before what the broker would not answer is tried again
	fanOutSlots  = 4                // events that are handed out at once
	maxFetch     = 64
)

// Delivery is one attempt to tell one webhook of one event.
type Delivery struct {
	Webhook *Webhook
	Event   string        // its id: the same in every attempt
	Body    []byte        // the event, the same bytes in every attempt
	Age     time.Duration // since the first attempt was due
	Test    bool          // sent by TestWebhook: tried once
}

// Receipt says how an attempt went.
type Receipt struct {
	Delivered  bool
	Gone       bool // the receiver wants no more: the webhook is switched off
	Status     int  // HTTP; 0: there was no answer
	Took       time.Duration
	RetryAfter time.Duration // what the receiver asks for; at most an hour counts
	Fault      string        // what went wrong, for people; without address and secret
}

// Fate is what became of a delivery after an attempt.
type Fate string

// The fates of a delivery.
const (
	FateDelivered Fate = "delivered"
	FateRetried   Fate = "retried" // it failed, and is tried again later
	FateFailed    Fate = "failed"  // it failed for the last time
)

// CourierConfig configures a Courier. The zero value of every field is a sensible
// default.
type CourierConfig struct {
	// Concurrency is how many deliveries may be under way at once, 128 if 0. One
	// endpoint takes a sixteenth of it at most, one tenant a quarter.
	Concurrency int
	// Pauses between the attempts at a delivery; nil: from seconds to hours, three
	// days in all.
	Pauses []time.Duration
	// Ended hears of every attempt, from any goroutine, and of deliveries given up
	// untried, whose webhook is known by id and tenant alone. pause is that before
	// the next attempt of a retried one.
	Ended  func(d *Delivery, r Receipt, fate Fate, pause time.Duration)
	Logger *slog.Logger

	lease time.Duration // courierLease if 0
}

// Post makes one attempt at a delivery and returns how it went. It may be called by
// any number of goroutines, and must return soon after ctx ends.
type Post func(ctx context.Context, d *Delivery) Receipt

// Courier hands events out to webhooks and delivers them: at least once, since the
// answer to a delivery can be lost with whoever waited for it. Any number of
// couriers share the work; what one leaves undone another goes on with.
type Courier struct {
	c    *Conn
	cfg  CourierConfig
	post Post
	log  *slog.Logger
	skew atomic.Int64 // nanoseconds that the broker's clock is ahead

	stop       context.Context // ends when nothing new is begun
	stopCancel context.CancelFunc
	root       context.Context // ends when what is under way is broken off
	rootCancel context.CancelFunc
	wg         sync.WaitGroup

	mu    sync.Mutex
	lanes lanes
}

// NewCourier starts a courier, which works until Stop. It makes the consumers that
// are missing, and keeps trying until ctx ends.
func NewCourier(ctx context.Context, c *Conn, cfg CourierConfig, post Post) (*Courier, error) {
	setDefault(&cfg.Concurrency, 128)
	setDefault(&cfg.lease, courierLease)
	if cfg.Concurrency < 0 {
		return nil, fmt.Errorf("start courier: concurrency %d: must not be negative", cfg.Concurrency)
	}
	if cfg.Pauses == nil {
		cfg.Pauses = deliveryPauses()
	}
	if cfg.Ended == nil {
		cfg.Ended = func(*Delivery, Receipt, Fate, time.Duration) {}
	}
	if cfg.Logger == nil {
		cfg.Logger = c.log
	}
	k := &Courier{c: c, cfg: cfg, post: post, log: cfg.Logger, lanes: newLanes(cfg.Concurrency)}
	for _, stream := range []string{c.n.noticesStream(), c.n.deliveriesStream()} {
		if err := k.ensureConsumer(ctx, stream); err != nil {
			return nil, fmt.Errorf("start courier: %w", err)
		}
	}
	k.stop, k.stopCancel = context.WithCancel(context.Background())
	k.root, k.rootCancel = context.WithCancel(context.Background())
	k.readClock()
	k.wg.Go(k.tend)
	k.wg.Go(func() { k.take(c.n.noticesStream(), fanOutSlots, k.handOut) })
	k.wg.Go(func() { k.take(c.n.deliveriesStream(), cfg.Concurrency, k.deliver) })
	return k, nil
}

// Stop begins nothing new and waits for the deliveries under way; when ctx ends
// first they are broken off and handed back. Nothing of the courier runs when it
// returns. Calling it again does nothing.
func (k *Courier) Stop(ctx context.Context) {
	k.stopCancel()
	defer context.AfterFunc(ctx, k.rootCancel)()
	k.wg.Wait()
	k.rootCancel()
}

func (k *Courier) ensureConsumer(ctx context.Context, stream string) error {
	return k.c.persist(ctx, "make consumer of "+stream, func(ctx context.Context) error {
		_, err := k.c.js.Consumer(ctx, stream, courierName)
		if !hasCode(err, jetstream.JSErrCodeConsumerNotFound) {
			return err
		}
		_, err = k.c.js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
			Durable: courierName, Description: "frontends, which deliver to webhooks",
			AckPolicy: jetstream.AckExplicitPolicy, AckWait: k.cfg.lease,
			MaxDeliver: -1, MaxAckPending: -1,
		})
		return err
	})
}

// take pulls messages of a stream and gives each to handle in a goroutine of its
// own, never more than slots of them. Each pull is a request of its own with a bound
// on its wait: the library's iterators can stall.
func (k *Courier) take(stream string, slots int, handle func(jetstream.Msg)) {
	free := make(chan struct{}, slots)
	var consumer jetstream.Consumer
	for k.stop.Err() == nil {
		n := k.occupy(free)
		got, err := 0, error(nil)
		if consumer == nil {
			ctx, cancel := context.WithTimeout(k.stop, attemptTimeout)
			consumer, err = k.c.js.Consumer(ctx, stream, courierName)
			cancel()
		}
		if err == nil && n > 0 {
			got, err = k.fetch(consumer, n, func(m jetstream.Msg) {
				k.wg.Go(func() {
					defer func() { <-free }()
					if k.stop.Err() != nil { // the pull may still be open: not straight back to it
						_ = m.NakWithDelay(pullBackoff)
						return
					}
					handle(m)
				})
			})
		}
		for range n - got {
			<-free
		}
		if err != nil {
			consumer = nil
			k.mend(stream, err)
		}
	}
}

// occupy waits for a free slot and takes all that are free, up to maxFetch. It
// returns 0 when the courier stops.
func (k *Courier) occupy(free chan<- struct{}) (n int) {
	select {
	case free <- struct{}{}:
		n++
	case <-k.stop.Done():
		return 0
	}
	for n < maxFetch {
		select {
		case free <- struct{}{}:
			n++
		default:
			return n
		}
	}
	return n
}

// fetch pulls up to n messages and returns how many came. What comes in the moment
// in which the courier stops may wait for its lease to run out.
func (k *Courier) fetch(consumer jetstream.Consumer, n int, each func(jetstream.Msg)) (got int, err error) {
	ctx, cancel := context.WithTimeout(k.stop, courierFetch)
	defer cancel()
	batch, err := consumer.Fetch(n, jetstream.FetchContext(ctx))
	if err != nil {
		return 0, err
	}
	for m := range batch.Messages() {
		got++
		each(m)
	}
	return got, batch.Error()
}

// mend waits after a pull that failed, and makes a stream or consumer that was
// deleted again.
func (k *Courier) mend(stream string, err error) {
	if k.stop.Err() != nil {
		return
	}
	k.log.Debug("pull of webhooks' work failed", "stream", stream, "error", err)
	select {
	case <-k.stop.Done():
		return
	case <-time.After(courierPause):
	}
	ctx, cancel := context.WithTimeout(k.stop, courierStep)
	defer cancel()
	_, err = k.c.restoreStreams(ctx)
	if err == nil {
		err = k.ensureConsumer(ctx, stream)
	}
	if err != nil && k.stop.Err() == nil {
		k.log.Warn("webhooks wait for nats", "stream", stream, "error", err)
	}
}

// tend compares clocks, and forgets endpoints that are no longer heard of.
func (k *Courier) tend() {
	tick := time.NewTicker(courierTend)
	defer tick.Stop()
	for {
		select {
		case <-k.stop.Done():
			return
		case now := <-tick.C:
			k.readClock()
			k.mu.Lock()
			k.lanes.sweep(now)
			k.mu.Unlock()
		}
	}
}

// readClock compares this machine's clock with the broker's, by which deliveries age.
func (k *Courier) readClock() {
	if skew, err := k.c.clockSkew(k.stop); err == nil { // else the last comparison stands
		k.skew.Store(int64(skew))
	}
}

// age is how long ago the broker stored m.
func (k *Courier) age(m jetstream.Msg) (time.Duration, error) {
	meta, err := m.Metadata()
	if err != nil {
		return 0, err
	}
	return max(time.Since(meta.Timestamp)+time.Duration(k.skew.Load()), 0), nil
}
