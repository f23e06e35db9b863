package jobs

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// store is a stream that confirms what it is told to.
type store struct {
	sent []replayMessage
	rec  *recorder
	mute bool
}

func (s *store) send(number uint64, data []byte) {
	m, err := decodeReplay(append([]byte(nil), data...))
	if err != nil {
		panic(err)
	}
	s.sent = append(s.sent, m)
	if !s.mute {
		go s.rec.confirm(number, []byte(`{"stream":"x","seq":7}`))
	}
}

func newStore() *store {
	s := &store{mute: true}
	s.rec = newRecorder(2, 5, maxPart, s.send)
	s.rec.mark(replayStarted, nil)
	s.mute = false
	s.rec.confirm(0, []byte(`{"stream":"x","seq":1}`))
	return s
}

func TestRecorderGathersWhatComesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		for _, sse := range []string{"data: a\n\n", "data: b\n\ndata: c\n\n"} {
			if _, err := s.rec.add(t.Context(), []byte(sse)); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(recordWindow)
		synctest.Wait()
		if len(s.sent) != 2 || s.sent[1].first != 5 || s.sent[1].count != 3 || string(s.sent[1].data) != "id: 5\ndata: a\n\nid: 6\ndata: b\n\nid: 7\ndata: c\n\n" {
			t.Fatalf("sent %+v", s.sent)
		}
		if last := s.rec.finish(t.Context()); last != 7 {
			t.Errorf("last event %d", last)
		}
	})
}

func TestRecorderRepeatsUntilConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.mute = true
		if _, err := s.rec.add(t.Context(), []byte("data: a\n\n")); err != nil {
			t.Fatal(err)
		}
		s.rec.flush()
		s.rec.confirm(1, []byte(`{"error":{"code":503}}`))
		s.rec.confirm(1, nil)
		<-time.After(recordAgain)
		s.mute = false
		if !s.rec.again(time.Now()) {
			t.Error("not repeated")
		}
		if last := s.rec.finish(t.Context()); last != 5 || len(s.sent) != 3 || s.sent[2].first != 5 {
			t.Errorf("last event %d, sent %+v", last, s.sent)
		}
	})
}

// The second confirmation of a message that was published twice is none of the next.
func TestRecorderIsConfirmedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.mute = true
		for _, sse := range []string{"data: a\n\n", "data: b\n\n"} {
			if _, err := s.rec.add(t.Context(), []byte(sse)); err != nil {
				t.Fatal(err)
			}
			s.rec.flush()
		}
		<-time.After(recordAgain)
		s.rec.again(time.Now())
		for range 2 {
			s.rec.confirm(1, []byte(`{"stream":"x","seq":7}`))
		}
		if last := s.rec.finish(t.Context()); last != 0 {
			t.Errorf("event %d counts as stored, and was not confirmed", last)
		}
	})
}

func TestRecorderGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.mute = true
		if _, err := s.rec.add(t.Context(), []byte("data: a\n\n")); err != nil {
			t.Fatal(err)
		}
		if last := s.rec.finish(t.Context()); last != 0 {
			t.Errorf("last event %d", last)
		}
	})
}

func TestRecorderIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.mute = true
		ctx, cancel := context.WithCancelCause(t.Context())
		big := []byte("data: " + strings.Repeat("x", recordMost) + "\n\n")
		if _, err := s.rec.add(ctx, big); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { cancel(ErrExpired) })
		if _, err := s.rec.add(ctx, big); !errors.Is(err, ErrExpired) {
			t.Fatal(err)
		}
	})
}

func FuzzDecodeReplay(f *testing.F) {
	f.Add(appendReplay(nil, &replayMessage{kind: replayChunk, attempt: 1, first: 3, count: 2, data: []byte("x")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeReplay(b)
		if err != nil {
			return
		}
		if got := appendReplay(nil, &m); string(got) != string(b) {
			t.Errorf("%x became %x", b, got)
		}
	})
}

func FuzzDecodeResult(f *testing.F) {
	b, err := encodeResult(nil, &Result{Status: Completed, Worker: "w", Attempt: 2, Ended: time.Unix(7, 0), Body: []byte("{}")}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ref, err := decodeResult(b)
		if err == nil && r.Status == Completed && ref == nil && len(r.Body) > len(b) {
			t.Error("a body from nowhere")
		}
	})
}

func TestRecorderCutsWhatIsTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		if _, err := s.rec.add(t.Context(), []byte("data: "+strings.Repeat("x", 2*maxPart)+"\n\n")); err != nil {
			t.Fatal(err)
		}
		last := s.rec.finish(t.Context())
		if last != 5 || len(s.sent) != 4 || s.sent[1].kind != replayPart || s.sent[2].next() != 5 || s.sent[3].kind != replayChunk {
			t.Fatalf("last %d, %d messages", last, len(s.sent))
		}
	})
}

// A server that takes smaller messages than others gets smaller ones.
func TestRecorderKeepsToTheServersLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.rec.part = 1000
		if _, err := s.rec.add(t.Context(), []byte("data: "+strings.Repeat("x", 2500)+"\n\n")); err != nil {
			t.Fatal(err)
		}
		if last := s.rec.finish(t.Context()); last != 5 || len(s.sent) != 4 {
			t.Errorf("last %d, %d messages", last, len(s.sent))
		}
	})
}
