package jobs

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/osiris/osiris/pkg/jobs/internal/natstest"
	"github.com/osiris/osiris/pkg/protocol"
)

func TestKeyIsAcceptedUntilRevoked(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		admin, front := testConn(t, testConfig(n)), testConn(t, testConfig(n))
		ring, err := front.WatchKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer ring.Close()
		if !ring.Empty() {
			t.Fatal("a new ring is not empty")
		}
		key, secret, err := admin.CreateKey(t.Context(), KeySpec{Name: "ci", Tenant: "acme", Models: []string{"echo"}})
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`^sk-osiris-[0-9A-Za-z]{43}$`).MatchString(secret) {
			t.Errorf("secret has an odd shape (%d characters)", len(secret))
		}
		within(t, promised, "key accepted", func() bool { _, err := ring.Authenticate([]byte(secret)); return err == nil })
		got, _ := ring.Authenticate([]byte(secret))
		if got.ID != key.ID || got.Tenant != "acme" || got.Name != "ci" || !got.Allows("echo") || got.Allows("other") || ring.Empty() {
			t.Errorf("authenticated as %+v", got)
		}
		for _, wrong := range []string{"", secret + "x", secret[:len(secret)-1], strings.ToUpper(secret)} {
			_, err := ring.Authenticate([]byte(wrong))
			wantBadKey(t, err, wrong)
		}
		revoked, err := admin.RevokeKey(t.Context(), "ci")
		if err != nil || revoked.Revoked.IsZero() || revoked.ID != key.ID {
			t.Fatalf("revoke: %+v, %v", revoked, err)
		}
		within(t, promised, "key refused", func() bool { _, err := ring.Authenticate([]byte(secret)); return err != nil })
		_, err = ring.Authenticate([]byte(secret))
		wantBadKey(t, err, secret)
		if !ring.Empty() {
			t.Error("a ring with one revoked key is not empty")
		}
		again, err := admin.RevokeKey(t.Context(), key.ID)
		if err != nil || !again.Revoked.Equal(revoked.Revoked) {
			t.Errorf("revoked again: %+v, %v", again, err)
		}
	})
}

func wantBadKey(t *testing.T, err error, secret string) {
	t.Helper()
	perr, ok := errors.AsType[*protocol.Error](err)
	if !ok || perr.Status != http.StatusUnauthorized || perr.Code != "invalid_api_key" {
		t.Errorf("err = %v, want a 401", err)
		return
	}
	if len(secret) > 20 && (strings.Contains(perr.Error(), secret) || !strings.Contains(perr.Message, secret[len(secret)-4:])) {
		t.Errorf("message %q: want a masked key", perr.Message)
	}
}

func TestSecretIsStoredNowhere(t *testing.T) {
	c := testConn(t, testConfig(natstest.Shared(t, 1)))
	key, secret, err := c.CreateKey(t.Context(), KeySpec{Name: "n"})
	if err != nil {
		t.Fatal(err)
	}
	e, err := c.keys.Get(t.Context(), key.Hash)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(e.Value()), secret[12:len(secret)-4]) {
		t.Error("the stored key contains its secret")
	}
	if key.Tenant != "default" || strings.Contains(key.Hint, secret[12:40]) || !strings.HasSuffix(key.Hint, secret[len(secret)-4:]) {
		t.Errorf("key %+v", key)
	}
}

// Processes that create the first key together, with the same preset secret, make
// one key, and all of them learn its id.
func TestPresetKeyIsCreatedOnce(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		const secret = "sk-osiris-preset-by-a-script"
		ids := make([]string, 5)
		var wg sync.WaitGroup
		for i := range ids {
			c := testConn(t, testConfig(n))
			wg.Go(func() {
				key, got, err := c.CreateKey(t.Context(), KeySpec{Name: "bootstrap", Secret: secret})
				if err != nil || got != secret {
					t.Errorf("create: %q, %v", got, err)
				}
				ids[i] = key.ID
			})
		}
		wg.Wait()
		c := testConn(t, testConfig(n))
		keys, err := c.Keys(t.Context())
		if err != nil || len(keys) != 1 {
			t.Fatalf("keys: %v, %v", keys, err)
		}
		for _, id := range ids {
			if id != keys[0].ID {
				t.Errorf("a process learned id %q, stored is %q", id, keys[0].ID)
			}
		}
		// A revoked key does not come back with the next start.
		if _, err := c.RevokeKey(t.Context(), "bootstrap"); err != nil {
			t.Fatal(err)
		}
		key, _, err := c.CreateKey(t.Context(), KeySpec{Name: "bootstrap", Secret: secret})
		if err != nil || key.Revoked.IsZero() {
			t.Errorf("created again: %+v, %v", key, err)
		}
	})
}

