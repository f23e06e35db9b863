package jobs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"
)

// The types of events that webhooks can be told of.
const (
	NoticeBatchCompleted = "batch.completed"
	NoticeBatchFailed    = "batch.failed"
	NoticeBatchExpired   = "batch.expired"
	NoticeBatchCancelled = "batch.cancelled"
	NoticeChatCompleted  = "chat.completion.completed"
	NoticeChatFailed     = "chat.completion.failed"
	NoticeChatCancelled  = "chat.completion.cancelled"
)

// noticeTest is the type of the event that TestWebhook sends.
const noticeTest = "webhook.test"

// NoticeTypes lists what an endpoint can ask for.
func NoticeTypes() []string {
	return []string{
		NoticeBatchCompleted, NoticeBatchFailed, NoticeBatchExpired, NoticeBatchCancelled,
		NoticeChatCompleted, NoticeChatFailed, NoticeChatCancelled,
	}
}

// Notice says that something a tenant may wait for has ended.
type Notice struct {
	ID       string    // of the event; "": derived from Type and ObjectID, so that it can be told again
	Type     string    // one of NoticeTypes
	Created  time.Time // zero: now
	ObjectID string    // as clients know it, such as batch_…
}

const (
	// noticeMemory is how long an event that was handed out is known, so that it is
	// not handed out again however often it is told.
	noticeMemory = 3 * 24 * time.Hour
	// deliveryAge outlives the last attempt at a delivery.
	deliveryAge = 4 * 24 * time.Hour
	// maxObjectID bounds the name of what an event is about.
	maxObjectID = 256
)

// Notify tells the tenant's webhooks of an event. It returns once the event is
// stored; a frontend delivers it. Telling the same event again does nothing, for
// three days. It keeps trying until ctx ends.
func (c *Conn) Notify(ctx context.Context, tenant string, e Notice) error {
	body, err := e.complete(tenant)
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	err = c.persist(ctx, "notify", func(ctx context.Context) error {
		_, err := c.js.Publish(ctx, c.n.notice(tenant, e.ID), body, jetstream.WithExpectStream(c.n.noticesStream()))
		if api, ok := errors.AsType[*jetstream.APIError](err); ok && strings.Contains(api.Description, "per subject") {
			return nil // it waits already
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}

// complete checks e, fills in what is left out and returns what webhooks are sent.
func (e *Notice) complete(tenant string) ([]byte, error) {
	if e.ID == "" {
		sum := sha256.Sum256([]byte(tenant + "\x00" + e.Type + "\x00" + e.ObjectID))
		e.ID = "evt_" + hex.EncodeToString(sum[:16])
	}
	if e.Created.IsZero() {
		e.Created = time.Now()
	}
	err := errors.Join(checkToken("tenant", tenant), checkToken("event id", e.ID))
	if !slices.Contains(NoticeTypes(), e.Type) && e.Type != noticeTest {
		err = errors.Join(err, fmt.Errorf("event type %q: there is none", e.Type))
	}
	if e.ObjectID == "" || len(e.ObjectID) > maxObjectID {
		err = errors.Join(err, fmt.Errorf("object id: %d bytes, want 1 to %d", len(e.ObjectID), maxObjectID))
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(e.payload())
}

// payload is the body of every delivery of an event.
type payload struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created_at"`
	Type    string `json:"type"`
	Data    struct {
		ID string `json:"id"`
	} `json:"data"`
}

func (e *Notice) payload() payload {
	p := payload{ID: e.ID, Object: "event", Created: e.Created.Unix(), Type: e.Type}
	p.Data.ID = e.ObjectID
	return p
}

// noticesConfig is the queue of events: one message per subject, so an event that
// waits cannot be queued twice.
func (c *Conn) noticesConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: c.n.noticesStream(), Subjects: []string{c.n.noticesFilter()}, Description: "events for webhooks",
		Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
		MaxBytes: 64 << 20, MaxMsgsPerSubject: 1, DiscardNewPerSubject: true, AllowDirect: true,
	}
}

// deliveriesConfig is the queue of deliveries. When it is full the oldest go: those
// are of endpoints that have failed for days, and may not cost others theirs.
func (c *Conn) deliveriesConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: c.n.deliveriesStream(), Subjects: []string{c.n.deliveriesFilter()}, Description: "deliveries to webhooks",
		Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld,
		MaxBytes: 128 << 20, MaxMsgsPerSubject: 1, MaxAge: deliveryAge, AllowDirect: true,
	}
}

// noticedConfig is the memory of events that were handed out. When it is full the
// oldest are forgotten: that can repeat an event, while refusing would lose one.
func (c *Conn) noticedConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: c.n.noticedStream(), Subjects: []string{c.n.noticedFilter()}, Description: "events that webhooks were told of",
		Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld,
		MaxBytes: 64 << 20, MaxMsgsPerSubject: 1, MaxAge: noticeMemory, AllowDirect: true,
	}
}
