package jobs

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// numbered returns a message with events of these numbers.
func numbered(attempt uint32, first, last uint64) replayMessage {
	var sse []byte
	for n := first; n <= last; n++ {
		sse = append(sse, numberedEvent(attempt, n)...)
	}
	return replayMessage{kind: replayChunk, attempt: attempt, first: first, count: uint32(last - first + 1), data: sse}
}

func numberedEvent(attempt uint32, n uint64) string {
	return fmt.Sprintf("id: %d\ndata: {\"attempt\":%d}\n\n", n, attempt)
}

// events returns the events of these numbers.
func eventsOf(attempt uint32, first, last uint64) string {
	m := numbered(attempt, first, last)
	return string(m.data)
}

func mark(kind replayKind, attempt uint32, first uint64) replayMessage {
	return replayMessage{kind: kind, attempt: attempt, first: first}
}

func TestCursor(t *testing.T) {
	begun := func(attempt uint32, first uint64) replayMessage { return mark(replayStarted, attempt, first) }
	two := []replayMessage{begun(1, 1), numbered(1, 1, 3), begun(2, 4), numbered(2, 4, 6), mark(replayDone, 2, 7)}
	for name, c := range map[string]struct {
		after    uint64
		only     uint32
		live     bool
		messages []replayMessage
		want     string // what the reader gets
		end      offered
	}{
		"from the beginning":                 {0, 0, false, []replayMessage{begun(1, 1), numbered(1, 1, 2), numbered(1, 3, 5), mark(replayDone, 1, 6)}, eventsOf(1, 1, 5), ended},
		"from the middle of a message":       {3, 0, false, []replayMessage{begun(1, 1), numbered(1, 1, 2), numbered(1, 3, 5)}, eventsOf(1, 4, 5), given},
		"everything is there":                {5, 0, false, []replayMessage{begun(1, 1), numbered(1, 1, 5), mark(replayDone, 1, 6)}, "", ended},
		"beyond the end":                     {9, 0, false, []replayMessage{begun(1, 1), numbered(1, 1, 5), mark(replayDone, 1, 6)}, "", ended},
		"twice":                              {0, 0, true, []replayMessage{begun(1, 1), numbered(1, 1, 2), begun(1, 1), numbered(1, 1, 2), numbered(1, 2, 3)}, eventsOf(1, 1, 3), given},
		"hole":                               {0, 0, true, []replayMessage{begun(1, 1), numbered(1, 1, 2), numbered(1, 4, 5)}, eventsOf(1, 1, 2), missed},
		"hole before the end":                {0, 0, true, []replayMessage{begun(1, 1), numbered(1, 1, 2), mark(replayFailed, 1, 4)}, eventsOf(1, 1, 2), missed},
		"live without a beginning":           {0, 0, true, []replayMessage{numbered(1, 1, 2)}, "", missed},
		"stored without a beginning":         {0, 0, false, []replayMessage{numbered(1, 1, 2)}, eventsOf(1, 1, 2), given},
		"aged":                               {0, 0, false, []replayMessage{numbered(1, 2, 3)}, "", missed},
		"aged, but not what is asked for":    {2, 0, false, []replayMessage{numbered(1, 2, 4)}, eventsOf(1, 3, 4), given},
		"aged further":                       {2, 0, false, []replayMessage{numbered(1, 4, 5)}, "", missed},
		"given up while reading":             {0, 0, false, two, eventsOf(1, 1, 3), void},
		"given up before it said anything":   {0, 0, true, []replayMessage{begun(1, 1), begun(2, 1), numbered(2, 1, 2)}, eventsOf(2, 1, 2), given},
		"the reader had the older one's":     {2, 0, false, two[2:], "", void},
		"the reader had all the older one's": {3, 0, false, two[2:], "", void},
		"the reader had the newer one's, and what was before is stored": {5, 0, false, two, eventsOf(2, 6, 6), ended},
		"the reader had the older one's, and that is stored":            {2, 0, false, two, eventsOf(1, 3, 3), void},
		"the reader had all the older one's, and that is stored":        {3, 0, false, two, "", void},
		"the reader had the newer one's":                                {4, 0, false, two[2:], eventsOf(2, 5, 6), ended},
		"the result is the newer one's":                                 {0, 2, false, two, eventsOf(2, 4, 6), ended},
		"the result is the older one's":                                 {1, 1, false, two, eventsOf(1, 2, 3), given},
		"late words of the older one":                                   {0, 0, true, []replayMessage{begun(2, 1), numbered(2, 1, 1), numbered(1, 1, 3), numbered(2, 2, 2)}, eventsOf(2, 1, 2), given},
	} {
		t.Run(name, func(t *testing.T) {
			cur := newCursor(c.after, c.only)
			var got strings.Builder
			var last offered
			for i := range c.messages {
				verdict, e := cur.offer(&c.messages[i], c.live)
				if verdict == passed {
					continue
				}
				last = verdict
				if verdict != given {
					break
				}
				if !strings.HasPrefix(string(e.Data), fmt.Sprintf("id: %d\n", e.Number)) || e.Attempt != c.messages[i].attempt {
					t.Errorf("event %d of attempt %d is %q", e.Number, e.Attempt, e.Data)
				}
				got.Write(e.Data)
			}
			if got.String() != c.want || last != c.end {
				t.Errorf("verdict %d, got %q, want %q", last, got.String(), c.want)
			}
		})
	}
}

