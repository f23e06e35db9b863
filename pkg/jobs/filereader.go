package jobs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"
)

const (
	// fileAhead is how many parts a sequential reader has on their way: enough to hide
	// the round trip. When many read, there may be room for fewer; see fileBudget.
	fileAhead = 2
	// fileParts bounds the parts in memory of a reader that goes back and forth. One that
	// only goes forward keeps none behind it.
	fileParts = fileAhead + 2
)

// FileReader reads a file's content by parts, each from any replica; only the
// leader's word makes one missing, which is ErrNoFile. It keeps few parts in memory
// and fetches ahead of a reader that goes forward. Who reads from the beginning to
// the end gets an error instead of the last bytes unless the sum of all is right.
//
// ReadAt may be called by any number of goroutines together; Read, Next and Seek
// belong to one. Close ends all of them.
type FileReader struct {
	c    *Conn
	file File

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	off int64
	sum hash.Hash // of everything before off; nil once something was skipped

	mu     sync.Mutex
	parts  []*filePart // the latest asked for is last; guarded by mu
	last   int         // part that was read last, -1 for none; guarded by mu
	closed bool
	forth  bool // it only goes forward: the file is read by Next; guarded by mu
}

// filePart is one part on its way or here.
type filePart struct {
	number int
	done   chan struct{} // closed once data or err is set
	data   []byte
	err    error
	ahead  bool // it holds a token for a part that nobody wants yet; guarded by the reader's mu
}

// OpenFile returns a reader of f, which File or ListFiles returned. It asks nobody.
// ctx bounds all reading.
func (c *Conn) OpenFile(ctx context.Context, f File) *FileReader {
	r := &FileReader{c: c, file: f, sum: sha256.New(), last: -1}
	r.ctx, r.cancel = context.WithCancel(ctx)
	c.files.reclaim.open()
	return r
}

// Close ends the reader and waits for what is on its way.
func (r *FileReader) Close() error {
	r.cancel()
	r.wg.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.closed = true
		r.c.files.reclaim.close()
	}
	for _, p := range r.parts {
		r.wanted(p)
	}
	r.parts = nil
	return nil
}

// Size returns how many bytes the file has.
func (r *FileReader) Size() int64 { return r.file.Bytes }

// Read implements io.Reader. It returns what is left of one part at most.
func (r *FileReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	data, err := r.Next(int64(len(p)))
	return copy(p, data), err
}

// Next is Read without a copy: it returns up to n bytes, which stay as they are and
// must not be changed.
func (r *FileReader) Next(n int64) ([]byte, error) {
	if r.off >= r.file.Bytes {
		return nil, io.EOF
	}
	data, err := r.from(r.off, true)
	if err != nil {
		return nil, err
	}
	data = data[:min(int64(len(data)), n)]
	if r.sum != nil {
		r.sum.Write(data)
		if r.off+int64(len(data)) == r.file.Bytes && hex.EncodeToString(r.sum.Sum(nil)) != r.file.SHA256 {
			return nil, fmt.Errorf("read file: %w", ErrFileCorrupt)
		}
	}
	r.off += int64(len(data))
	return data, nil
}

// Seek implements io.Seeker. After it the sum is not checked, except when it goes
// back to the beginning.
func (r *FileReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.off
	case io.SeekEnd:
		offset += r.file.Bytes
	}
	switch {
	case offset < 0:
		return r.off, errors.New("seek in file: before its beginning")
	case offset == r.off:
	case offset == 0:
		r.sum = sha256.New()
	default:
		r.sum = nil
	}
	r.off = offset
	return offset, nil
}

// ReadAt implements io.ReaderAt.
func (r *FileReader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("read file: negative offset")
	}
	n := 0
	for n < len(p) {
		if off+int64(n) >= r.file.Bytes {
			return n, io.EOF
		}
		data, err := r.from(off+int64(n), false)
		if err != nil {
			return n, err
		}
		n += copy(p[n:], data)
	}
	return n, nil
}

