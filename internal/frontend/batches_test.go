package frontend

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
	"github.com/osiris/osiris/pkg/protocol"
)

const goodBatch = `{"input_file_id":"file-0123456789abcdef0123456789abcdef","endpoint":"/v1/chat/completions","completion_window":"24h"}`

type batchObject struct {
	ID          string `json:"id"`
	Object      string `json:"object"`
	Status      string `json:"status"`
	CreatedAt   int64  `json:"created_at"`
	ExpiresAt   int64  `json:"expires_at"`
	Cancelling  int64  `json:"cancelling_at"`
	InputFileID string `json:"input_file_id"`
}

type batchList struct {
	Object  string        `json:"object"`
	Data    []batchObject `json:"data"`
	FirstID *string       `json:"first_id"`
	LastID  *string       `json:"last_id"`
	HasMore bool          `json:"has_more"`
}

func decoded[T any](t testing.TB, resp *http.Response, body []byte) T {
	t.Helper()
	var v T
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %s %s", resp.StatusCode, resp.Header.Get("Content-Type"), body)
	}
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return v
}

func (r *rig) createBatch(body string, header ...string) batchObject {
	r.t.Helper()
	resp, answer := r.do(http.MethodPost, "/v1/batches", body, header...)
	return decoded[batchObject](r.t, resp, answer)
}

// A new batch has every member of OpenAI's, is stored when it is answered, and an
// input file that is not there is no reason to refuse it.
func TestCreateBatch(t *testing.T) {
	r := start(t, anyone(), nil)
	before := time.Now().Unix()
	resp, body := r.do(http.MethodPost, "/v1/batches",
		`{"input_file_id":"file-x","endpoint":"/v1/chat/completions","completion_window":"24h","metadata":{"a":"b"},`+
			`"output_expires_after":{"anchor":"created_at","seconds":3600}}`)
	b := decoded[batchObject](t, resp, body)
	if b.CreatedAt < before || b.CreatedAt > time.Now().Unix() || b.ExpiresAt != b.CreatedAt+86400 {
		t.Errorf("created at %d, expires at %d", b.CreatedAt, b.ExpiresAt)
	}
	if !regexp.MustCompile(`^batch_[0-9a-f]{32}$`).MatchString(b.ID) {
		t.Errorf("id %q", b.ID)
	}
	want := fmt.Sprintf(`{"id":"%s","object":"batch","endpoint":"/v1/chat/completions","model":null,"errors":null,"input_file_id":"file-x",`+
		`"completion_window":"24h","status":"validating","output_file_id":null,"error_file_id":null,"created_at":%d,"in_progress_at":null,`+
		`"expires_at":%d,"finalizing_at":null,"completed_at":null,"failed_at":null,"expired_at":null,"cancelling_at":null,"cancelled_at":null,`+
		`"request_counts":{"total":0,"completed":0,"failed":0},"usage":null,"metadata":{"a":"b"}}`, b.ID, b.CreatedAt, b.ExpiresAt)
	if string(body) != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
	if resp, again := r.do(http.MethodGet, "/v1/batches/"+b.ID, ""); resp.StatusCode != 200 || string(again) != want {
		t.Errorf("get: %d %s", resp.StatusCode, again)
	}
	stored, err := r.conn.Batch(t.Context(), anonymous, b.ID)
	if err != nil || stored.OutputExpires != time.Hour {
		t.Errorf("stored: %+v, %v", stored, err)
	}
}

