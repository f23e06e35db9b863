package jobs

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"
)

// WebhookSecretPrefix begins every webhook's secret, as Standard Webhooks has it.
const WebhookSecretPrefix = "whsec_"

const (
	webhookSecretBytes = 32
	maxWebhooks        = 16 // of a tenant
	maxWebhookURL      = 2048
)

// ErrNoWebhook says that there is no webhook with the id asked for.
var ErrNoWebhook = errors.New("no such webhook")

// Webhook is an address that a tenant's events are sent to.
type Webhook struct {
	ID       string    `json:"id"`
	Tenant   string    `json:"tenant"`
	URL      string    `json:"url"`
	Secret   string    `json:"secret"` // every delivery is signed with it, so it is stored as it is
	Events   []string  `json:"events"` // never empty
	Created  time.Time `json:"created"`
	Disabled time.Time `json:"disabled,omitzero"` // when the receiver said that it is gone; zero: it has not
}

// WebhookSpec says what webhook to create.
type WebhookSpec struct {
	URL    string
	Tenant string   // "" is "default"
	Events []string // of NoticeTypes; empty: all of them
}

// complete fills in what is left out and returns every fault.
func (s *WebhookSpec) complete() error {
	setDefault(&s.Tenant, "default")
	var faults []error
	if err := checkToken("tenant", s.Tenant); err != nil {
		faults = append(faults, err)
	}
	if err := checkWebhookURL(s.URL); err != nil {
		faults = append(faults, fmt.Errorf("url: %w", err))
	}
	if len(s.Events) == 0 {
		s.Events = NoticeTypes()
	}
	for _, e := range s.Events {
		if !slices.Contains(NoticeTypes(), e) {
			faults = append(faults, fmt.Errorf("event %q: there is none; want some of %q", e, NoticeTypes()))
		}
	}
	s.Events = slices.Compact(slices.Sorted(slices.Values(s.Events)))
	return errors.Join(faults...)
}

