package webhook

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
)

func delivery(address string) *jobs.Delivery {
	return &jobs.Delivery{
		Webhook: &jobs.Webhook{URL: address, Secret: jobs.WebhookSecretPrefix + base64.StdEncoding.EncodeToString(make([]byte, 32))},
		Event:   "evt_1", Body: []byte(`{"id":"evt_1"}`),
	}
}

func testPoster(t *testing.T, allowPrivate bool, timeout time.Duration) *poster {
	p := newPoster(Config{AllowPrivate: allowPrivate, Timeout: timeout})
	t.Cleanup(p.close)
	return p
}

// The example of the Standard Webhooks specification.
func TestSign(t *testing.T) {
	timestamp, signature, err := sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek",
		time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; err != nil || timestamp != "1614265330" || signature != want {
		t.Errorf("%s %s, %v; want %s", timestamp, signature, err, want)
	}
	for _, secret := range []string{"", "whsec_!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"} {
		if _, _, err := sign(secret, "id", time.Now(), nil); !errors.Is(err, errSecret) {
			t.Errorf("secret %q: %v", secret, err)
		}
	}
}

func TestOutcomes(t *testing.T) {
	p := testPoster(t, true, 10*time.Second)
	for _, tt := range []struct {
		status          int
		delivered, gone bool
		fault           string
	}{
		{200, true, false, ""}, {202, true, false, ""}, {204, true, false, ""}, {299, true, false, ""},
		{301, false, false, "not followed"}, {302, false, false, "not followed"}, {307, false, false, "not followed"}, {308, false, false, "not followed"},
		{400, false, false, "status 400"}, {401, false, false, "status 401"}, {404, false, false, "status 404"},
		{410, false, true, "410"}, {429, false, false, "status 429"}, {500, false, false, "status 500"}, {503, false, false, "status 503"},
	} {
		hits := 0
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			hits++
			body, _ := io.ReadAll(r.Body)
			if r.Method != http.MethodPost || string(body) != `{"id":"evt_1"}` || r.ContentLength != int64(len(body)) {
				t.Errorf("%s of %d bytes: %s", r.Method, r.ContentLength, body)
			}
			w.Header().Set("Location", "/elsewhere")
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(tt.status)
		}))
		r := p.post(t.Context(), delivery(s.URL))
		s.Close()
		if r.Delivered != tt.delivered || r.Gone != tt.gone || r.Status != tt.status || !strings.Contains(r.Fault, tt.fault) || hits != 1 || r.Took <= 0 {
			t.Errorf("status %d: %+v after %d requests", tt.status, r, hits)
		}
		if asked := tt.status >= 400 && !tt.gone; (r.RetryAfter == 7*time.Second) != asked {
			t.Errorf("status %d: retry after %s", tt.status, r.RetryAfter)
		}
	}
}

func TestFaults(t *testing.T) {
	p := testPoster(t, true, 10*time.Second)
	closed := httptest.NewServer(nil)
	closed.Close()
	tls := httptest.NewUnstartedServer(http.NotFoundHandler())
	tls.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of the client, as it should
	tls.StartTLS()
	defer tls.Close()
	rubbish := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = c.Write([]byte("rubbish\r\n\r\n"))
			_ = c.Close()
		}
	}))
	defer rubbish.Close()
	for name, address := range map[string]string{
		"closed": closed.URL + "/secret", "certificate": tls.URL + "/secret", "rubbish": rubbish.URL + "/secret",
		"no such host": "http://host.invalid/secret", "not a URL": "http://[::1/secret", "no host": "http:///secret",
		"unknown scheme": "ftp://127.0.0.1/secret",
	} {
		r := p.post(t.Context(), delivery(address))
		if r.Delivered || r.Gone || r.Status != 0 || r.Fault == "" || strings.Contains(r.Fault, "secret") {
			t.Errorf("%s: %+v", name, r)
		}
	}
	bad := delivery(closed.URL)
	bad.Webhook.Secret = "whsec_?"
	if r := p.post(t.Context(), bad); r.Delivered || r.Fault != errSecret.Error() {
		t.Errorf("bad secret: %+v", r)
	}
}

func TestSlowReceiver(t *testing.T) {
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	defer slow.Close()
	r := testPoster(t, true, 50*time.Millisecond).post(t.Context(), delivery(slow.URL))
	if r.Delivered || r.Fault != "no answer within 50ms" || r.Took > 5*time.Second {
		t.Errorf("%+v", r)
	}
}

// A receiver that never ends its answer is read for a moment; what counts is its
// status.
func TestEndlessAnswer(t *testing.T) {
	for name, talk := range map[string]func(w http.ResponseWriter, done <-chan struct{}){
		"much": func(w http.ResponseWriter, _ <-chan struct{}) {
			for block := make([]byte, 64<<10); ; {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		},
		"nothing more": func(w http.ResponseWriter, done <-chan struct{}) {
			_ = http.NewResponseController(w).Flush()
			<-done
		},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusOK)
			talk(w, r.Context().Done())
		}))
		r := testPoster(t, true, 200*time.Millisecond).post(t.Context(), delivery(s.URL))
		s.Close()
		if !r.Delivered || r.Took > 10*time.Second {
			t.Errorf("%s: %+v", name, r)
		}
	}
	headers := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 4*maxHeader))
	}))
	defer headers.Close()
	if r := testPoster(t, true, 10*time.Second).post(t.Context(), delivery(headers.URL)); r.Delivered {
		t.Errorf("endless headers: %+v", r)
	}
}

