package jobs

import (
	"io"
	"strings"
	"testing"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

// Memory is collected by the number of parts, and only while several files are read.
func TestReclaimIsDueForManyReaders(t *testing.T) {
	count := func(readers int) (due int) {
		var r reclaimer
		for range readers {
			r.open()
		}
		for range 10 * reclaimEvery {
			if r.due() {
				due++
			}
		}
		for range readers {
			r.close()
		}
		if r.readers != 0 {
			t.Errorf("%d readers are left", r.readers)
		}
		return due
	}
	if n := count(reclaimReaders - 1); n != 0 {
		t.Errorf("%d collections for few readers", n)
	}
	if n := count(reclaimReaders); n != 10 {
		t.Errorf("%d collections for %d parts", n, 10*reclaimEvery)
	}
	if heapInUse() == 0 {
		t.Error("the heap cannot be measured")
	}
}

// Readers give back all they share, however they end.
func TestFileReadersShareABudget(t *testing.T) {
	c := testConn(t, testConfig(natstest.Shared(t, 1)))
	w := c.NewFile(t.Context(), File{Tenant: "acme", Purpose: "batch", Filename: "f"})
	w.file.PartSize = 1000
	if _, err := io.WriteString(w, strings.Repeat("x", 20_500)); err != nil {
		t.Fatal(err)
	}
	f, err := w.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var open []*FileReader
	for range partsAhead { // more than may read ahead together
		r := c.OpenFile(t.Context(), f)
		if _, err := io.CopyN(io.Discard, r, 2500); err != nil {
			t.Fatal(err)
		}
		if len(r.parts) > fileAhead+1 {
			t.Errorf("%d parts are kept of a file that is read forward", len(r.parts))
		}
		open = append(open, r)
	}
	if n := len(c.files.ahead); n == 0 || n > partsAhead {
		t.Errorf("%d parts are ahead", n)
	}
	for i, r := range open { // without room ahead files are read all the same
		if i%2 == 0 {
			if n, err := io.Copy(io.Discard, r); n != 18_000 || err != nil {
				t.Fatal(n, err)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		_ = r.Close()
	}
	if len(c.files.ahead) != 0 || len(c.files.loaded) != 0 || len(c.files.stored) != 0 || c.files.reclaim.readers != 0 {
		t.Errorf("left: %d ahead, %d loaded, %d stored, %d readers",
			len(c.files.ahead), len(c.files.loaded), len(c.files.stored), c.files.reclaim.readers)
	}
}
