package jobs

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// The ring gives back exactly the frames that were added and not dropped.
func TestRing(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var r ring
	held := map[uint32]string{}
	var last, dropped uint32
	for range 5000 {
		switch rnd.IntN(3) {
		case 0, 1:
			last++
			data := fmt.Sprintf("%d-%s", last, bytes.Repeat([]byte("z"), rnd.IntN(40)))
			r.add(&frame{number: last, kind: Chunk, data: []byte(data)})
			held[last] = data
		case 2:
			upTo := dropped + uint32(rnd.IntN(8))
			upTo = min(upTo, last)
			r.drop(upTo)
			for ; dropped < upTo; dropped++ {
				delete(held, dropped+1)
			}
		}
		from := dropped + uint32(rnd.IntN(4))
		want := max(from, dropped+1)
		r.from(from, 200, func(run []byte) {
			for len(run) > 0 {
				var f frame
				var err error
				if f, run, err = nextFrame(run); err != nil {
					t.Fatal(err)
				}
				if f.number != want || string(f.data) != held[want] {
					t.Fatalf("frame %d %q, want %d %q", f.number, f.data, want, held[want])
				}
				want++
			}
		})
		if want != last+1 && last > dropped && from <= last {
			t.Fatalf("ended at %d, last is %d", want-1, last)
		}
	}
}
