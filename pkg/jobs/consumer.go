package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	tendEvery     = 100 * time.Millisecond // while jobs run; else each beatEvery
	stuckAfter    = 5 * time.Second        // a handler that goes on for so long after the end of its context is reported
	silentAfter   = 3 * time.Second        // an attempt that emitted nothing for so long sends a heartbeat
	insistEvery   = time.Second            // the end of an attempt is told again until the frontend has it
	insistFor     = 30 * time.Second
	announceEvery = 10 * time.Second
	restoreEvery  = 5 * time.Second  // streams and consumers are looked after at most so often
	cancelMemory  = 30 * time.Second // a cancellation is remembered for a job that is still on its way
	lastWords     = 2 * time.Second  // for usage and final events to be confirmed at the end
)

// ConsumeConfig configures a worker.
type ConsumeConfig struct {
	WorkerID string // "" for a random one
	Pool     string // "default" if empty
	Slots    int    // jobs that run at the same time; 1 if 0
	Reserved int    // slots that only interactive jobs may use; less than Slots
	Version  string // of the program, for the list of workers
	Logger   *slog.Logger
}

// Handler runs one attempt of a job; its error alone decides what becomes of it.
//
//   - nil: the answer is complete. Done is sent, usage stored, the job removed.
//   - ErrHandBack in the chain: the job goes to another worker; nothing may have been emitted.
//   - any other error: the job failed. The client gets the *protocol.Error in the chain.
//
// When ctx ends, context.Cause says why: ErrCancelled or ErrFrontendGone (nobody
// wants the answer), ErrExpired (its deadline passed), ErrSuperseded (the broker
// gave the job out again), ErrShutdown (the worker stops; an attempt whose text
// nobody has seen is handed back whatever the handler returns). The outcome's
// usage is recorded in every case.
type Handler func(ctx context.Context, a *Attempt) (Outcome, error)

// Consumer takes jobs from a pool's queues and runs them, never more than it has
// slots.
type Consumer struct {
	conn    *Conn
	cfg     ConsumeConfig
	log     *slog.Logger
	handler Handler

	inbox       string // replies to pull requests
	usageInbox  string
	replayInbox string // confirmations of stored events
	control     string // this worker's address
	instance    string // that of this start of it
	interactive string // beginning of the subjects of interactive jobs
	subs        []*nats.Subscription
	pullSub     *nats.Subscription

	root       context.Context // parent of the attempts' contexts; ended with ErrShutdown
	rootCancel context.CancelCauseFunc
	stop       context.Context // ends when nothing of the consumer may go on
	stopCancel context.CancelFunc
	runners    *runners       // of attempts
	rings      ringBuffers    // of attempts
	aux        sync.WaitGroup // everything else
	missing    atomic.Bool    // a stream or the pool's consumers may be missing
	skew       atomic.Int64   // nanoseconds that the broker's clock is ahead
	started    time.Time
	usage      *usageLog

	mu        sync.Mutex
	slots     slots
	pulls     map[uint64]pull
	pullFor   time.Duration // how long the next request lives
	token     uint64
	notBefore time.Time // no pull requests until then
	lowNext   Class
	lowAt     time.Time // no request for lower classes until then
	lowTimer  *time.Timer
	lowAgain  int                 // how often they are asked again soon
	hinted    bool                // they were asked when the last hint came
	attempts  map[string]*Attempt // by name
	byJob     map[ID]*Attempt     // the newest of each job
	links     map[string]*link
	cancelled map[ID]cancellation
	idle      chan struct{} // closed when stopping and nothing runs or can arrive
	quiet     chan struct{} // closed when, besides, every end was told and stored
}

// Consume starts taking jobs. It returns when the subscriptions are in place; the
// handler is called from one goroutine per running job until Stop.
func Consume(ctx context.Context, c *Conn, cfg ConsumeConfig, h Handler) (*Consumer, error) {
	if cfg.WorkerID == "" {
		cfg.WorkerID = NewID().String()
	}
	if cfg.Pool == "" {
		cfg.Pool = "default"
	}
	cfg.Slots = max(cfg.Slots, 1)
	if cfg.Reserved < 0 || cfg.Reserved >= cfg.Slots {
		return nil, fmt.Errorf("reserved slots: %d of %d: want fewer than there are", cfg.Reserved, cfg.Slots)
	}
	if cfg.Logger == nil {
		cfg.Logger = c.log
	}
	if err := errors.Join(checkToken("worker id", cfg.WorkerID), checkToken("pool", cfg.Pool)); err != nil {
		return nil, err
	}
	if err := c.EnsurePool(ctx, cfg.Pool); err != nil {
		return nil, err
	}
	k := &Consumer{
		conn: c, cfg: cfg, log: cfg.Logger, handler: h,
		inbox: nats.NewInbox(), usageInbox: nats.NewInbox(), replayInbox: nats.NewInbox(), control: c.n.control(cfg.WorkerID),
		instance:    c.n.instance(cfg.WorkerID, NewID()),
		interactive: strings.TrimSuffix(c.n.classFilter(Interactive), ">"), started: time.Now(),
		slots: slots{total: cfg.Slots, reserved: cfg.Reserved}, pulls: map[uint64]pull{}, pullFor: pullExpires, lowNext: Background,
		attempts: map[string]*Attempt{}, byJob: map[ID]*Attempt{}, links: map[string]*link{}, cancelled: map[ID]cancellation{},
		idle: make(chan struct{}), quiet: make(chan struct{}),
	}
	k.runners = newRunners(k.run)
	k.usage = newUsageLog(k.publishUsage, k.usageStored, k.log)
	k.root, k.rootCancel = context.WithCancelCause(context.Background())
	k.stop, k.stopCancel = context.WithCancel(context.Background())
	k.lowTimer = time.AfterFunc(time.Hour, k.lowIsDue)
	k.lowTimer.Stop()
	if err := k.subscribe(ctx); err != nil {
		k.close()
		return nil, err
	}
	k.readClock()
	k.announce()
	k.aux.Go(k.tend)
	k.lapse(time.Now())
	return k, nil
}

