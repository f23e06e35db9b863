package jobs

import (
	"fmt"
	"io"
	"testing"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
)

// BenchmarkFile writes a file of 64 MB and reads it back, by the size of its parts.
func BenchmarkFile(b *testing.B) {
	content := randomBody(64 << 20)
	for _, nodes := range []int{1, 3} {
		c := testConn(b, testConfig(natstest.Shared(b, nodes)))
		for _, size := range []int{64 << 10, 128 << 10, 256 << 10, 512 << 10, maxPart} {
			var f File
			b.Run(fmt.Sprintf("nodes=%d/part=%dK/write", nodes, size>>10), func(b *testing.B) {
				b.SetBytes(int64(len(content)))
				b.ReportAllocs()
				for b.Loop() {
					w := c.NewFile(b.Context(), File{Tenant: "acme", Purpose: "batch", Filename: "f"})
					w.file.PartSize = size
					for rest := content; len(rest) > 0; rest = rest[min(len(rest), 32<<10):] {
						if _, err := w.Write(rest[:min(len(rest), 32<<10)]); err != nil {
							b.Fatal(err)
						}
					}
					var err error
					if f, err = w.Commit(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(fmt.Sprintf("nodes=%d/part=%dK/read", nodes, size>>10), func(b *testing.B) {
				b.SetBytes(int64(len(content)))
				b.ReportAllocs()
				buf := make([]byte, 64<<10)
				for b.Loop() {
					r := c.OpenFile(b.Context(), f)
					if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, buf); n != f.Bytes || err != nil {
						b.Fatal(n, err)
					}
					_ = r.Close()
				}
			})
		}
	}
}
