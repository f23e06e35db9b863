package jobs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

// putFile stores content and fails the test if it does not come to a file.
func putFile(t testing.TB, c *Conn, f File, content []byte) File {
	t.Helper()
	setDefault(&f.Tenant, "acme")
	setDefault(&f.Purpose, "batch")
	setDefault(&f.Filename, "a.jsonl")
	w := c.NewFile(t.Context(), f)
	if _, err := w.Write(content); err != nil {
		t.Fatalf("write: %v", err)
	}
	f, err := w.Commit(t.Context())
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	return f
}

// subjects returns what the stream of files holds.
func fileSubjects(t testing.TB, c *Conn) []string {
	t.Helper()
	var all []string
	err := c.eachSubject(t.Context(), c.n.filesStream(), c.n.filesFilter(), func(s string) { all = append(all, s) })
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFileIsReadBackAtOnce(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		writer, reader := testConn(t, testConfig(n)), testConn(t, testConfig(n))
		part := maxFilePart
		for _, size := range []int{0, 1, part - 1, part, part + 1, 7*part + 5} {
			content := randomBody(size)
			f := putFile(t, writer, File{Key: "k"}, content)
			sum := sha256.Sum256(content)
			if f.Bytes != int64(size) || f.SHA256 != hex.EncodeToString(sum[:]) {
				t.Fatalf("%d bytes: %+v", size, f)
			}
			have, err := reader.File(t.Context(), "acme", f.ID)
			if err != nil || have != f {
				t.Fatalf("read entry: %+v, %v, want %+v", have, err, f)
			}
			r := reader.OpenFile(t.Context(), have)
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, content) {
				t.Fatalf("%d bytes came back as %d: %v", size, len(got), err)
			}
			_ = r.Close()
			if err := writer.DeleteFile(t.Context(), "acme", f.ID); err != nil {
				t.Fatal(err)
			}
		}
		if left := fileSubjects(t, writer); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

func TestFileReadAt(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		c := testConn(t, testConfig(n))
		content := randomBody(5*maxFilePart + 77)
		r := c.OpenFile(t.Context(), putFile(t, c, File{}, content))
		defer r.Close()
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				for j := range 20 {
					off := (i*7919 + j*104729*13) % len(content)
					p := make([]byte, min(3000+j*100_000, len(content)-off))
					if m, err := r.ReadAt(p, int64(off)); m != len(p) || err != nil && err != io.EOF || !bytes.Equal(p, content[off:off+m]) {
						t.Errorf("%d bytes at %d: %d, %v", len(p), off, m, err)
					}
				}
			})
		}
		wg.Wait()
		if m, err := r.ReadAt(make([]byte, 10), int64(len(content)-4)); m != 4 || err != io.EOF {
			t.Errorf("at the end: %d, %v", m, err)
		}
		if _, err := r.Seek(-10, io.SeekEnd); err != nil {
			t.Error(err)
		}
		if tail, err := io.ReadAll(r); err != nil || !bytes.Equal(tail, content[len(content)-10:]) {
			t.Errorf("tail: %d bytes, %v", len(tail), err)
		}
		if _, err := r.Seek(-1, io.SeekStart); err == nil {
			t.Error("seeked before the beginning")
		}
	})
}

func TestFileOfAnotherTenant(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		c := testConn(t, testConfig(n))
		f := putFile(t, c, File{}, []byte("secret"))
		for _, other := range [][2]string{{"other", f.ID}, {"acme", NewFileID()}, {"acme", "file-*"}, {"*", f.ID}, {"acme", ""}, {"acme", "file->"}} {
			if _, err := c.File(t.Context(), other[0], other[1]); !errors.Is(err, ErrNoFile) {
				t.Errorf("File(%q): %v", other, err)
			}
			if err := c.DeleteFile(t.Context(), other[0], other[1]); !errors.Is(err, ErrNoFile) {
				t.Errorf("DeleteFile(%q): %v", other, err)
			}
		}
		if _, err := c.File(t.Context(), "acme", f.ID); err != nil {
			t.Error(err)
		}
	})
}