// What was acknowledged is listed, whichever node is asked, at once.
func TestKeysAreListedAtOnce(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		writer := testConn(t, testConfig(n))
		cfg := testConfig(n)
		cfg.URL = n.URL(n.Nodes() - 1)
		reader := testConn(t, cfg)
		for i := range 30 {
			key, _, err := writer.CreateKey(t.Context(), KeySpec{Name: "k"})
			if err != nil {
				t.Fatal(err)
			}
			keys, err := reader.Keys(t.Context())
			if err != nil || len(keys) != i+1 {
				t.Fatalf("%d keys of %d, %v", len(keys), i+1, err)
			}
			if _, err := reader.RevokeKey(t.Context(), key.ID); err != nil {
				t.Fatalf("revoke at once: %v", err)
			}
		}
	})
}

func TestRevokeByName(t *testing.T) {
	c := testConn(t, testConfig(natstest.Shared(t, 1)))
	if _, err := c.RevokeKey(t.Context(), "nobody"); !errors.Is(err, ErrNoKey) {
		t.Errorf("unknown name: %v", err)
	}
	first, _, err := c.CreateKey(t.Context(), KeySpec{Name: "twin"})
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := c.CreateKey(t.Context(), KeySpec{Name: "twin"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.RevokeKey(t.Context(), "twin"); err == nil || errors.Is(err, ErrNoKey) {
		t.Errorf("ambiguous name: %v", err)
	}
	if _, err := c.RevokeKey(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	got, err := c.RevokeKey(t.Context(), "twin") // only one is left to revoke
	if err != nil || got.ID != second.ID {
		t.Errorf("revoked %s, %v, want %s", got.ID, err, second.ID)
	}
}

func TestKeySpecIsChecked(t *testing.T) {
	c := testConn(t, testConfig(natstest.Shared(t, 1)))
	for name, spec := range map[string]KeySpec{
		"no name":     {},
		"long name":   {Name: strings.Repeat("n", 129)},
		"tenant":      {Name: "n", Tenant: "a.b"},
		"empty model": {Name: "n", Models: []string{""}},
		"secret":      {Name: "n", Secret: "sk with spaces in it"},
	} {
		if _, _, err := c.CreateKey(t.Context(), spec); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestKeyAllows(t *testing.T) {
	for _, c := range []struct {
		models []string
		model  string
		want   bool
	}{
		{nil, "anything", true},
		{[]string{"a", "b"}, "b", true},
		{[]string{"a"}, "ab", false},
		{[]string{"openai/*"}, "openai/gpt", true},
		{[]string{"openai/*"}, "anthropic/x", false},
		{[]string{"*"}, "x", true},
	} {
		if got := (&Key{Models: c.models}).Allows(c.model); got != c.want {
			t.Errorf("%v allows %s: %v", c.models, c.model, got)
		}
	}
}

// What a start asks about keys costs as much with a thousand of them as with one.
func TestLookingForAKeyIsOneQuestion(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n *natstest.NATS) {
		c := testConn(t, testConfig(n))
		if some, err := c.HasKeys(t.Context()); some || err != nil {
			t.Fatalf("there are keys: %t, %v", some, err)
		}
		const preset = "sk-osiris-preset"
		if _, err := c.KeyOf(t.Context(), preset); !errors.Is(err, ErrNoKey) {
			t.Fatal(err)
		}
		for range 20 {
			if _, _, err := c.CreateKey(t.Context(), KeySpec{Name: "many"}); err != nil {
				t.Fatal(err)
			}
		}
		made, _, err := c.CreateKey(t.Context(), KeySpec{Name: "preset", Secret: preset})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.RevokeKey(t.Context(), made.ID); err != nil {
			t.Fatal(err)
		}
		before := c.nc.Stats().OutMsgs
		have, err := c.KeyOf(t.Context(), preset)
		if err != nil || have.ID != made.ID || have.Revoked.IsZero() {
			t.Errorf("%+v, %v", have, err)
		}
		some, err := c.HasKeys(t.Context())
		if !some || err != nil {
			t.Errorf("there are keys: %t, %v", some, err)
		}
		if asked := c.nc.Stats().OutMsgs - before; asked > 4 {
			t.Errorf("%d messages for two questions", asked)
		}
	})
}
