package answer_test

import (
	"bytes"
	"testing"

	"github.com/osiris/osiris/internal/bench/answer"
)

func TestMark(t *testing.T) {
	for _, s := range []answer.Spec{{0, 1, 1}, {0x9f86d081884c7d65, 64, 9}, {^uint64(0), 1_000_000, 64}, {7, 3, 64 << 10}} {
		mark := s.AppendMark(nil)
		got, ok := answer.Find(append([]byte(`{"content":"hi `), append(mark, `, and more"}`...)...))
		if !ok || got != s {
			t.Errorf("%s is read as %+v, %t", mark, got, ok)
		}
		answer.PutID(mark[answer.IDAt(mark):], 42)
		if got, ok := answer.Find(mark); !ok || got != (answer.Spec{ID: 42, Pieces: s.Pieces, Size: s.Size}) {
			t.Errorf("with another id: %s, %+v", mark, got)
		}
	}
	for _, text := range []string{
		"", "[bench ", "[bench 9f86d081884c7d65", "[bench 9f86d081884c7d65 ", "[bench 9f86d081884c7d65 64", "[bench 9f86d081884c7d65 64x", "[bench 9f86d081884c7d65 64x9",
		"[bench 9f86d081884c7d65 0x9]", "[bench 9f86d081884c7d65 64x0]", "[bench 9f86d081884c7d65 1000001x1]", "[bench 9f86d081884c7d65 1x65537]",
		"[bench 9f86d081884c7d65 1000000x65536]", "[bench 9f86d081884c7d65 99999999x1]", "[bench xf86d081884c7d65 64x9]", "[bench 9f86d081884c7d65 -4x9]",
	} {
		if s, ok := answer.Find([]byte(text)); ok {
			t.Errorf("%q is read as %+v", text, s)
		}
	}
}

// TestPieces: no two pieces are alike, neither in an answer nor between answers whose ids
// follow each other.
func TestPieces(t *testing.T) {
	seen := map[string]bool{}
	for id := range uint64(50) {
		s := answer.Spec{ID: id, Pieces: 64, Size: answer.DefaultSize}
		var text []byte
		for i := range s.Pieces {
			p := s.AppendPiece(nil, i)
			if len(p) != s.Size || seen[string(p)] {
				t.Fatalf("piece %d of %d is %q", i, id, p)
			}
			seen[string(p)] = true
			text = append(text, p...)
		}
		if !bytes.Equal(text, s.AppendText(nil)) {
			t.Fatalf("the text of %d is not its pieces", id)
		}
	}
	for size := 1; size < 50; size++ {
		if p := (answer.Spec{ID: 1, Pieces: 1, Size: size}).AppendPiece(nil, 0); len(p) != size {
			t.Errorf("a piece of %d bytes has %d", size, len(p))
		}
	}
}

func FuzzFind(f *testing.F) {
	f.Add([]byte("[bench 9f86d081884c7d65 64x9]"))
	f.Add([]byte("[bench 9f86d081884c7d65 64x9"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, ok := answer.Find(b)
		if !ok {
			return
		}
		if again, ok := answer.Find(s.AppendMark(nil)); !ok || again != s || !s.Valid() {
			t.Errorf("%q is %+v, and that is %+v", b, s, again)
		}
	})
}

func BenchmarkText(b *testing.B) {
	s := answer.Spec{ID: 1, Pieces: 64, Size: answer.DefaultSize}
	var text []byte
	b.ReportAllocs()
	for b.Loop() {
		s.ID++
		text = s.AppendText(text[:0])
	}
}
