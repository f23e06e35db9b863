package jobs

import (
	"bytes"
	"testing"
)

func TestFramesRoundTrip(t *testing.T) {
	frames := []frame{
		{job: NewID(), attempt: 1, number: 1, kind: Started, data: []byte(`{"worker":"w"}`)},
		{job: NewID(), attempt: 2, number: 9, kind: Chunk, more: true, data: bytes.Repeat([]byte("x"), 70_000)},
		{job: NewID(), attempt: 1 << 31, number: 1<<32 - 1, kind: Done, data: []byte{}},
	}
	b := []byte{frameVersion}
	for i := range frames {
		b = appendFrame(b, &frames[i])
	}
	rest, err := openMessage(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range frames {
		var got frame
		if got, rest, err = nextFrame(rest); err != nil {
			t.Fatal(err)
		}
		if got.job != want.job || got.attempt != want.attempt || got.number != want.number || got.kind != want.kind ||
			got.more != want.more || !bytes.Equal(got.data, want.data) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
	if len(rest) != 0 {
		t.Fatalf("%d bytes left", len(rest))
	}
}

// Any bytes either are frames that encode to themselves or are refused.
func FuzzFrames(f *testing.F) {
	one := appendFrame([]byte{frameVersion}, &frame{job: NewID(), attempt: 1, number: 2, kind: Chunk, data: []byte("data: {}\n\n")})
	f.Add(one)
	f.Add(appendFrame(one, &frame{kind: heartbeat}))
	f.Add(one[:len(one)-1])
	f.Add([]byte{frameVersion, 255, 255, 255, 255})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		rest, err := openMessage(b)
		if err != nil {
			return
		}
		again := []byte{frameVersion}
		for len(rest) > 0 {
			var fr frame
			if fr, rest, err = nextFrame(rest); err != nil {
				return
			}
			again = appendFrame(again, &fr)
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

func FuzzJob(f *testing.F) {
	b, err := encodeJob(nil, "front", &Job{ID: NewID(), Tenant: "t", Model: "m", Pool: "p", Body: []byte(`{"model":"m"}`)}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:7])
	f.Add([]byte{jobVersion, 255, 255, 255, 255, '{'})
	f.Fuzz(func(t *testing.T, b []byte) {
		job, frontend, ref, err := decodeJob(b)
		if err != nil {
			return
		}
		again, err := encodeJob(nil, frontend, job, ref)
		if err != nil {
			t.Fatalf("decoded but not encoded: %v", err)
		}
		job2, frontend2, _, err := decodeJob(again)
		if err != nil || frontend2 != frontend || job2.ID != job.ID || job2.Timeout != job.Timeout || !bytes.Equal(job2.Body, job.Body) {
			t.Fatalf("%+v became %+v (%v)", job, job2, err)
		}
	})
}