// checkWebhookURL wants an address that says nothing but where. Its error repeats
// nothing of it: a faulty one may hold a password.
func checkWebhookURL(raw string) error {
	if len(raw) > maxWebhookURL {
		return fmt.Errorf("longer than %d bytes", maxWebhookURL)
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("cannot be read as a URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("want one that begins with https://")
	case u.Hostname() == "":
		return errors.New("has no host")
	case u.User != nil:
		return errors.New("must not hold a user or password")
	case u.Fragment != "":
		return errors.New("must not have a fragment")
	}
	return nil
}

// CreateWebhook stores a webhook and returns it with its secret. It keeps trying
// until ctx ends.
func (c *Conn) CreateWebhook(ctx context.Context, spec WebhookSpec) (Webhook, error) {
	if err := spec.complete(); err != nil {
		return Webhook{}, fmt.Errorf("create webhook: %w", err)
	}
	have, err := c.webhooksOf(ctx, spec.Tenant)
	if err != nil {
		return Webhook{}, fmt.Errorf("create webhook: %w", err)
	}
	if len(have) >= maxWebhooks {
		return Webhook{}, fmt.Errorf("create webhook: tenant %s has %d already, which is the most", spec.Tenant, len(have))
	}
	secret := make([]byte, webhookSecretBytes)
	_, _ = rand.Read(secret) // never fails
	w := Webhook{
		ID: "wh_" + randomText(12), Tenant: spec.Tenant, URL: spec.URL, Events: spec.Events,
		Secret:  WebhookSecretPrefix + base64.StdEncoding.EncodeToString(secret),
		Created: time.Now().UTC().Truncate(time.Second),
	}
	value, err := json.Marshal(w)
	if err != nil {
		return Webhook{}, fmt.Errorf("create webhook: %w", err)
	}
	err = c.persist(ctx, "create webhook", func(ctx context.Context) error {
		_, err := c.webhooks.Create(ctx, w.key(), value)
		if errors.Is(err, jetstream.ErrKeyExists) {
			return nil // by this call, whose ack was lost: nobody else knows the id
		}
		return err
	})
	if err != nil {
		return Webhook{}, fmt.Errorf("create webhook: %w", err)
	}
	return w, nil
}

// Webhooks lists every webhook, oldest first, with their secrets. It costs a round
// trip for each, and keeps trying until ctx ends.
func (c *Conn) Webhooks(ctx context.Context) ([]Webhook, error) {
	all, err := c.webhooksOf(ctx, "*")
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	return all, nil
}

// DeleteWebhook removes a webhook and what was still to be delivered to it. The
// error is ErrNoWebhook where there is none.
func (c *Conn) DeleteWebhook(ctx context.Context, id string) (Webhook, error) {
	w, err := c.findWebhook(ctx, id)
	if err == nil {
		err = c.persist(ctx, "delete webhook", func(ctx context.Context) error { return c.webhooks.Delete(ctx, w.key()) })
	}
	if err == nil {
		err = c.purge(ctx, c.n.deliveriesStream(), c.n.deliveriesOf(w.Tenant, w.ID))
	}
	if err != nil {
		return Webhook{}, fmt.Errorf("delete webhook %q: %w", id, err)
	}
	return w, nil
}

func (w *Webhook) key() string { return w.Tenant + "." + w.ID }

// takes reports whether events of that type are sent to w.
func (w *Webhook) takes(event string) bool {
	return w.Disabled.IsZero() && (event == noticeTest || slices.Contains(w.Events, event))
}

// findWebhook returns the webhook with that id, of whatever tenant.
func (c *Conn) findWebhook(ctx context.Context, id string) (Webhook, error) {
	all, err := c.webhooksOf(ctx, "*")
	if err != nil {
		return Webhook{}, err
	}
	if i := slices.IndexFunc(all, func(w Webhook) bool { return w.ID == id }); i >= 0 {
		return all[i], nil
	}
	return Webhook{}, ErrNoWebhook
}

// webhooksOf reads a tenant's webhooks from the leader: one that was created before
// is there, one that was deleted is not.
func (c *Conn) webhooksOf(ctx context.Context, tenant string) ([]Webhook, error) {
	var all []Webhook
	err := c.walkKeys(ctx, c.n.webhooksBucket(), tenant+".*", func(m *stored) error {
		var w Webhook
		if err := json.Unmarshal(m.Data, &w); err != nil {
			c.log.Error("bucket holds what cannot be read", "subject", m.Subject, "error", err)
			return nil
		}
		all = append(all, w)
		return nil
	})
	slices.SortStableFunc(all, func(a, b Webhook) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return all, err
}

// webhook reads one webhook and its revision from the leader. The error is
// ErrNoWebhook if there is none.
func (c *Conn) webhook(ctx context.Context, tenant, id string) (Webhook, uint64, error) {
	bucket := c.n.webhooksBucket()
	m, err := c.leaderGet(ctx, c.n.bucketStream(bucket), question{LastFor: "$KV." + bucket + "." + tenant + "." + id})
	var w Webhook
	switch {
	case errors.Is(err, errNotStored) || err == nil && m.deleted():
		return w, 0, ErrNoWebhook
	case err != nil:
		return w, 0, err
	}
	if err := json.Unmarshal(m.Data, &w); err != nil {
		return w, 0, fmt.Errorf("read webhook %s: %w", id, err)
	}
	return w, m.Seq, nil
}

// disableWebhook notes that the receiver is gone, and removes what was still to be
// delivered to it.
func (c *Conn) disableWebhook(ctx context.Context, tenant, id string) error {
	err := c.persist(ctx, "disable webhook", func(ctx context.Context) error {
		w, revision, err := c.webhook(ctx, tenant, id)
		if errors.Is(err, ErrNoWebhook) || err == nil && !w.Disabled.IsZero() {
			return nil
		}
		if err != nil {
			return err
		}
		w.Disabled = time.Now().UTC().Truncate(time.Second)
		value, err := json.Marshal(w)
		if err != nil {
			return err
		}
		_, err = c.webhooks.Update(ctx, w.key(), value, revision)
		if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
			return errRace
		}
		return err
	})
	if err == nil {
		err = c.purge(ctx, c.n.deliveriesStream(), c.n.deliveriesOf(tenant, id))
	}
	if err != nil {
		return fmt.Errorf("disable webhook %s: %w", id, err)
	}
	return nil
}