// Whoever commits first under an id stands, and the others leave nothing behind.
func TestFileCommittedOnce(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		c := testConn(t, testConfig(n))
		const writers = 8
		id := NewFileID()
		got := make([]File, writers)
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				w := c.NewFile(t.Context(), File{ID: id, Tenant: "acme", Purpose: "batch_output", Filename: "o"})
				if _, err := w.Write(bytes.Repeat([]byte{byte('a' + i)}, 1000+i)); err != nil {
					t.Error(err)
				}
				f, err := w.Commit(t.Context())
				if err != nil {
					t.Error(err)
				}
				got[i] = f
			})
		}
		wg.Wait()
		for _, f := range got {
			if f != got[0] {
				t.Errorf("%+v and %+v stand", f, got[0])
			}
		}
		if left := fileSubjects(t, c); len(left) != 2 {
			t.Errorf("stored: %v", left)
		}
		r := c.OpenFile(t.Context(), got[0])
		defer r.Close()
		if b, err := io.ReadAll(r); err != nil || int64(len(b)) != got[0].Bytes {
			t.Errorf("%d bytes, %v", len(b), err)
		}
	})
}

func TestFileAborted(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		c := testConn(t, testConfig(n))
		ctx, cancel := context.WithCancel(t.Context())
		w := c.NewFile(ctx, File{Tenant: "acme", Purpose: "batch"})
		if _, err := w.Write(randomBody(3 * maxFilePart)); err != nil {
			t.Fatal(err)
		}
		cancel() // as when a client leaves
		w.Abort()
		w.Abort()
		if _, err := w.Commit(t.Context()); err == nil {
			t.Error("committed after Abort")
		}
		if _, err := w.Write([]byte("x")); err == nil {
			t.Error("written after Abort")
		}
		if left := fileSubjects(t, c); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

func TestFileExpires(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		c := testConn(t, testConfig(n))
		f := putFile(t, c, File{Expires: time.Now().Add(3 * time.Second)}, []byte("soon gone"))
		if _, err := c.File(t.Context(), "acme", f.ID); err != nil {
			t.Fatal(err)
		}
		within(t, patience, "expired", func() bool {
			_, err := c.File(t.Context(), "acme", f.ID)
			return errors.Is(err, ErrNoFile)
		})
		within(t, patience, "entry removed", func() bool {
			used, err := c.FilesUsed(t.Context(), "acme")
			return err == nil && used == 0
		})
		if swept, err := c.sweepFiles(t.Context(), 0); swept != 1 || err != nil {
			t.Errorf("swept %d, %v", swept, err)
		}
		if left := fileSubjects(t, c); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

func TestFileList(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		c := testConn(t, testConfig(n))
		const files = 100
		begin := time.Now().Add(-time.Hour).Truncate(time.Second)
		var want []string
		for i := range files {
			f := putFile(t, c, File{Created: begin.Add(time.Duration(i/3) * time.Second)}, make([]byte, i+1))
			want = append(want, f.ID)
		}
		putFile(t, c, File{Tenant: "other"}, []byte("x"))
		for _, ascending := range []bool{true, false} {
			var got []string
			q := FileQuery{Limit: 7, Ascending: ascending}
			for {
				list, more, err := c.ListFiles(t.Context(), "acme", q)
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range list {
					got = append(got, f.ID)
				}
				if !more {
					break
				}
				q.After = got[len(got)-1]
			}
			if !ascending {
				slices.Reverse(got)
			}
			if !slices.Equal(got, want) {
				t.Errorf("ascending %v: got %d files, want %d in order", ascending, len(got), len(want))
			}
		}
		if used, err := c.FilesUsed(t.Context(), "acme"); used != files*(files+1)/2 || err != nil {
			t.Errorf("used %d, %v", used, err)
		}
	})
}
