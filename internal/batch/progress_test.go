package batch

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/protocol"
)

// Whatever happens to requests, each is handed out until it is done, none twice at a
// time, and the counts reach the total.
func TestProgress(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		total := rnd.IntN(100)
		p, now := newProgress(total), time.Unix(1000, 0)
		out, done := map[int]int{}, map[int]bool{}
		for steps := 0; !p.over(); steps++ {
			if steps > 100*total+1000 {
				t.Fatalf("seed %d: it never ends: %+v", seed, p)
			}
			now = now.Add(time.Duration(rnd.IntN(500)) * time.Millisecond)
			switch i, try, ok := p.next(now, rnd.IntN(2) == 0, func(string) bool { return rnd.IntN(3) > 0 }); {
			case ok && rnd.IntN(10) == 0:
				p.putOff(i, try, "p", now)
			case ok:
				if _, twice := out[i]; twice || done[i] {
					t.Fatalf("seed %d: %d is handed out again", seed, i)
				}
				out[i] = try
			}
			for i, try := range out {
				delete(out, i)
				if rnd.IntN(3) == 0 {
					p.tryAgain(i, try+1, now.Add(time.Duration(rnd.IntN(2000))*time.Millisecond))
					break
				}
				done[i] = true
				if !p.finish(i, rnd.IntN(2) == 0) || p.finish(i, true) {
					t.Fatalf("seed %d: %d was done before", seed, i)
				}
				break
			}
			if rnd.IntN(50) == 0 { // taken over: nothing is known but what is done
				clear(out)
				p.rewind()
			}
		}
		if len(done) != total || p.completed+p.failed != total {
			t.Fatalf("seed %d: %d of %d", seed, len(done), total)
		}
		p.missing(func(i int) { t.Errorf("seed %d: %d is missing", seed, i) })
	}
}

func TestPlan(t *testing.T) {
	long := strings.Repeat("x", longestKeptID+1)
	text := "\uFEFF\n" + line("a", "one") + "\n\n" + line(long, "two") + "\r\n" + line("", "three")
	var p plan
	sum, err := protocol.BatchCheck{Endpoint: protocol.ChatEndpoint}.Read(strings.NewReader(text), func(l protocol.BatchLine) error {
		p.add(l)
		return nil
	})
	if err != nil || len(sum.Faults) > 0 || p.len() != 3 {
		t.Fatalf("%+v, %v", sum, err)
	}
	input := bytes.NewReader([]byte(text))
	for i, want := range []struct {
		number     int
		id, prompt string
	}{{2, "a", "one"}, {4, long, "two"}, {5, "", "three"}} {
		l, err := p.line(input, i)
		if err != nil || !strings.Contains(string(l.Body), want.prompt) || p.number(i) != want.number {
			t.Errorf("line %d: %+v, %v", want.number, l, err)
		}
		if id, err := p.customID(input, i); err != nil || string(id) != fmt.Sprintf("%q", want.id) {
			t.Errorf("line %d: custom_id %s, %v", want.number, id, err)
		}
		if at, ok := p.find(want.number); !ok || at != i {
			t.Errorf("line %d found at %d, %t", want.number, at, ok)
		}
	}
	if _, ok := p.find(3); ok {
		t.Error("a blank line was found")
	}
}
