package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

// fewRecords is how many jobs of a tenant are listed in one go instead of by hours.
const fewRecords = 4096

// keptHours returns the hours in which the jobs that q selects can have been made,
// in the order in which they are listed; "*", every hour, for a tenant that has few.
func (c *Conn) keptHours(ctx context.Context, tenant string, q KeptQuery) ([]string, error) {
	n, err := c.countAfter(ctx, c.n.keptStream(), c.n.recordsOf(tenant, "*"), 1)
	if err == nil && n < fewRecords || errors.Is(err, errNotStored) {
		return []string{"*"}, nil
	}
	return c.hoursOf(ctx, q)
}

// hoursOf returns the hours of all that is kept that q leaves.
func (c *Conn) hoursOf(ctx context.Context, q KeptQuery) ([]string, error) {
	info, err := c.subjects(ctx, c.n.keptStream(), "", 0)
	if err != nil {
		return nil, err
	}
	if info.State.Messages == 0 {
		return nil, nil
	}
	first, last := info.State.First.Add(-c.idsBefore()), info.Time.Add(idsAhead)
	switch {
	case q.After.IsZero():
	case q.Descending && q.After.Time().Before(last):
		last = q.After.Time()
	case !q.Descending && q.After.Time().After(first):
		first = q.After.Time()
	}
	return hoursBetween(first, last, q.Descending), nil
}

// idsBefore is how much older than its record an id may be: one that was claimed for an
// idempotency key and submitted when the key came again, or that of a batch's line.
func (c *Conn) idsBefore() time.Duration { return max(claimAge, c.cfg.LongestBatch) + time.Hour }

// hoursBetween names the hours from that of first to that of last.
func hoursBetween(first, last time.Time, descending bool) []string {
	var hours []string
	for at := first.UTC().Truncate(time.Hour); !at.After(last); at = at.Add(time.Hour) {
		hours = append(hours, at.Format(hourFormat))
	}
	if descending {
		slices.Reverse(hours)
	}
	return hours
}

// keptIn returns the ids of the jobs that a tenant has of each hour, by the leader's
// word, in no order.
func (c *Conn) keptIn(ctx context.Context, tenant string, hours []string) ([][]ID, error) {
	found := make([][]ID, len(hours))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(listTogether)
	for i, hour := range hours {
		group.Go(func() error {
			filter := c.n.recordsOf(tenant, hour)
			for {
				info, err := c.subjects(gctx, c.n.keptStream(), filter, len(found[i]))
				if err != nil {
					return err
				}
				for subject := range info.State.Subjects {
					if id, ok := idOfRecord(subject); ok {
						found[i] = append(found[i], id)
					}
				}
				if len(info.State.Subjects) == 0 || len(found[i]) >= info.Total {
					return nil
				}
			}
		})
	}
	return found, group.Wait()
}

// idOfRecord reads the id in a record's subject.
func idOfRecord(subject string) (ID, bool) {
	parts := strings.Split(subject, ".")
	if len(parts) < 2 {
		return ID{}, false
	}
	id, err := ParseID(parts[len(parts)-2])
	return id, err == nil
}

// selectIDs sorts an hour's ids as they are listed and drops those up to after.
func selectIDs(ids []ID, after ID, descending bool) []ID {
	slices.SortFunc(ids, func(a, b ID) int {
		if descending {
			a, b = b, a
		}
		return bytes.Compare(a[:], b[:])
	})
	ids = slices.Compact(ids) // a part may have moved while others were read
	if after.IsZero() {
		return ids
	}
	return slices.DeleteFunc(ids, func(id ID) bool {
		way := bytes.Compare(id[:], after[:])
		return way == 0 || way > 0 == descending
	})
}

// streamInfo is what a stream's leader says about it.
type streamInfo struct {
	Error *jetstream.APIError `json:"error"`
	Time  time.Time           `json:"ts"`
	Total int                 `json:"total"` // subjects of the filter, of which an answer has a part
	State struct {
		Messages uint64            `json:"messages"`
		First    time.Time         `json:"first_ts"`
		FirstSeq uint64            `json:"first_seq"`
		Last     uint64            `json:"last_seq"`
		Subjects map[string]uint64 `json:"subjects"`
	} `json:"state"`
}

// subjects asks the leader for the subjects that a filter selects, from the one at
// offset on, at most 100,000 of them; for none if the filter is "".
func (c *Conn) subjects(ctx context.Context, stream, filter string, offset int) (*streamInfo, error) {
	req, err := json.Marshal(struct {
		Filter string `json:"subjects_filter,omitempty"`
		Offset int    `json:"offset,omitempty"`
	}{filter, offset})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", stream, err)
	}
	var info *streamInfo
	err = c.persist(ctx, "list "+stream, func(ctx context.Context) error {
		m, err := c.nc.RequestWithContext(ctx, c.apiPrefix+"STREAM.INFO."+stream, req)
		if err != nil {
			return err
		}
		info = &streamInfo{}
		if err := json.Unmarshal(m.Data, info); err != nil {
			return err
		}
		if info.Error != nil {
			return info.Error
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", stream, err)
	}
	return info, nil
}
