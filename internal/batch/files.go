package batch

import (
	"context"
	"strings"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

const (
	// recounts is how often results are counted that a replica may not have yet.
	recounts     = 10
	recountPause = 300 * time.Millisecond
)

// writeFiles writes the output and the error file from the results, in one pass and
// in the order in which they were stored, and sums them up. The files' ids follow
// from the batch, and whoever commits first stands: a turn that does it again
// changes nothing. whole is false if a line has no result; then nothing is committed.
func (v *drive) writeFiles(ctx context.Context) (o protocol.BatchOutcome, whole bool, err error) {
	for n := range recounts {
		if n > 0 {
			sleep(ctx, recountPause)
		}
		if o, whole, err = v.tryFiles(ctx); whole || err != nil {
			return o, whole, err
		}
	}
	return o, false, nil
}

func (v *drive) tryFiles(ctx context.Context) (o protocol.BatchOutcome, whole bool, err error) {
	out, bad := v.newFile("output"), v.newFile("error")
	defer out.abort()
	defer bad.abort()
	seen := newProgress(v.plan.len())
	keep := newKeeper(ctx, v)
	defer func() { _ = keep.wait() }() // of a pass that failed otherwise
	var line []byte
	_, err = v.d.conn.LineResults(ctx, v.b.Tenant, v.b.Object.ID, 0, true, func(r jobs.LineResult) error {
		i, ok := v.plan.find(r.Line)
		if !ok || !seen.finish(i, r.Status == jobs.Completed) {
			return nil
		}
		id, err := v.plan.customID(v.input, i)
		if err != nil {
			return err
		}
		if line, err = v.appendResult(line[:0], r, id); err != nil {
			return err
		}
		if r.Status == jobs.Completed {
			if err := keep.add(i, r.Result); err != nil {
				return err
			}
			o.Usage = o.Usage.Plus(r.Outcome.Usage)
			return out.write(ctx, line)
		}
		return bad.write(ctx, line)
	})
	if err != nil || !seen.over() {
		return o, false, err
	}
	if err = keep.wait(); err != nil {
		return o, false, err
	}
	o.Counts = protocol.BatchCounts{Total: seen.total, Completed: seen.completed, Failed: seen.failed}
	if o.OutputFileID, err = out.commit(ctx); err != nil {
		return o, false, err
	}
	o.ErrorFileID, err = bad.commit(ctx)
	return o, err == nil, err
}

// appendResult appends the line of a file that says what became of a request.
func (v *drive) appendResult(dst []byte, r jobs.LineResult, customID []byte) ([]byte, error) {
	id, err := jobs.LineID(v.b.Object.ID, r.Line, 0)
	if err != nil {
		return dst, err
	}
	name := id.String()
	switch {
	case r.Status == jobs.Completed:
		return protocol.AppendBatchAnswer(dst, "batch_req_"+name, customID, "req_"+name, 200, r.Body), nil
	case r.Status == jobs.Errored && r.Error != nil:
		dst = protocol.AppendBatchAnswer(dst, "batch_req_"+name, customID, "req_"+name, r.Error.Status, r.Error.AppendJSON(nil))
		return dst, nil //nolint:nilerr // it is what the line says
	}
	e := reasonOf(r.Result)
	return protocol.AppendBatchError(dst, "batch_req_"+name, customID, e.Code, e.Message), nil
}

// resultFile is a file that is begun with its first line.
type resultFile struct {
	v     *drive
	which string
	w     *jobs.FileWriter
}

func (v *drive) newFile(which string) *resultFile { return &resultFile{v: v, which: which} }

func (f *resultFile) write(ctx context.Context, line []byte) error {
	if f.w == nil {
		b := f.v.b
		id, err := jobs.BatchFileID(b.Object.ID, f.which)
		if err != nil {
			return err
		}
		keep := b.OutputExpires
		if keep == 0 {
			keep = f.v.d.cfg.FilesExpire
		}
		now := time.Now().Truncate(time.Second)
		f.w = f.v.d.conn.NewFile(ctx, jobs.File{
			ID: id, Tenant: b.Tenant, Key: b.Key, Purpose: "batch_output", Created: now, Expires: now.Add(keep),
			Filename: strings.TrimPrefix(b.Object.ID, jobs.BatchPrefix) + "_" + f.which + ".jsonl",
		})
	}
	_, err := f.w.Write(line)
	return err
}

// commit returns the file's id, "" for one without lines.
func (f *resultFile) commit(ctx context.Context) (id string, err error) {
	if f.w == nil {
		return "", nil
	}
	file, err := f.w.Commit(ctx)
	if err == nil {
		f.v.d.note(f.which + " file")
	}
	return file.ID, err
}

// abort drops what was not committed.
func (f *resultFile) abort() {
	if f.w != nil {
		f.w.Abort()
	}
}
