package jobs

import (
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"testing"
)

func TestClaim(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		body, other := sha256.Sum256([]byte("a")), sha256.Sum256([]byte("b"))
		key := "any text: \n * > ." + strings.Repeat("x", 300)
		for _, step := range []struct {
			tenant, key string
			body        [32]byte
			id, owner   string
			err         error
		}{
			{"acme", key, body, "one", "one", nil},
			{"acme", key, body, "one", "one", nil}, // made again by whoever lost the answer
			{"acme", key, body, "two", "one", nil},
			{"acme", key, other, "two", "", ErrKeyReused},
			{"acme", key + "y", other, "two", "two", nil},
			{"umbrella", key, other, "three", "three", nil}, // a tenant's keys are its own
		} {
			owner, err := r.conn.Claim(t.Context(), step.tenant, step.key, step.body, step.id)
			if owner != step.owner || !errors.Is(err, step.err) {
				t.Errorf("%+v: owner %q, %v", step, owner, err)
			}
		}
		for _, id := range []string{"", strings.Repeat("x", maxClaimID+1)} {
			if _, err := r.conn.Claim(t.Context(), "acme", "k", body, id); err == nil {
				t.Errorf("claimed for an id of %d bytes", len(id))
			}
		}
		if _, err := r.conn.Claim(t.Context(), "a.b", "k", body, "x"); err == nil {
			t.Error("claimed for a tenant that no subject can name")
		}
	})
}

func TestClaimedTogether(t *testing.T) {
	eachRig(t, func(t *testing.T, r *rig) {
		conns := []*Conn{r.connect(), r.connect()}
		body := sha256.Sum256([]byte("a"))
		for _, key := range []string{"k1", "k2", "k3", "k4", "k5"} {
			const claimers = 16
			owners, made := [claimers]string{}, [claimers]string{}
			var wg sync.WaitGroup
			start := make(chan struct{})
			for i := range claimers {
				wg.Go(func() {
					<-start
					made[i] = NewID().String()
					owner, err := conns[i%2].Claim(t.Context(), "acme", key, body, made[i])
					if err != nil {
						t.Error(err)
					}
					owners[i] = owner
				})
			}
			close(start)
			wg.Wait()
			winners := 0
			for i := range claimers {
				if owners[i] != owners[0] {
					t.Fatalf("two owners: %s and %s", owners[i], owners[0])
				}
				if owners[i] == made[i] {
					winners++
				}
			}
			if winners != 1 {
				t.Fatalf("%d winners", winners)
			}
		}
	})
}

func FuzzClaim(f *testing.F) {
	f.Add(encodeClaim([32]byte{1}, "id"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		body, id, err := decodeClaim(b)
		if err != nil {
			return
		}
		if again := encodeClaim([32]byte(body), id); string(again) != string(b) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}
