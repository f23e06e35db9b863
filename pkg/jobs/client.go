package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/osiris/osiris/pkg/protocol"
)

const (
	controlWindow = 50 * time.Millisecond // acknowledgements to a worker wait for each other
	inlineMargin  = 64 << 10              // room for header and protocol beside an inline body
)

// ClientConfig configures a Client. The zero value is usable.
type ClientConfig struct {
	ID         string // names the frontend in subjects; "" for a random one
	MaxWaiting int64  // jobs that may wait in a class of a pool before new ones are refused; 0: 10,000
	Unhurried  bool   // Started wakes no reader: it is handed out with the event after it
	Logger     *slog.Logger
}

// Client submits jobs and receives their events: one subscription for all of
// them, made before the first job is published (rule 1). Safe for concurrent use.
type Client struct {
	conn *Conn
	cfg  ClientConfig
	log  *slog.Logger
	subs []*nats.Subscription

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	missing atomic.Bool // the broker may have lost the streams
	workers *liveness   // owned by watch and the dispatcher
	depth   *admission
	lists   keptLists

	mu       sync.RWMutex // guards the maps, not the values
	streams  map[ID]*Stream
	controls map[string]*outbox // by control subject of a worker

	gatherings gatherings

	receiving sync.Mutex // held while a message of events is handed out
	dirty     []*Stream  // guarded by receiving

	heardAll time.Time   // of watch alone: when this side last could not listen
	deaf     atomic.Bool // found since watch last looked
	swept    time.Time   // of watch alone: when controls were last gone through
}

// NewClient subscribes to the events of its jobs and starts watching workers. It
// returns when the subscriptions are in place at the server.
func NewClient(ctx context.Context, c *Conn, cfg ClientConfig) (*Client, error) {
	if cfg.ID == "" {
		cfg.ID = NewID().String()
	}
	if err := checkToken("frontend id", cfg.ID); err != nil {
		return nil, err
	}
	if cfg.MaxWaiting == 0 {
		cfg.MaxWaiting = 10_000
	}
	if cfg.Logger == nil {
		cfg.Logger = c.log
	}
	cl := &Client{
		conn: c, cfg: cfg, log: cfg.Logger, workers: newLiveness(),
		streams: map[ID]*Stream{}, controls: map[string]*outbox{},
	}
	cl.depth = newAdmission(cfg.MaxWaiting)
	cl.ctx, cl.cancel = context.WithCancel(context.Background())
	for subject, handle := range map[string]nats.MsgHandler{
		c.n.eventsSub(cfg.ID): cl.onEvents,
		c.n.acksSub(cfg.ID):   cl.onAck,
		c.n.wanted(cfg.ID):    cl.onWanted,
		c.n.aliveWorkersSub(): cl.onAlive,
		c.n.cancel():          cl.onRevoked,
		c.n.abort():           cl.onAbort,
	} {
		sub, err := c.nc.Subscribe(subject, handle)
		if err != nil {
			cl.unsubscribe()
			return nil, fmt.Errorf("subscribe %s: %w", subject, err)
		}
		cl.subs = append(cl.subs, sub)
		if err := sub.SetPendingLimits(-1, 256<<20); err != nil {
			cl.unsubscribe()
			return nil, fmt.Errorf("subscribe %s: %w", subject, err)
		}
	}
	if err := c.flush(ctx); err != nil {
		cl.unsubscribe()
		return nil, fmt.Errorf("subscribe to events: %w", err)
	}
	cl.settle()
	cl.listenLocal()
	cl.wg.Go(cl.watch)
	cl.wg.Go(cl.pollDepth)
	return cl, nil
}

// Close ends all streams, cancels their jobs and drops the subscriptions.
func (cl *Client) Close() {
	cl.mu.RLock()
	open := make([]*Stream, 0, len(cl.streams))
	for _, s := range cl.streams {
		open = append(open, s)
	}
	cl.mu.RUnlock()
	for _, s := range open {
		s.Close()
	}
	cl.depart()
	cl.cancel()
	cl.wg.Wait()
	cl.mu.RLock()
	for _, o := range cl.controls {
		o.flush()
	}
	cl.mu.RUnlock()
	_ = cl.conn.nc.FlushTimeout(time.Second)
	cl.unsubscribe()
}

func (cl *Client) unsubscribe() {
	for _, sub := range cl.subs {
		_ = sub.Unsubscribe()
	}
}

// Active returns the number of jobs that are waiting or running.
func (cl *Client) Active() int {
	cl.mu.RLock()
	defer cl.mu.RUnlock()
	return len(cl.streams)
}