func (k *Consumer) subscribe(ctx context.Context) error {
	n := k.conn.n
	for _, s := range []struct {
		subject string
		handle  nats.MsgHandler
		keep    **nats.Subscription
	}{
		{k.control, k.onControl, nil},
		{k.instance, func(m *nats.Msg) { _ = m.Respond(nil) }, nil},
		{n.cancel(), k.onControl, nil},
		{n.hint(k.cfg.Pool), k.onHint, nil},
		{n.whoRuns(k.cfg.Pool), k.onWhoRuns, nil},
		{k.usageInbox + ".*", k.onUsageAck, nil},
		{k.replayInbox + ".*.*", k.onReplayAck, nil},
		{k.inbox + ".*", k.onPull, &k.pullSub},
	} {
		sub, err := k.conn.nc.Subscribe(s.subject, s.handle)
		if err != nil {
			return fmt.Errorf("subscribe %s: %w", s.subject, err)
		}
		k.subs = append(k.subs, sub)
		if err := sub.SetPendingLimits(-1, -1); err != nil { // bounded by the slots
			return fmt.Errorf("subscribe %s: %w", s.subject, err)
		}
	}
	if err := k.conn.flush(ctx); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	return nil
}

// Busy returns how many jobs run.
func (k *Consumer) Busy() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.slots.running
}

// Stop ends the consumer. It asks for no more jobs, gives back what still arrives,
// and waits for what runs; when ctx ends first, the rest is cancelled with
// ErrShutdown. It then waits a little for usage and last events to be confirmed.
// The error says how many attempts were cut.
func (k *Consumer) Stop(ctx context.Context) error {
	k.mu.Lock()
	k.slots.stopping = true
	k.settle()
	k.mu.Unlock()
	cut := 0
	select {
	case <-k.idle:
	case <-ctx.Done():
		cut = k.Busy()
		k.rootCancel(ErrShutdown)
		defer time.AfterFunc(lastWords, k.stopCancel).Stop() // a result that cannot be stored by then is another attempt's
	}
	k.runners.wait()
	select {
	case <-k.quiet:
	case <-time.After(lastWords):
	}
	k.close()
	if cut > 0 {
		return fmt.Errorf("stop worker: %d attempts were cut short", cut)
	}
	return nil
}

func (k *Consumer) close() {
	k.rootCancel(ErrShutdown)
	k.stopCancel()
	k.lowTimer.Stop()
	k.usage.flush()
	k.aux.Wait()
	k.mu.Lock()
	for _, l := range k.links {
		l.out.close()
		l.local.close()
	}
	k.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	if k.conn.Ready() == nil {
		if err := k.conn.withdrawWorker(ctx, k.cfg.WorkerID); err != nil {
			k.log.Warn("worker stays listed until it expires", "error", err)
		}
		_ = k.conn.flush(ctx) // best effort: what is lost now is recovered by the lease
	}
	for _, s := range k.subs {
		_ = s.Unsubscribe()
	}
}

// settle closes idle and quiet when their time has come. The caller holds k.mu.
func (k *Consumer) settle() {
	if !k.slots.stopping || !k.slots.idle() {
		return
	}
	closeOnce(k.idle)
	if len(k.attempts) == 0 {
		closeOnce(k.quiet)
	}
}

func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

func (k *Consumer) announce() {
	host, err := os.Hostname()
	if err != nil {
		host = "" // a name for people, nothing depends on it
	}
	k.aux.Go(func() {
		tick := time.NewTicker(announceEvery)
		defer tick.Stop()
		for {
			info := WorkerInfo{
				ID: k.cfg.WorkerID, Pool: k.cfg.Pool, Host: host, Slots: k.cfg.Slots, Busy: k.Busy(),
				Version: k.cfg.Version, Started: k.started.UTC(),
			}
			if err := k.conn.announceWorker(k.stop, info); err != nil && k.stop.Err() == nil {
				k.log.Warn("worker not announced", "error", err)
			}
			select {
			case <-k.stop.Done():
				return
			case <-tick.C:
			}
			k.readClock()
		}
	})
}
