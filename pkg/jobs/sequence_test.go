package jobs

import (
	"math/rand/v2"
	"testing"
)

func TestSequence(t *testing.T) {
	type step struct {
		attempt, number uint32
		kind            EventKind
		want            verdict
	}
	for name, steps := range map[string][]step{
		"in order": {{1, 1, Started, restart}, {1, 2, Chunk, accept}, {1, 3, Done, accept}, {1, 4, Chunk, ignore}},
		"repeated": {{1, 1, Started, restart}, {1, 1, Started, ignore}, {1, 2, Chunk, accept}, {1, 2, Chunk, ignore}},
		"gap filled": {
			{1, 1, Started, restart}, {1, 3, Chunk, gap}, {1, 2, Chunk, accept}, {1, 3, Chunk, accept}, {1, 4, Done, accept},
		},
		"beginning lost": {{1, 2, Chunk, gap}, {1, 1, Started, restart}, {1, 2, Chunk, accept}},
		"end lost, a heartbeat shows it": {
			{1, 1, Started, restart}, {1, 1, heartbeat, ignore}, {1, 2, heartbeat, gap}, {1, 2, Done, accept}, {1, 2, heartbeat, ignore},
		},
		"newer attempt": {
			{1, 1, Started, restart}, {1, 2, Chunk, accept}, {2, 1, Started, restart}, {1, 3, Chunk, ignore}, {2, 2, Chunk, accept},
		},
		"newer attempt without its beginning": {
			{1, 1, Started, restart}, {3, 2, Chunk, gap}, {1, 2, Chunk, accept}, {3, 1, Started, restart}, {3, 2, Chunk, accept},
		},
		"attempt that only fails": {{4, 1, Failed, restart}, {4, 1, heartbeat, ignore}},
	} {
		t.Run(name, func(t *testing.T) {
			var s sequence
			for i, st := range steps {
				if got := s.offer(st.attempt, st.number, st.kind, st.kind.final()); got != st.want {
					t.Fatalf("step %d %+v: verdict %d", i, st, got)
				}
			}
		})
	}
}

// Whatever is lost, repeated or reordered on the way: if what is missing is sent
// again until it is there, the reader takes every frame of the newest attempt
// once and in order.
func TestSequenceConverges(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var s sequence
		var taken []uint32
		total := uint32(1 + rnd.IntN(30))
		offer := func(n uint32) verdict {
			kind := Chunk
			if n == total {
				kind = Done
			}
			v := s.offer(7, n, kind, kind.final())
			if v == accept || v == restart {
				taken = append(taken, n)
			}
			return v
		}
		for !s.closed {
			switch rnd.IntN(3) {
			case 0: // any frame, out of order
				offer(1 + uint32(rnd.IntN(int(total))))
			case 1: // resending what is missing
				for n := s.missing(7); n <= total; n++ {
					if rnd.IntN(4) > 0 {
						offer(n)
					}
				}
			case 2:
				if v := s.offer(7, total, heartbeat, false); v == accept || v == restart {
					t.Fatal("a heartbeat was taken for an event")
				}
			}
		}
		for i, n := range taken {
			if n != uint32(i+1) {
				t.Fatalf("taken %v of %d", taken, total)
			}
		}
		if uint32(len(taken)) != total {
			t.Fatalf("taken %d of %d", len(taken), total)
		}
	}
}
