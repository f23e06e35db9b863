package jobs

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"sync/atomic"
	"time"

	"github.com/osiris/osiris/pkg/protocol"
)

// Keyring is a live view of the keys. Its methods may be called by any number of
// goroutines; they take no lock and read nothing from NATS. While NATS is away the
// last state stands.
type Keyring struct {
	view view[*Key]
	keys atomic.Pointer[keyTable]
}

// keyTable is one state of the keys, found by the hash of their secrets and by id.
type keyTable struct {
	bySum map[[sha256.Size]byte]ringKey
	byID  map[string]*Key
}

type ringKey struct {
	sum [sha256.Size]byte
	key *Key
}

// WatchKeys reads the keys and follows them until Close or the connection's end. It
// returns when they were read once, or with an error when ctx ends before.
func (c *Conn) WatchKeys(ctx context.Context) (*Keyring, error) {
	r := new(Keyring)
	r.publish(nil)
	r.view = view[*Key]{c: c, kv: c.keys, decode: decodeKey, publish: func(entries map[string]*Key) {
		if len(entries) == 0 && len(r.keys.Load().byID) > 0 {
			c.log.Error("all API keys are gone: has NATS lost its store?",
				"remedy", "create keys with osiris keys create; a frontend that starts creates that of OSIRIS_BOOTSTRAP_KEY again")
		}
		r.publish(entries)
	}}
	if err := r.view.start(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// Close ends the view and waits for it. The last state can still be used.
func (r *Keyring) Close() { r.view.close() }

// Authenticate returns the key with that secret, which the caller must not change,
// or a *protocol.Error (401) if there is none or it has expired or is revoked.
func (r *Keyring) Authenticate(secret []byte) (*Key, error) {
	sum := sha256.Sum256(secret)
	// The table is searched by the hash, which a guesser cannot steer; the
	// comparison itself takes the same time whatever it finds.
	found, ok := r.keys.Load().bySum[sum]
	if !ok || subtle.ConstantTimeCompare(found.sum[:], sum[:]) != 1 || !found.key.Usable(time.Now()) {
		return nil, protocol.ErrBadKey(protocol.MaskKey(string(secret[:min(len(secret), 256)])))
	}
	return found.key, nil
}

// Empty reports whether no key would be accepted.
func (r *Keyring) Empty() bool {
	now := time.Now()
	for _, k := range r.keys.Load().byID {
		if k.Usable(now) {
			return false
		}
	}
	return true
}

func (r *Keyring) publish(entries map[string]*Key) {
	keys := &keyTable{
		bySum: make(map[[sha256.Size]byte]ringKey, len(entries)),
		byID:  make(map[string]*Key, len(entries)),
	}
	for _, k := range entries {
		var sum [sha256.Size]byte
		if _, err := hex.Decode(sum[:], []byte(k.Hash)); err != nil {
			continue // refused by decodeKey before
		}
		keys.bySum[sum] = ringKey{sum, k}
		keys.byID[k.ID] = k
	}
	r.keys.Store(keys)
}

// ByID returns the key of that id, which the caller must not change, whether it can
// still be used or not.
func (r *Keyring) ByID(id string) (key *Key, ok bool) {
	key, ok = r.keys.Load().byID[id]
	return key, ok
}
