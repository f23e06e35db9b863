package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

// listReads is how many entries a list reads at a time.
const listReads = 32

// FileQuery says which files to list. The zero value lists all, the newest first.
type FileQuery struct {
	Purpose   string // only these; "": all
	After     string // only what comes after the file with this id
	Limit     int    // 0: no limit
	Ascending bool   // the oldest first
}

// ListFiles returns the tenant's files in the order of their creation, and whether
// there are more. Whoever pages through them with After misses none, even when the
// file it names is gone meanwhile. It costs one question and a read for each file
// returned, and keeps trying until ctx ends.
func (c *Conn) ListFiles(ctx context.Context, tenant string, q FileQuery) (list []File, more bool, err error) {
	entries, err := c.fileEntries(ctx, tenant)
	if err != nil {
		return nil, false, fmt.Errorf("list files: %w", err)
	}
	entries = q.choose(entries)
	for len(entries) > 0 && (q.Limit == 0 || len(list) < q.Limit) {
		n := len(entries)
		if q.Limit > 0 {
			n = min(n, q.Limit-len(list))
		}
		some, err := c.readEntries(ctx, entries[:n])
		if err != nil {
			return nil, false, fmt.Errorf("list files: %w", err)
		}
		list, entries = append(list, some...), entries[n:]
	}
	return list, len(entries) > 0, nil
}

// FilesUsed returns how many bytes the tenant's files have.
func (c *Conn) FilesUsed(ctx context.Context, tenant string) (int64, error) {
	entries, err := c.fileEntries(ctx, tenant)
	if err != nil {
		return 0, fmt.Errorf("sum up files: %w", err)
	}
	used := int64(0)
	for _, e := range entries {
		used += e.bytes
	}
	return used, nil
}

// entryName is what the subject of an entry says.
type entryName struct {
	subject, tenant, id, upload, purpose string
	bytes, created                       int64
}

// parseEntry reads a subject that names.fileEntry built.
func (n names) parseEntry(subject string) (e entryName, ok bool) {
	t := strings.Split(strings.TrimPrefix(subject, n.ns+".files."), ".")
	if len(t) != 7 || t[1] != "entry" {
		return e, false
	}
	size, err1 := strconv.ParseInt(t[4], 10, 64)
	created, err2 := strconv.ParseInt(t[5], 10, 64)
	e = entryName{subject: subject, tenant: t[0], id: t[2], upload: t[3], bytes: size, created: created, purpose: t[6]}
	return e, err1 == nil && err2 == nil
}

// order compares by creation, then by id.
func (e entryName) order(o entryName) int {
	return cmp.Or(cmp.Compare(e.created, o.created), cmp.Compare(e.id, o.id))
}

// choose sorts and filters.
func (q FileQuery) choose(entries []entryName) []entryName {
	after, found := entryName{id: q.After}, false
	for _, e := range entries {
		if e.id == q.After {
			after, found = e, true
		}
	}
	if !found { // gone: ids know their time
		if id, err := ParseID(strings.TrimPrefix(q.After, FilePrefix)); err == nil {
			after.created = id.Time().Unix()
		}
	}
	sign := -1
	if q.Ascending {
		sign = 1
	}
	entries = slices.DeleteFunc(entries, func(e entryName) bool {
		return q.Purpose != "" && e.purpose != q.Purpose || q.After != "" && sign*e.order(after) <= 0
	})
	slices.SortFunc(entries, func(a, b entryName) int { return sign * a.order(b) })
	return entries
}

// readEntries reads the entries together; those that are gone by now are left out.
func (c *Conn) readEntries(ctx context.Context, entries []entryName) ([]File, error) {
	files := make([]File, len(entries))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(listReads)
	for i, e := range entries {
		group.Go(func() error {
			f, err := c.readEntry(gctx, e.subject)
			if errors.Is(err, ErrNoFile) {
				return nil
			}
			files[i] = f
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	now := time.Now()
	return slices.DeleteFunc(files, func(f File) bool { return f.ID == "" || f.expired(now) }), nil
}

// readEntry reads an entry by its full subject, which never has other content.
func (c *Conn) readEntry(ctx context.Context, subject string) (File, error) {
	direct, cancel := context.WithTimeout(ctx, attemptTimeout)
	msg, err := c.nc.RequestWithContext(direct, c.apiPrefix+"DIRECT.GET."+c.n.filesStream()+"."+subject, nil)
	cancel()
	if err == nil && msg.Header.Get("Status") == "" && msg.Header.Get(nats.JSStream) == c.n.filesStream() {
		return decodeFile(msg.Data)
	}
	m, err := c.leaderGet(ctx, c.n.filesStream(), question{LastFor: subject})
	if errors.Is(err, errNotStored) {
		return File{}, ErrNoFile
	}
	if err != nil {
		return File{}, err
	}
	return decodeFile(m.Data)
}

// fileEntries asks the leader for the names of a tenant's files.
func (c *Conn) fileEntries(ctx context.Context, tenant string) ([]entryName, error) {
	var entries []entryName
	err := c.eachSubject(ctx, c.n.filesStream(), c.n.fileEntries(tenant, "*"), func(subject string) {
		if e, ok := c.n.parseEntry(subject); ok {
			entries = append(entries, e)
		}
	})
	return entries, err
}

// eachSubject calls f for every subject of the stream that filter selects, as the
// leader has them. The server tells 100,000 at a time.
func (c *Conn) eachSubject(ctx context.Context, stream, filter string, f func(subject string)) error {
	for offset, total := 0, 1; offset < total; {
		req, err := json.Marshal(map[string]any{"subjects_filter": filter, "offset": offset})
		if err != nil {
			return err
		}
		var answer struct {
			Error *jetstream.APIError `json:"error"`
			Total int                 `json:"total"`
			State struct {
				Subjects map[string]uint64 `json:"subjects"`
			} `json:"state"`
		}
		err = c.persist(ctx, "list subjects of "+stream, func(ctx context.Context) error {
			msg, err := c.nc.RequestWithContext(ctx, c.apiPrefix+"STREAM.INFO."+stream, req)
			if err != nil {
				return err
			}
			answer.Error, answer.State.Subjects = nil, nil
			if err := json.Unmarshal(msg.Data, &answer); err != nil {
				return err
			}
			if answer.Error != nil {
				return answer.Error
			}
			return nil
		})
		if err != nil {
			return err
		}
		for subject := range answer.State.Subjects {
			f(subject)
		}
		if len(answer.State.Subjects) == 0 {
			return nil
		}
		offset, total = offset+len(answer.State.Subjects), answer.Total
	}
	return nil
}