// Whatever order, repetition and loss there is, a reader gets a contiguous run of
// one attempt's events from the one asked for on.
func TestCursorNeverSkips(t *testing.T) {
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var messages []replayMessage
		next := uint64(1)
		for attempt := range uint32(1 + rng.IntN(3)) {
			messages = append(messages, mark(replayStarted, attempt+1, next))
			for range rng.IntN(6) {
				last := next + uint64(rng.IntN(4))
				messages = append(messages, numbered(attempt+1, next, last))
				next = last + 1
			}
		}
		for range rng.IntN(8) { // lost, repeated, out of order
			i, j := rng.IntN(len(messages)), rng.IntN(len(messages))
			messages[i] = messages[j]
		}
		after := uint64(rng.IntN(int(next) + 1))
		cur := newCursor(after, 0)
		var of uint32
		want := after + 1
		for i := range messages {
			verdict, e := cur.offer(&messages[i], rng.IntN(2) == 0)
			if verdict != given {
				continue
			}
			if of == 0 {
				if of = e.Attempt; after == 0 {
					want = uint64(e.Number)
				}
			}
			n := uint64(strings.Count(string(e.Data), "\n\n"))
			if e.Attempt != of || uint64(e.Number) != want || string(e.Data) != eventsOf(of, want, want+n-1) {
				t.Fatalf("seed %d: event %d of attempt %d after %d of %d: %q", seed, e.Number, e.Attempt, want-1, of, e.Data)
			}
			want += n
		}
	}
}

// Events too large for a message are put together, whatever comes twice or not.
func TestAssembly(t *testing.T) {
	whole := numbered(1, 3, 4)
	part := func(n uint32, data string) replayMessage {
		return replayMessage{kind: replayPart, attempt: 1, first: 3, count: n, data: []byte(data)}
	}
	a, b, c := string(whole.data[:9]), string(whole.data[9:20]), string(whole.data[20:])
	rest := replayMessage{kind: replayChunk, attempt: 1, first: 3, count: 2, data: []byte(c)}
	for name, of := range map[string]struct {
		messages []replayMessage
		want     []assembled
	}{
		"in one":         {[]replayMessage{numbered(1, 3, 4)}, []assembled{complete}},
		"in parts":       {[]replayMessage{part(0, a), part(1, b), rest}, []assembled{incomplete, incomplete, complete}},
		"twice":          {[]replayMessage{part(0, a), part(0, a), part(1, b), part(1, b), rest, rest}, []assembled{incomplete, incomplete, incomplete, incomplete, complete, incomplete}},
		"beginning lost": {[]replayMessage{part(1, b), rest}, []assembled{incomplete, broken}},
		"middle lost":    {[]replayMessage{part(0, a), part(2, b), rest}, []assembled{incomplete, incomplete, broken}},
		"of another":     {[]replayMessage{part(0, a), {kind: replayChunk, attempt: 2, first: 3, count: 2, data: []byte(c)}}, []assembled{incomplete, broken}},
	} {
		t.Run(name, func(t *testing.T) {
			var as assembly
			for i, m := range of.messages {
				if got := as.take(&m); got != of.want[i] {
					t.Fatalf("message %d: %d, want %d", i, got, of.want[i])
				} else if got == complete && string(m.data) != string(whole.data) {
					t.Errorf("message %d: %q", i, m.data)
				}
			}
		})
	}
}