// from returns what the part that holds off has from there on.
func (r *FileReader) from(off int64, forth bool) ([]byte, error) {
	size := int64(r.file.PartSize)
	part := r.part(int(off/size), forth)
	select {
	case <-part.done:
	case <-r.ctx.Done():
		return nil, fmt.Errorf("read file: %w", context.Cause(r.ctx))
	}
	if part.err != nil {
		return nil, fmt.Errorf("read file: %w", part.err)
	}
	return part.data[off%size:], nil
}

// part returns part i, on its way at least, and those after it if the reader came
// from the part before.
func (r *FileReader) part(i int, forth bool) *filePart {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forth = forth
	came := r.last >= 0 && i == r.last+1
	r.last = i
	part := r.find(i)
	if part == nil {
		part = r.ask(i)
	}
	r.wanted(part)
	if came {
		for next := i + 1; next <= min(i+fileAhead, r.file.Parts-1); next++ {
			if r.find(next) == nil && r.c.files.tryAhead() {
				r.ask(next).ahead = true
			}
		}
	}
	return part
}

// find returns part i if it is here or on its way. The caller holds mu, here and in
// what follows.
func (r *FileReader) find(i int) *filePart {
	for _, p := range r.parts {
		if p.number == i {
			return p
		}
	}
	return nil
}

// wanted gives the token of a part back that was fetched ahead.
func (r *FileReader) wanted(p *filePart) {
	if p.ahead {
		p.ahead = false
		<-r.c.files.ahead
	}
}

// ask sends for part i, and forgets what is not needed any more.
func (r *FileReader) ask(i int) *filePart {
	p := &filePart{number: i, done: make(chan struct{})}
	r.parts = slices.DeleteFunc(r.parts, func(old *filePart) bool {
		gone := r.forth && old.number < r.last
		if gone {
			r.wanted(old)
		}
		return gone
	})
	if len(r.parts) == fileParts {
		r.wanted(r.parts[0])
		r.parts = slices.Delete(r.parts, 0, 1)
	}
	r.parts = append(r.parts, p)
	r.wg.Go(func() {
		defer close(p.done)
		if p.data, p.err = r.load(i); p.err != nil {
			r.drop(p)
		}
	})
	return p
}

// load reads part i when there is room for it.
func (r *FileReader) load(i int) ([]byte, error) {
	if err := enter(r.ctx, r.c.files.loaded); err != nil {
		return nil, err
	}
	defer func() { <-r.c.files.loaded }()
	if r.c.cfg.InProcess != nil {
		defer r.c.files.reclaim.read()
	}
	return r.c.loadFilePart(r.ctx, &r.file, i)
}

// drop forgets a part that could not be read, so that it is asked for again.
func (r *FileReader) drop(failed *filePart) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wanted(failed)
	r.parts = slices.DeleteFunc(r.parts, func(p *filePart) bool { return p == failed })
}

// loadFilePart reads one part. Its subject never has other content, so any
// replica's copy will do.
func (c *Conn) loadFilePart(ctx context.Context, f *File, i int) ([]byte, error) {
	subject, stream := c.n.filePart(f.Tenant, f.Upload, i), c.n.filesStream()
	want := f.PartSize
	if i == f.Parts-1 {
		want = int(f.Bytes - int64(i)*int64(f.PartSize))
	}
	direct, cancel := context.WithTimeout(ctx, attemptTimeout)
	msg, err := c.nc.RequestWithContext(direct, c.apiPrefix+"DIRECT.GET."+stream+"."+subject, nil)
	cancel()
	if err == nil && msg.Header.Get("Status") == "" && msg.Header.Get(nats.JSStream) == stream && len(msg.Data) == want {
		return msg.Data, nil
	}
	m, err := c.leaderGet(ctx, stream, question{LastFor: subject})
	switch {
	case errors.Is(err, errNotStored):
		return nil, ErrNoFile
	case err != nil:
		return nil, err
	case len(m.Data) != want:
		return nil, ErrFileCorrupt
	}
	return m.Data, nil
}