func TestBatchRefusals(t *testing.T) {
	r := start(t, anyone(), nil)
	pairs := make([]string, 17)
	for i := range pairs {
		pairs[i] = fmt.Sprintf(`"k%d":"v"`, i)
	}
	with := func(more string) string { return strings.TrimSuffix(goodBatch, "}") + "," + more + "}" }
	for name, tc := range map[string]struct{ body, param, code string }{
		"no JSON":               {"{", "", ""},
		"no object":             {"[]", "", "invalid_type"},
		"no file":               {strings.Replace(goodBatch, `"input_file_id"`, `"x"`, 1), "input_file_id", "missing_required_parameter"},
		"no endpoint":           {strings.Replace(goodBatch, `"endpoint"`, `"x"`, 1), "endpoint", "missing_required_parameter"},
		"no window":             {strings.Replace(goodBatch, `"completion_window"`, `"x"`, 1), "completion_window", "missing_required_parameter"},
		"other endpoint":        {strings.Replace(goodBatch, "chat/completions", "embeddings", 1), "endpoint", "invalid_value"},
		"other window":          {strings.Replace(goodBatch, "24h", "1h", 1), "completion_window", "invalid_value"},
		"file as a number":      {strings.Replace(goodBatch, `"file-0123456789abcdef0123456789abcdef"`, "1", 1), "input_file_id", "invalid_type"},
		"metadata as a list":    {with(`"metadata":[]`), "metadata", "invalid_type"},
		"a list in metadata":    {with(`"metadata":{"tags":[]}`), "metadata.tags", "invalid_type"},
		"seventeen pairs":       {with(`"metadata":{` + strings.Join(pairs, ",") + `}`), "metadata", "object_above_max_properties"},
		"a long value":          {with(`"metadata":{"a":"` + strings.Repeat("x", 513) + `"}`), "metadata.a", "string_above_max_length"},
		"files that go at once": {with(`"output_expires_after":{"anchor":"created_at","seconds":1}`), "output_expires_after.seconds", "integer_below_min_value"},
		"another anchor":        {with(`"output_expires_after":{"anchor":"x","seconds":3600}`), "output_expires_after.anchor", "invalid_value"},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := r.do(http.MethodPost, "/v1/batches", tc.body, "Idempotency-Key", "one for all")
			wantError(t, resp, body, 400, invalid, tc.code)
			var e envelope
			if err := json.Unmarshal(body, &e); err != nil || tc.param != "" && (e.Error.Param == nil || *e.Error.Param != tc.param) {
				t.Errorf("param: %s", body)
			}
		})
	}
	// What was refused left no record: the key is free.
	r.createBatch(goodBatch, "Idempotency-Key", "one for all")
	for path, code := range map[string]string{
		"?limit=0": "integer_below_min_value", "?limit=101": "integer_above_max_value", "?limit=ten": "invalid_type",
	} {
		resp, body := r.do(http.MethodGet, "/v1/batches"+path, "")
		wantError(t, resp, body, 400, invalid, code)
	}
	for _, path := range []string{"/v1/batches/batch_nothing", "/v1/batches/x", "/v1/batches/" + jobs.NewBatchID()} {
		resp, body := r.do(http.MethodGet, path, "")
		if message := wantError(t, resp, body, 404, invalid, ""); !strings.HasPrefix(message, "No batch found with id '") {
			t.Errorf("message %q", message)
		}
		resp, body = r.do(http.MethodPost, path+"/cancel", "")
		wantError(t, resp, body, 404, invalid, "")
	}
	resp, body := r.do(http.MethodDelete, "/v1/batches", "")
	wantError(t, resp, body, 405, invalid, "method_not_supported")
}

// A file that was uploaded for something else is no input.
func TestBatchPurpose(t *testing.T) {
	r := start(t, anyone(), nil)
	for purpose, status := range map[string]int{"user_data": 400, "batch_output": 400, "batch": 200} {
		w := r.conn.NewFile(t.Context(), jobs.File{ID: jobs.NewFileID(), Tenant: anonymous, Filename: "f.jsonl", Purpose: purpose, Created: time.Now()})
		if _, err := w.Write([]byte("{}\n")); err != nil {
			t.Fatal(err)
		}
		f, err := w.Commit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		resp, body := r.do(http.MethodPost, "/v1/batches", strings.Replace(goodBatch, "file-0123456789abcdef0123456789abcdef", f.ID, 1))
		if resp.StatusCode != status {
			t.Errorf("%s: %d %s", purpose, resp.StatusCode, body)
		}
		if status == 400 && !strings.Contains(string(body), `"param":"input_file_id"`) {
			t.Errorf("%s: %s", purpose, body)
		}
	}
}