// Submit puts a job into the queue and returns its events. It does not wait for
// the broker's ack: that or the first event, whichever comes first, makes
// Stream.Stored true, and a refusal is a Failed event. It blocks only to store a
// body too large for a message, and the record of a kept job. An error is a
// *protocol.Error, or ErrSubmitted. Job.Body is copied: the caller may use its
// memory again.
func (cl *Client) Submit(ctx context.Context, job *Job) (*Stream, error) {
	if err := cl.admit(job); err != nil {
		return nil, err
	}
	s := &Stream{
		cl: cl, job: job.ID, class: job.Class, pool: job.Pool, replay: !job.Stream, kept: job.Keep != nil, keyed: job.Keep != nil && job.Keep.Hidden,
		subject: cl.conn.n.job(job.Class, job.Pool, job.Tenant, job.ID), born: time.Now(), wake: make(chan struct{}, 1),
	}
	payload, large, err := cl.encode(ctx, job)
	if err != nil {
		return nil, err
	}
	s.payload, s.large = payload, large && !job.recorded()
	if job.recorded() {
		return cl.submitKept(ctx, s, job)
	}
	if err := cl.enter(s); err != nil {
		cl.unsubmit(s, job)
		return nil, unavailable(err)
	}
	return s, nil
}

// enter makes the stream known and sends its job.
func (cl *Client) enter(s *Stream) error {
	cl.mu.Lock()
	cl.streams[s.job] = s
	cl.mu.Unlock()
	return cl.publish(s)
}

// unsubmit removes a job that was not accepted, and whatever came of it already.
func (cl *Client) unsubmit(s *Stream, job *Job) {
	s.mu.Lock()
	s.closed, s.payload = true, nil
	s.mu.Unlock()
	cl.forget(job.ID)
	cl.dropBody(s)
	cl.takeBack(job)
}

// admit says whether the queue can take the job now.
func (cl *Client) admit(job *Job) error {
	if err := cl.conn.Ready(); err != nil {
		return unavailable(err)
	}
	return cl.depth.admit(poolClass{job.Pool, job.Class})
}

// encode returns the message of a job. A body too large for one is stored first.
func (cl *Client) encode(ctx context.Context, job *Job) (payload []byte, large bool, err error) {
	var ref *bodyRef
	if int64(len(job.Body)) > cl.conn.nc.MaxPayload()-inlineMargin {
		r, err := cl.conn.storeBody(ctx, job)
		if err != nil {
			return nil, false, err
		}
		ref = &r
	}
	inline := len(job.Body)
	if ref != nil {
		inline = 0
	}
	payload, err = encodeJob(make([]byte, 0, 512+inline), cl.cfg.ID, job, ref)
	if err != nil {
		return nil, false, protocol.ErrInternal().Wrap(err)
	}
	return payload, ref != nil, nil
}

// publish sends the job, for the first time or again. One message per subject
// makes a repetition harmless while the job waits or runs.
func (cl *Client) publish(s *Stream) error {
	s.mu.Lock()
	s.tries++
	s.published = time.Now()
	payload := s.payload
	if s.kept && s.tries > 1 && payload != nil {
		markRepeat(payload) // the first may have been stored, run and removed
	}
	s.mu.Unlock()
	if payload == nil { // stored or given up just now
		return nil
	}
	if err := cl.conn.nc.PublishRequest(s.subject, cl.conn.n.acks(cl.cfg.ID, s.job), payload); err != nil {
		return fmt.Errorf("publish job: %w", err)
	}
	if s.class != Interactive { // lower classes are not waited for by an open pull
		_ = cl.conn.nc.Publish(cl.conn.n.hint(s.pool), nil)
	}
	return nil
}

func (cl *Client) stream(id ID) *Stream {
	cl.mu.RLock()
	defer cl.mu.RUnlock()
	return cl.streams[id]
}

func (cl *Client) forget(id ID) {
	cl.mu.Lock()
	delete(cl.streams, id)
	cl.mu.Unlock()
}

// tell sends a control frame to a worker; acknowledgements wait for company.
func (cl *Client) tell(control string, f *frame) {
	cl.mu.RLock()
	o := cl.controls[control]
	cl.mu.RUnlock()
	if o == nil {
		cl.mu.Lock()
		if o = cl.controls[control]; o == nil {
			o = newOutbox(cl.conn.nc.Publish, control, controlWindow)
			cl.controls[control] = o
		}
		cl.mu.Unlock()
	}
	h := sociable
	if f.kind == ctlAck {
		h = patient
	}
	o.add(control, f, h)
}

func unavailable(cause error) *protocol.Error {
	return protocol.ErrUnavailable("The queue cannot be reached right now. Please try again later.", 2*time.Second).Wrap(cause)
}
