package jobs

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/osiris/osiris/pkg/protocol"
)

// KeyPrefix begins every secret that CreateKey makes.
const KeyPrefix = "sk-osiris-"

// ErrNoKey says that no stored key has the id or name asked for.
var ErrNoKey = errors.New("no such key")

// Key is an API key as it is stored: everything but the secret.
type Key struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Tenant  string    `json:"tenant"`
	Hash    string    `json:"hash"` // SHA-256 of the secret, hexadecimal
	Hint    string    `json:"hint"` // the secret, masked, for its owner to recognise
	Models  []string  `json:"models,omitempty"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"` // zero: never
	Revoked time.Time `json:"revoked,omitzero"` // zero: not
}

// Allows reports whether the key may use model: one that it names, or that begins
// like an entry with a star at its end. A key that names none may use all.
func (k *Key) Allows(model string) bool {
	if len(k.Models) == 0 {
		return true
	}
	for _, m := range k.Models {
		begin, star := strings.CutSuffix(m, "*")
		if m == model || star && strings.HasPrefix(model, begin) {
			return true
		}
	}
	return false
}

// Usable reports whether the key is accepted at time now.
func (k *Key) Usable(now time.Time) bool {
	return k.Revoked.IsZero() && (k.Expires.IsZero() || now.Before(k.Expires))
}

// KeySpec says what key to create.
type KeySpec struct {
	Name    string    // for people; need not be unique, but only a unique one can be used to revoke
	Tenant  string    // who pays; "" is "default"
	Models  []string  // see Key.Allows; empty: all
	Expires time.Time // zero: never
	Secret  string    // preset; "": a fresh one of 256 random bits
}

func (s KeySpec) check() error {
	var faults []error
	if err := checkToken("tenant", s.Tenant); err != nil {
		faults = append(faults, err)
	}
	if s.Name == "" || len(s.Name) > 128 {
		faults = append(faults, errors.New("name: want 1 to 128 bytes"))
	}
	if slices.Contains(s.Models, "") {
		faults = append(faults, errors.New("models: one is empty"))
	}
	if len(s.Secret) > 256 || strings.ContainsFunc(s.Secret, func(r rune) bool { return r <= ' ' || r > '~' }) {
		faults = append(faults, errors.New("secret: want 1 to 256 visible ASCII characters"))
	}
	return errors.Join(faults...)
}

// CreateKey stores a key and returns it with its secret, which is stored nowhere.
// Where the secret was preset and a key with it exists, be it revoked, that key is
// returned unchanged, so several processes may create the first key together. It
// keeps trying until ctx ends.
func (c *Conn) CreateKey(ctx context.Context, spec KeySpec) (key Key, secret string, err error) {
	setDefault(&spec.Tenant, "default")
	if spec.Secret == "" {
		spec.Secret = KeyPrefix + randomText(32)
	}
	if err := spec.check(); err != nil {
		return Key{}, "", fmt.Errorf("create key: %w", err)
	}
	sum := sha256.Sum256([]byte(spec.Secret))
	key = Key{
		ID: "key_" + randomText(12), Name: spec.Name, Tenant: spec.Tenant,
		Hash: hex.EncodeToString(sum[:]), Hint: protocol.MaskKey(spec.Secret), Models: spec.Models,
		Created: time.Now().UTC().Truncate(time.Second), Expires: spec.Expires,
	}
	value, err := json.Marshal(key)
	if err != nil {
		return Key{}, "", fmt.Errorf("create key: %w", err)
	}
	err = c.persist(ctx, "create key", func(ctx context.Context) error {
		// The write is conditional, hence also harmless to repeat when its ack
		// was lost; whoever came first is read back from the leader.
		_, err := c.keys.Create(ctx, key.Hash, value)
		if !errors.Is(err, jetstream.ErrKeyExists) {
			return err
		}
		have, err := c.keys.Get(ctx, key.Hash)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return errRace // the other's write is on its way through the cluster
		}
		if err != nil {
			return err
		}
		key = Key{}
		return json.Unmarshal(have.Value(), &key)
	})
	if err != nil {
		return Key{}, "", fmt.Errorf("create key: %w", err)
	}
	return key, spec.Secret, nil
}

