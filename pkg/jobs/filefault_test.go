package jobs

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

// Deleting a file takes nothing away from those who hold its content.
func TestFileHeld(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		c := testConn(t, testConfig(n))
		content := randomBody(maxFilePart + 10)
		f := putFile(t, c, File{}, content)
		for _, holder := range []string{"batch_1", "batch_2", "batch_1"} {
			if err := c.HoldFile(t.Context(), f, holder, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.DeleteFile(t.Context(), "acme", f.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := c.File(t.Context(), "acme", f.ID); !errors.Is(err, ErrNoFile) {
			t.Errorf("a deleted file: %v", err)
		}
		if err := c.HoldFile(t.Context(), f, "batch_3", time.Hour); !errors.Is(err, ErrNoFile) {
			t.Errorf("hold a deleted file: %v", err)
		}
		if err := c.HoldFile(t.Context(), f, "batch_2", time.Hour); err != nil {
			t.Errorf("hold on: %v", err)
		}
		if swept, err := c.sweepFiles(t.Context(), 0); swept != 0 || err != nil {
			t.Errorf("swept %d, %v", swept, err)
		}
		if err := c.ReleaseFile(t.Context(), f, "batch_1"); err != nil {
			t.Fatal(err)
		}
		r := c.OpenFile(t.Context(), f)
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		_ = r.Close()
		for range 2 {
			if err := c.ReleaseFile(t.Context(), f, "batch_2"); err != nil {
				t.Fatal(err)
			}
		}
		if left := fileSubjects(t, c); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		r = c.OpenFile(t.Context(), f)
		defer r.Close()
		if _, err := r.Read(make([]byte, 10)); !errors.Is(err, ErrNoFile) {
			t.Errorf("read what is gone: %v", err)
		}
	})
}

func TestFileSweep(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		c := testConn(t, testConfig(n))
		kept := putFile(t, c, File{}, randomBody(1000))
		w := c.NewFile(t.Context(), File{Tenant: "acme", Purpose: "batch"})
		if _, err := w.Write(randomBody(2*maxFilePart + 1)); err != nil {
			t.Fatal(err)
		}
		w.wg.Wait() // its process dies here
		if swept, err := c.SweepFiles(t.Context()); swept != 0 || err != nil {
			t.Errorf("swept %d of an upload that is under way, %v", swept, err)
		}
		if swept, err := c.sweepFiles(t.Context(), 0); swept != 1 || err != nil {
			t.Errorf("swept %d, %v", swept, err)
		}
		if left := fileSubjects(t, c); len(left) != 2 {
			t.Errorf("left: %v", left)
		}
		if _, err := c.File(t.Context(), "acme", kept.ID); err != nil {
			t.Error(err)
		}
		w.last = time.Now().Add(-uploadIdle - time.Second)
		if _, err := w.Write([]byte("x")); !errors.Is(err, errUploadIdle) {
			t.Errorf("written after a long rest: %v", err)
		}
		if _, err := w.Commit(t.Context()); !errors.Is(err, errUploadIdle) {
			t.Errorf("committed after a long rest: %v", err)
		}
		w.Abort()
	})
}

// A full disk refuses the file, says so, and keeps nothing of it.
func TestFileStoreFull(t *testing.T) {
	t.Parallel()
	srv := startPlain(t, &server.Options{JetStream: true, StoreDir: t.TempDir(), JetStreamMaxStore: 768 << 20})
	c := testConn(t, Config{
		URL: srv.ClientURL(), MaxQueuedBytes: 1 << 20, MaxBodiesBytes: 1 << 20, MaxUsageBytes: 1 << 20, MaxEventsBytes: 1 << 20,
	})
	small := putFile(t, c, File{}, randomBody(1000))
	w := c.NewFile(t.Context(), File{Tenant: "acme", Purpose: "batch"})
	defer w.Abort()
	piece := randomBody(1 << 20)
	var err error
	for n := 0; n < 900 && err == nil; n++ {
		_, err = w.Write(piece)
	}
	if !errors.Is(err, ErrNoRoom) {
		t.Fatalf("900 MB into 768 MB: %v", err)
	}
	if _, err := w.Commit(t.Context()); !errors.Is(err, ErrNoRoom) {
		t.Errorf("commit: %v", err)
	}
	if left := fileSubjects(t, c); len(left) != 2 {
		t.Errorf("%d subjects left", len(left))
	}
	if err := c.DeleteFile(t.Context(), "acme", small.ID); err != nil {
		t.Errorf("delete from a full disk: %v", err)
	}
	putFile(t, c, File{}, randomBody(1<<20)) // there is room again
}

// The servers go and come back in the middle of a file.
func TestFileOverARestart(t *testing.T) {
	t.Parallel()
	natstest.EachOwn(t, func(t *testing.T, n *natstest.NATS) {
		c := testConn(t, testConfig(n))
		content := randomBody(12 * maxFilePart)
		w := c.NewFile(t.Context(), File{Tenant: "acme", Purpose: "batch", Filename: "f"})
		if _, err := w.Write(content[:len(content)/2]); err != nil {
			t.Fatal(err)
		}
		n.RestartAll(t)
		if _, err := w.Write(content[len(content)/2:]); err != nil {
			t.Fatal(err)
		}
		f, err := w.Commit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r := c.OpenFile(t.Context(), f)
		defer r.Close()
		half := make([]byte, len(content)/2)
		if _, err := io.ReadFull(r, half); err != nil {
			t.Fatal(err)
		}
		n.RestartAll(t)
		rest, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(slices.Concat(half, rest), content) {
			t.Errorf("%d bytes came back: %v", len(half)+len(rest), err)
		}
	})
}

func TestFileThatIsNotWhatWasStored(t *testing.T) {
	c := testConn(t, testConfig(natstest.Shared(t, 1)))
	content := randomBody(2*maxFilePart + 100)
	f := putFile(t, c, File{}, content)
	for name, change := range map[string]func() error{
		"another part": func() error {
			return c.storeFilePart(t.Context(), c.n.filePart("acme", f.Upload, 1), randomBody(maxFilePart))
		},
		"a shorter part": func() error {
			return c.storeFilePart(t.Context(), c.n.filePart("acme", f.Upload, 2), []byte("x"))
		},
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		r := c.OpenFile(t.Context(), f)
		got, err := io.ReadAll(r)
		if !errors.Is(err, ErrFileCorrupt) || len(got) >= len(content) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		_ = r.Close()
	}
	for name, data := range map[string]string{
		"no JSON": "x", "empty": "{}", "parts": `{"id":"` + f.ID + `","tenant":"acme","purpose":"batch","sha256":"` + f.SHA256 + `","bytes":10,"parts":9,"part_size":1}`,
	} {
		if _, err := decodeFile([]byte(data)); err == nil {
			t.Errorf("%s: decoded", name)
		}
	}
}