// Without allow_private a receiver inside is not even connected to, by whatever name
// it is called: what is checked is the address that is dialed.
func TestPrivateAddressIsRefused(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1") // not to be used
	hit := false
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hit = true }))
	defer s.Close()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := testPoster(t, false, 10*time.Second)
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"} {
		r := p.post(t.Context(), delivery("https://"+host+":"+u.Port()+"/"))
		if r.Delivered || !strings.Contains(r.Fault, "not a public address") && !strings.Contains(r.Fault, "no such host") {
			t.Errorf("%s: %+v", host, r)
		}
	}
	if r := p.post(t.Context(), delivery("http://example.com/")); r.Delivered || !strings.Contains(r.Fault, "https://") {
		t.Errorf("http: %+v", r)
	}
	if hit {
		t.Error("the receiver was called")
	}
}

func TestAddresses(t *testing.T) {
	g := newGuard(false)
	for _, private := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255", "127.0.0.1", "127.255.0.1",
		"168.63.129.16", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1",
		"192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:7f00:1",
		"64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "100::1", "fc00::1", "fd00:ec2::254", "fd12::1",
		"fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "2001::1", "2001:0:7f00:1::", "2001:10::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::1",
		"3fff::1", "4000::1", "5f00::1",
	} {
		if err := g.check(netip.MustParseAddr(private)); !errors.Is(err, errPrivate) {
			t.Errorf("%s is allowed: %v", private, err)
		}
	}
	for _, public := range []string{
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "128.0.0.1", "169.253.255.255", "169.255.0.1",
		"172.15.255.255", "172.32.0.1", "192.0.1.1", "192.167.255.255", "192.169.0.1", "198.17.255.255", "198.20.0.1", "223.255.255.255",
		"::ffff:8.8.8.8", "64:ff9b::808:808", "2606:4700:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888", "2003::1",
	} {
		if err := g.check(netip.MustParseAddr(public)); err != nil {
			t.Errorf("%s is refused: %v", public, err)
		}
	}
	for _, odd := range []string{"", "127.0.0.1", "localhost:80", "8.8.8.8", "[::1]"} {
		if err := g.control("tcp", odd, nil); !errors.Is(err, errPrivate) {
			t.Errorf("%q is allowed: %v", odd, err)
		}
	}
	if err := g.control("tcp4", "8.8.8.8:443", nil); err != nil {
		t.Error(err)
	}
	if err := newGuard(true).control("tcp4", "127.0.0.1:80", nil); err != nil {
		t.Error(err)
	}
}

func TestCheckURL(t *testing.T) {
	for address, want := range map[string]struct{ public, private bool }{
		"https://example.com/hook":          {true, true},
		"https://example.com:8443/a?b=c":    {true, true},
		"https://1.1.1.1/":                  {true, true},
		"http://example.com/":               {false, true},
		"https://10.0.0.1/":                 {false, true},
		"https://[::1]/":                    {false, true},
		"https://[fe80::1%25eth0]/":         {false, true},
		"https://[::ffff:169.254.169.254]/": {false, true},
		"https://":                          {false, false},
		"https://:443/":                     {false, false},
		"":                                  {false, false},
		"\x7f":                              {false, false},
	} {
		if err := CheckURL(address, false); (err == nil) != want.public {
			t.Errorf("%q: %v", address, err)
		}
		if err := CheckURL(address, true); (err == nil) != want.private {
			t.Errorf("%q, private allowed: %v", address, err)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "5": 5 * time.Second, "-5": 0, "5s": 0, "1e9": 0, "99999999999999999999": 0, "2147483647": 2147483647 * time.Second,
		"Sun, 22 Nov 2026 12:00:30 GMT": 30 * time.Second, "Sun, 22 Nov 2026 11:00:00 GMT": 0, "soon": 0,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// The time of an attempt is its own: synctest's clock shows in the signature.
func TestTimestampIsFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, _, err := sign(delivery("").Webhook.Secret, "evt_1", time.Now(), nil)
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * time.Hour)
		second, _, err := sign(delivery("").Webhook.Secret, "evt_1", time.Now(), nil)
		if err != nil || first == second {
			t.Errorf("timestamps %s, %s, %v", first, second, err)
		}
	})
}

func FuzzCheckURL(f *testing.F) {
	f.Add("https://example.com")
	f.Add("https://[::ffff:127.0.0.1]:1/")
	p := newPoster(Config{Timeout: time.Second})
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	f.Fuzz(func(t *testing.T, address string) {
		err := CheckURL(address, false)
		if u, perr := url.Parse(address); err == nil && (perr != nil || u.Scheme != "https" || u.Hostname() == "") {
			t.Errorf("%q is allowed", address)
		}
		if r := p.post(ended, delivery(address)); r.Delivered || r.Fault == "" {
			t.Errorf("%q: %+v", address, r)
		}
	})
}
