package jobs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// filePartsInFlight bounds what one writer has on its way; see fileBudget for all.
	filePartsInFlight = 4
	// maxFilePart was measured: smaller parts cost a cluster more, larger ones a single
	// server, and both cost memory (BenchmarkFile).
	maxFilePart = 512 << 10
	// uploadIdle is how long a writer may rest between two parts. What rests for twice
	// as long is swept.
	uploadIdle = sweptAfter / 2
)

var (
	errUploadIdle = errors.New("file was not written to for too long")
	errFileEnded  = errors.New("file is committed or aborted already")
)

// FileWriter stores a file. Parts are published as they fill, a few at a time of one
// file and of all, so memory is bounded and a writer faster than the store waits. Nobody sees the file
// before Commit. Every writer must be ended by Commit or Abort. It belongs to one
// goroutine.
type FileWriter struct {
	c    *Conn
	ctx  context.Context // of publishing, the caller's
	file File
	sum  hash.Hash
	buf  []byte // the part that fills; nil: none yet
	last time.Time
	done bool // committed or aborted
	kept bool // the entry may be stored: the parts must stay

	sending chan struct{} // a token for each part on its way
	wg      sync.WaitGroup
	mu      sync.Mutex
	err     error // of the first part that could not be stored; guarded by mu
}

// NewFile begins to write a file for f.Tenant. Of f, an ID may be preset, so that
// whoever writes the same file again commits it once; Created is now unless set;
// content fields are ignored. ctx bounds everything up to Commit.
func (c *Conn) NewFile(ctx context.Context, f File) *FileWriter {
	w := &FileWriter{c: c, ctx: ctx, sum: sha256.New(), last: time.Now(), sending: make(chan struct{}, filePartsInFlight)}
	w.file.Upload, w.file.PartSize = NewID().String(), min(maxFilePart, c.partSize())
	w.Describe(f)
	return w
}

// Describe replaces what NewFile was told, for those who learn a file's name and
// purpose after its content. The tenant stays.
func (w *FileWriter) Describe(f File) {
	upload, size := w.file.Upload, w.file.PartSize
	if w.file.Tenant != "" {
		f.Tenant = w.file.Tenant
	}
	setDefault(&f.ID, NewFileID())
	if f.Created.IsZero() {
		f.Created = time.Now()
	}
	f.Created, f.Expires = f.Created.UTC().Truncate(time.Second), f.Expires.UTC().Truncate(time.Second)
	written, parts := w.file.Bytes, w.file.Parts
	w.file = f
	w.file.Upload, w.file.PartSize, w.file.Bytes, w.file.Parts = upload, size, written, parts
}

// Size returns the number of bytes written so far.
func (w *FileWriter) Size() int64 { return w.file.Bytes }

// Sum returns the SHA-256 of what was written so far.
func (w *FileWriter) Sum() [sha256.Size]byte { return [sha256.Size]byte(w.sum.Sum(nil)) }

// Write implements io.Writer. It blocks while too many parts are on their way. The
// error is that of any part before, ErrNoRoom among them.
func (w *FileWriter) Write(p []byte) (int, error) {
	if err := w.fault(); err != nil {
		return 0, fmt.Errorf("write file: %w", err)
	}
	written := 0
	for len(p) > 0 {
		if w.buf == nil {
			w.buf = w.c.files.buffer(w.file.PartSize)
		}
		n := copy(w.buf[len(w.buf):w.file.PartSize], p)
		w.buf = w.buf[:len(w.buf)+n]
		w.sum.Write(p[:n])
		p = p[n:]
		written += n
		w.file.Bytes += int64(n)
		if len(w.buf) == w.file.PartSize {
			if err := w.send(); err != nil {
				return written, fmt.Errorf("write file: %w", err)
			}
		}
	}
	return written, nil
}

// send publishes the part that was filled, once there is room for it on its way. The
// error is that of any part before.
func (w *FileWriter) send() error {
	part, subject := w.buf, w.c.n.filePart(w.file.Tenant, w.file.Upload, w.file.Parts)
	if err := w.room(); err != nil {
		w.fail(err)
		return err
	}
	w.buf = nil
	w.file.Parts++
	w.last = time.Now()
	w.wg.Go(func() {
		w.fail(w.c.storeFilePart(w.ctx, subject, part))
		w.c.files.putBack(part)
		<-w.c.files.stored
		<-w.sending
	})
	return w.failure()
}

// room takes the tokens of one part.
func (w *FileWriter) room() error {
	if err := enter(w.ctx, w.sending); err != nil {
		return err
	}
	err := enter(w.ctx, w.c.files.stored)
	if err != nil {
		<-w.sending
	}
	return err
}