// The input is the batch's from the answer on, whatever becomes of the file.
func TestBatchHoldsItsInput(t *testing.T) {
	r := start(t, anyone(), nil)
	w := r.conn.NewFile(t.Context(), jobs.File{ID: jobs.NewFileID(), Tenant: anonymous, Filename: "f.jsonl", Purpose: "batch", Created: time.Now()})
	if _, err := w.Write([]byte("{}\n")); err != nil {
		t.Fatal(err)
	}
	f, err := w.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := r.createBatch(strings.Replace(goodBatch, "file-0123456789abcdef0123456789abcdef", f.ID, 1))
	if resp, body := r.do(http.MethodDelete, "/v1/files/"+f.ID, ""); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	stored, err := r.conn.Batch(t.Context(), anonymous, b.ID)
	if err != nil || stored.Input == nil {
		t.Fatalf("%+v, %v", stored, err)
	}
	input := r.conn.OpenFile(t.Context(), *stored.Input)
	defer input.Close()
	if text, err := io.ReadAll(input); err != nil || string(text) != "{}\n" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestListBatches(t *testing.T) {
	r := start(t, anyone(), nil)
	resp, body := r.do(http.MethodGet, "/v1/batches", "")
	if l := decoded[batchList](t, resp, body); l.Object != "list" || len(l.Data) != 0 || l.HasMore || l.FirstID != nil || !strings.Contains(string(body), `"data":[]`) {
		t.Errorf("no batches: %s", body)
	}
	var ids []string // newest first
	for range 5 {
		ids = append([]string{r.createBatch(goodBatch).ID}, ids...)
	}
	var got []string
	after := ""
	for page := 0; ; page++ {
		resp, body := r.do(http.MethodGet, "/v1/batches?limit=2&after="+after, "")
		l := decoded[batchList](t, resp, body)
		for _, b := range l.Data {
			got = append(got, b.ID)
		}
		if page > 2 || len(l.Data) == 0 || *l.FirstID != l.Data[0].ID || *l.LastID != l.Data[len(l.Data)-1].ID {
			t.Fatalf("page %d: %s", page, body)
		}
		if !l.HasMore {
			break
		}
		after = *l.LastID
	}
	if strings.Join(got, " ") != strings.Join(ids, " ") {
		t.Errorf("got %v, want %v", got, ids)
	}
}

// Cancelling works in every phase, again too; a batch that ended otherwise says so
// in a way that SDKs do not retry.
func TestCancelBatch(t *testing.T) {
	r := start(t, anyone(), nil)
	b := r.createBatch(goodBatch)
	for range 2 {
		resp, body := r.do(http.MethodPost, "/v1/batches/"+b.ID+"/cancel", "")
		if got := decoded[batchObject](t, resp, body); got.Status != "cancelling" || got.Cancelling == 0 {
			t.Errorf("%s", body)
		}
	}
	ended := r.createBatch(goodBatch)
	stored, err := r.conn.Batch(t.Context(), anonymous, ended.ID)
	if err != nil {
		t.Fatal(err)
	}
	stored.Object.Fail([]protocol.BatchFault{{Code: "empty_file", Message: "x"}}, time.Now())
	if err := r.conn.WriteBatch(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	resp, body := r.do(http.MethodPost, "/v1/batches/"+ended.ID+"/cancel", "")
	message := wantError(t, resp, body, 409, invalid, "")
	if message != "Cannot cancel a batch with status 'failed'." || resp.Header.Get("X-Should-Retry") != "false" {
		t.Errorf("%q, %v", message, resp.Header)
	}
}

// Another tenant's batch is not there, and nothing is without a key.
func TestForeignBatch(t *testing.T) {
	r := start(t, Config{}, nil)
	mine, other := r.key(jobs.KeySpec{Name: "a", Tenant: "acme"}), r.key(jobs.KeySpec{Name: "b", Tenant: "rival"})
	eventually(t, "the keys are known", func() bool { _, err := r.keys.Authenticate([]byte(other)); return err == nil })
	b := r.createBatch(goodBatch, "Authorization", "Bearer "+mine)
	for _, call := range [][2]string{{http.MethodGet, b.ID}, {http.MethodPost, b.ID + "/cancel"}} {
		resp, body := r.do(call[0], "/v1/batches/"+call[1], "", "Authorization", "Bearer "+other)
		wantError(t, resp, body, 404, invalid, "")
		resp, body = r.do(call[0], "/v1/batches/"+call[1], "")
		wantError(t, resp, body, 401, invalid, "")
	}
	resp, body := r.do(http.MethodGet, "/v1/batches", "", "Authorization", "Bearer "+other)
	if l := decoded[batchList](t, resp, body); len(l.Data) != 0 {
		t.Errorf("%s", body)
	}
	resp, body = r.do(http.MethodPost, "/v1/batches", goodBatch)
	wantError(t, resp, body, 401, invalid, "")
}

// Requests with the same Idempotency-Key and body are one batch, also on two
// frontends at the same moment; with another body the second is refused.
func TestBatchIdempotency(t *testing.T) {
	n := jobstest.One(t)
	rigs := []*rig{startOn(t, n, anyone(), nil), startOn(t, n, anyone(), nil)}
	var group sync.WaitGroup
	ids := make([]string, 8)
	for i := range ids {
		group.Go(func() {
			resp, err := rigs[i%2].try(t.Context(), http.MethodPost, "/v1/batches", goodBatch, "Idempotency-Key", "k")
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			var b batchObject
			if err := json.NewDecoder(resp.Body).Decode(&b); err != nil || resp.StatusCode != 200 {
				t.Errorf("%d %v", resp.StatusCode, err)
			}
			ids[i] = b.ID
		})
	}
	group.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("ids %v", ids)
			break
		}
	}
	r := rigs[0]
	resp, body := r.do(http.MethodGet, "/v1/batches", "")
	if l := decoded[batchList](t, resp, body); len(l.Data) != 1 {
		t.Errorf("%d batches", len(l.Data))
	}
	resp, body = r.do(http.MethodPost, "/v1/batches", goodBatch+" ", "Idempotency-Key", "k")
	wantError(t, resp, body, 409, invalid, "idempotency_key_reused")
}