// Keys lists every key, revoked ones too, oldest first. It costs a round trip for
// each, and keeps trying until ctx ends.
func (c *Conn) Keys(ctx context.Context) ([]Key, error) {
	var all []Key
	err := c.walk(ctx, c.n.keysBucket(), func(m *stored) error {
		k, err := decodeKey(m.Data)
		if err != nil {
			c.log.Error("bucket holds what cannot be read", "subject", m.Subject, "error", err)
			return nil
		}
		all = append(all, *k)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	slices.SortStableFunc(all, func(a, b Key) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name))
	})
	return all, nil
}

// KeyOf returns the key with that secret, revoked or not; ErrNoKey if there is none. It
// costs one round trip, and keeps trying until ctx ends.
func (c *Conn) KeyOf(ctx context.Context, secret string) (Key, error) {
	sum := sha256.Sum256([]byte(secret))
	m, err := c.leaderGet(ctx, c.n.bucketStream(c.n.keysBucket()), question{
		LastFor: "$KV." + c.n.keysBucket() + "." + hex.EncodeToString(sum[:]),
	})
	if errors.Is(err, errNotStored) || err == nil && m.deleted() {
		return Key{}, ErrNoKey
	}
	if err != nil {
		return Key{}, fmt.Errorf("look for key: %w", err)
	}
	k, err := decodeKey(m.Data)
	if err != nil {
		return Key{}, fmt.Errorf("look for key: %w", err)
	}
	return *k, nil
}

// HasKeys reports whether there is any key, revoked ones too. It keeps trying until ctx
// ends.
func (c *Conn) HasKeys(ctx context.Context) (bool, error) {
	err := c.walk(ctx, c.n.keysBucket(), func(*stored) error { return errFound })
	if err != nil && !errors.Is(err, errFound) {
		return false, fmt.Errorf("look for keys: %w", err)
	}
	return err != nil, nil
}

// errFound ends a walk that looked for anything at all.
var errFound = errors.New("found")

// RevokeKey makes every frontend refuse the key within a second. It is chosen by id,
// or by a name that only one unrevoked key has. Revoking again changes nothing.
// The error is ErrNoKey where there is none.
func (c *Conn) RevokeKey(ctx context.Context, idOrName string) (Key, error) {
	all, err := c.Keys(ctx)
	if err != nil {
		return Key{}, fmt.Errorf("revoke key: %w", err)
	}
	chosen, err := chooseKey(all, idOrName)
	if err != nil {
		return Key{}, fmt.Errorf("revoke key %q: %w", idOrName, err)
	}
	var key Key
	err = c.persist(ctx, "revoke key", func(ctx context.Context) error {
		have, err := c.keys.Get(ctx, chosen.Hash)
		if err != nil {
			return err
		}
		key = Key{}
		if err := json.Unmarshal(have.Value(), &key); err != nil {
			return err
		}
		if !key.Revoked.IsZero() {
			return nil
		}
		key.Revoked = time.Now().UTC().Truncate(time.Second)
		value, err := json.Marshal(key)
		if err != nil {
			return err
		}
		_, err = c.keys.Update(ctx, chosen.Hash, value, have.Revision())
		if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
			return errRace
		}
		return err
	})
	if err != nil {
		return Key{}, fmt.Errorf("revoke key %q: %w", idOrName, err)
	}
	return key, nil
}

func chooseKey(all []Key, idOrName string) (Key, error) {
	if i := slices.IndexFunc(all, func(k Key) bool { return k.ID == idOrName }); i >= 0 {
		return all[i], nil
	}
	named := slices.DeleteFunc(slices.Clone(all), func(k Key) bool { return k.Name != idOrName })
	live := slices.DeleteFunc(slices.Clone(named), func(k Key) bool { return !k.Revoked.IsZero() })
	switch {
	case len(live) > 1:
		return Key{}, fmt.Errorf("%d keys have that name: use the id", len(live))
	case len(live) == 1:
		return live[0], nil
	case len(named) > 0:
		return named[len(named)-1], nil
	}
	return Key{}, ErrNoKey
}

func decodeKey(value []byte) (*Key, error) {
	k := new(Key)
	if err := json.Unmarshal(value, k); err != nil {
		return nil, err
	}
	if sum, err := hex.DecodeString(k.Hash); err != nil || len(sum) != sha256.Size {
		return nil, errors.New("hash is not a SHA-256")
	}
	return k, nil
}

// randomText returns n random bytes in base 62, always of the same length for the
// same n.
func randomText(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)               // never fails
	width := (n*8*1000 + 5953) / 5954 // log2(62) = 5.954
	text := new(big.Int).SetBytes(b).Text(62)
	return strings.Repeat("0", max(width-len(text), 0)) + text
}