// fail notes the first error; nil is none.
func (w *FileWriter) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
}

// fault says why nothing can be written any more, or nil.
func (w *FileWriter) fault() error {
	switch {
	case w.done:
		return errFileEnded
	case time.Since(w.last) > uploadIdle:
		return errUploadIdle
	}
	return w.failure()
}

// failure returns the error of the first part that could not be stored.
func (w *FileWriter) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// storeFilePart publishes a part until it is acknowledged. A repetition replaces
// the first copy. The end of ctx ends the repetitions, not the wait for an answer: a
// publish given up midway could be stored after Abort has removed the others.
func (c *Conn) storeFilePart(ctx context.Context, subject string, part []byte) error {
	return c.persist(ctx, "store file", func(context.Context) error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptTimeout)
		defer cancel()
		_, err := c.js.Publish(ctx, subject, part, jetstream.WithExpectStream(c.n.filesStream()))
		return roomError(err)
	})
}

// roomError tells a full store from faults that pass. A stream being created meets
// the same code for another reason, so this is not for all requests.
func roomError(err error) error {
	if hasCode(err, codeInsufficient) || hasCode(err, codeStorageExceeded) || hasCode(err, codeStreamFull) {
		return fmt.Errorf("%w: %s", ErrNoRoom, err.Error()) // not wrapped: it would count as passing
	}
	return err
}

// Commit stores what is left and then the entry that makes the file visible. Under
// an id that exists already the file that was committed first stands and is
// returned; what this writer stored is removed. After an error nothing is left
// behind, except what the sweep takes while NATS is away.
func (w *FileWriter) Commit(ctx context.Context) (File, error) {
	defer w.Abort()
	if err := w.fault(); err != nil {
		return File{}, fmt.Errorf("commit file: %w", err)
	}
	if len(w.buf) > 0 {
		_ = w.send() // its error is the writer's
	}
	w.wg.Wait()
	if err := w.failure(); err != nil {
		return File{}, fmt.Errorf("commit file: %w", err)
	}
	w.file.SHA256 = hex.EncodeToString(w.sum.Sum(nil))
	if err := w.file.check(); err != nil {
		return File{}, fmt.Errorf("commit file: %w", err)
	}
	stands, err := w.storeEntry(ctx)
	if err != nil {
		return File{}, fmt.Errorf("commit file: %w", err)
	}
	w.done = stands.Upload == w.file.Upload
	return stands, nil
}

// storeEntry writes the entry if the id has none, and returns the file that stands.
func (w *FileWriter) storeEntry(ctx context.Context) (File, error) {
	f, c := w.file, w.c
	data, err := json.Marshal(&f)
	if err != nil {
		return File{}, err
	}
	options := []jetstream.PublishOpt{
		jetstream.WithExpectStream(c.n.filesStream()),
		jetstream.WithExpectLastSequenceForSubject(0, c.n.fileEntries(f.Tenant, f.ID)),
	}
	if !f.Expires.IsZero() {
		left := time.Until(f.Expires).Truncate(time.Second)
		if left < time.Second {
			return File{}, errors.New("file has expired already")
		}
		options = append(options, jetstream.WithMsgTTL(left))
	}
	err = c.persist(ctx, "store file entry", func(ctx context.Context) error {
		_, err := c.js.Publish(ctx, c.n.fileEntry(&f), data, options...)
		if !refusedAsTaken(err) {
			err = roomError(err)
			w.kept = w.kept || err != nil && !errors.Is(err, ErrNoRoom)
			return err
		}
		// Somebody was first; this writer itself, if an answer was lost.
		m, err := c.leaderGet(ctx, c.n.filesStream(), question{LastFor: c.n.fileEntries(f.Tenant, f.ID)})
		if errors.Is(err, errNotStored) {
			return errRace
		}
		if err == nil {
			f, err = decodeFile(m.Data)
		}
		return err
	})
	if err == nil {
		w.kept = false // it is known what stands
	}
	return f, err
}

// Abort removes what was stored. After a Commit that made the file it does nothing.
// It waits for parts that are on their way, and a few seconds for the removal.
func (w *FileWriter) Abort() {
	if w.done {
		return
	}
	w.done, w.buf = true, nil
	w.wg.Wait()
	if w.kept || w.file.Parts == 0 {
		return
	}
	if !w.c.nc.IsConnected() {
		return // the sweep takes it
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), attemptTimeout)
	defer cancel()
	if err := w.c.purge(ctx, w.c.n.filesStream(), w.c.n.fileParts(w.file.Tenant, w.file.Upload)); err != nil {
		w.c.log.Warn("parts of an unfinished file stay until they are swept", "upload", w.file.Upload, "error", err)
	}
}