// The creator died between its claim and the batch: the next request makes it.
func TestBatchClaimedByTheDead(t *testing.T) {
	r := start(t, anyone(), nil)
	sum := sha256.Sum256([]byte(goodBatch))
	about := sha256.Sum256(append([]byte("POST /v1/batches\n"), sum[:]...))
	id := jobs.NewBatchID()
	if _, err := r.conn.Claim(t.Context(), anonymous, "k", about, id); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if b := r.createBatch(goodBatch, "Idempotency-Key", "k"); b.ID != id || b.Status != "validating" {
			t.Errorf("%+v, want %s", b, id)
		}
	}
}

// Windows other than 24h are offered if the configuration says so.
func TestBatchWindows(t *testing.T) {
	r := start(t, Config{AllowAnonymous: true, BatchWindows: []string{"1h", "24h"}}, nil)
	if b := r.createBatch(strings.Replace(goodBatch, "24h", "1h", 1)); b.ExpiresAt != b.CreatedAt+3600 {
		t.Errorf("%+v", b)
	}
	if err := r.SetConfig(Config{BatchWindows: []string{"soon"}}); err == nil {
		t.Error("a window that is none was taken")
	}
}

func TestCheckAfter(t *testing.T) {
	for after, ok := range map[string]bool{
		"": true, jobs.NewBatchID(): true, "zz": false, "batch_zz": false, jobs.NewFileID(): false,
	} {
		if err := checkAfter(after, jobs.BatchPrefix); (err == nil) != ok {
			t.Errorf("%q: %v", after, err)
		}
	}
}
