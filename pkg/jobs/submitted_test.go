package jobs

import (
	"bytes"
	"errors"
	"testing"
)

// Of two that submit the same kept job, the one whose record is first gets its
// events, and what the other stored of a large body does no harm.
func TestSubmittedBefore(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		for name, body := range map[string]string{"small": `{"x":1}`, "large": string(bytes.Repeat([]byte("x"), 3<<20))} {
			t.Run(name, func(t *testing.T) {
				first, second := r.client(), r.client()
				job := newJob(body)
				job.Keep = &Keep{Hidden: true, Repeat: true}
				s, err := first.Submit(t.Context(), job)
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				if _, err := second.Submit(t.Context(), job); !errors.Is(err, ErrSubmitted) {
					t.Fatalf("the second: %v", err)
				}
				m, err := r.conn.leaderGet(t.Context(), r.conn.n.keptStream(), question{LastFor: r.conn.n.hidden(job.Tenant, job.ID)})
				if err != nil {
					t.Fatal(err)
				}
				stored, _, ref, err := decodeJob(m.Data)
				if err != nil {
					t.Fatal(err)
				}
				got := stored.Body
				if ref != nil {
					if got, err = r.conn.loadBody(t.Context(), *ref); err != nil {
						t.Fatal(err)
					}
				}
				if string(got) != body {
					t.Errorf("%d bytes came back of %d", len(got), len(body))
				}
			})
		}
	})
}
