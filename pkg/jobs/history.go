package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	pageMessages = 256
	pageBytes    = 256 << 10
)

var errNoBatch = errors.New("stream answers no batches")

// page reads messages of a subject from seq on, a part of them at a time, oldest
// first. None means that the leader has none. Stored messages never change and any
// replica has a beginning of what the leader has, so its copy will do for all but
// the end.
func (c *Conn) page(ctx context.Context, stream, subject string, seq uint64) ([]*stored, error) {
	list, _ := c.directPage(ctx, stream, question{Seq: seq, NextFor: subject, Batch: pageMessages, Bytes: pageBytes})
	if len(list) > 0 {
		return list, nil
	}
	return c.leaderPage(ctx, stream, subject, seq)
}

// leaderPage reads the first message from seq on, as the leader has it.
func (c *Conn) leaderPage(ctx context.Context, stream, subject string, seq uint64) ([]*stored, error) {
	m, err := c.leaderGet(ctx, stream, question{Seq: seq, NextFor: subject})
	if errors.Is(err, errNotStored) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []*stored{m}, nil
}

// directPage asks any replica for several messages. They come one by one, then a
// message that ends them.
func (c *Conn) directPage(ctx context.Context, stream string, q question) ([]*stored, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	req, err := json.Marshal(q)
	if err != nil {
		return nil, fmt.Errorf("read from %s: %w", stream, err)
	}
	inbox := nats.NewInbox()
	sub, err := c.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("read from %s: %w", stream, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := c.nc.PublishRequest(c.apiPrefix+"DIRECT.GET."+stream, inbox, req); err != nil {
		return nil, fmt.Errorf("read from %s: %w", stream, err)
	}
	var list []*stored
	first, stop := context.WithTimeout(ctx, time.Second) // for a replica that is there
	defer stop()
	for wait := first; ; wait = ctx {
		m, err := sub.NextMsgWithContext(wait)
		if err != nil {
			return list, fmt.Errorf("read from %s: %w", stream, err)
		}
		switch m.Header.Get("Status") {
		case "":
		case "204", "404":
			return list, nil
		default:
			return list, fmt.Errorf("read from %s: %w: %s", stream, errNoBatch, m.Header.Get("Description"))
		}
		s, ok := directMessage(m, stream)
		if !ok {
			return list, fmt.Errorf("read from %s: %w", stream, errNoBatch)
		}
		list = append(list, s)
	}
}
