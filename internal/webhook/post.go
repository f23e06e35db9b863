package webhook

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
)

const (
	maxAnswer = 16 << 10 // that is read of an answer's body, to use its connection again
	maxHeader = 32 << 10
	maxFault  = 300
)

// poster makes attempts. It may be used by any number of goroutines.
type poster struct {
	client       *http.Client
	timeout      time.Duration
	allowPrivate bool
	agent        string
}

func newPoster(cfg Config) *poster {
	dialer := &net.Dialer{Timeout: cfg.Timeout, Control: newGuard(cfg.AllowPrivate).control}
	return &poster{
		timeout: cfg.Timeout, allowPrivate: cfg.AllowPrivate,
		agent: "Osiris-Webhooks/" + cmp.Or(cfg.Version, "dev"),
		client: &http.Client{
			Transport: &http.Transport{
				Proxy:       nil, // one would resolve names itself, past the guard
				DialContext: dialer.DialContext, TLSHandshakeTimeout: cfg.Timeout,
				MaxIdleConns: 64, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second,
				MaxResponseHeaderBytes: maxHeader, DisableCompression: true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func (p *poster) close() { p.client.CloseIdleConnections() }

// post makes one attempt at d.
func (p *poster) post(ctx context.Context, d *jobs.Delivery) jobs.Receipt {
	ctx, cancel := context.WithTimeoutCause(ctx, p.timeout, fmt.Errorf("no answer within %s", p.timeout))
	defer cancel()
	began := time.Now()
	r := p.send(ctx, d, began)
	r.Took = time.Since(began)
	return r
}

func (p *poster) send(ctx context.Context, d *jobs.Delivery, now time.Time) jobs.Receipt {
	if err := CheckURL(d.Webhook.URL, p.allowPrivate); err != nil {
		return jobs.Receipt{Fault: "its address is refused: " + err.Error()}
	}
	timestamp, signature, err := sign(d.Webhook.Secret, d.Event, now, d.Body)
	if err != nil {
		return jobs.Receipt{Fault: err.Error()}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.Webhook.URL, bytes.NewReader(d.Body))
	if err != nil {
		return jobs.Receipt{Fault: "its address cannot be used"} // the cause would repeat it
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", p.agent)
	req.Header.Set("Webhook-Id", d.Event)
	req.Header.Set("Webhook-Timestamp", timestamp)
	req.Header.Set("Webhook-Signature", signature)
	resp, err := p.client.Do(req)
	if err != nil {
		return jobs.Receipt{Fault: fault(ctx, err)}
	}
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // what it says does not matter
	_ = resp.Body.Close()
	return judge(resp.StatusCode, resp.Header, now)
}

// judge turns an answer into a receipt.
func judge(status int, h http.Header, now time.Time) jobs.Receipt {
	r := jobs.Receipt{Status: status}
	switch {
	case status >= 200 && status < 300:
		r.Delivered = true
	case status >= 300 && status < 400:
		r.Fault = fmt.Sprintf("answered with status %d: redirects are not followed", status)
	case status == http.StatusGone:
		r.Gone = true
		r.Fault = "answered with status 410: it wants no more"
	default:
		r.Fault = fmt.Sprintf("answered with status %d", status)
		r.RetryAfter = retryAfter(h.Get("Retry-After"), now)
	}
	return r
}

// retryAfter reads the header: seconds or a date. What is no pause is 0.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// fault says what went wrong, without the address that the client puts before it:
// its path may be a secret.
func fault(ctx context.Context, err error) string {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	text := err.Error()
	return text[:min(len(text), maxFault)]
}
